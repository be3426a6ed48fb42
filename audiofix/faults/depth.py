"""Depth: the uniform grid on which all samples of a recording lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

_COARSEST, _FINEST = 2, 12  # bits; 16 are how files are, and 13 to 15 no fault that can be heard
_TOLERANCE = 2.0**-20  # 24 bits and float32 are within 2^-24 of a grid, 16 bits not on it are 2^-16 off
_ENOUGH = 64  # samples: fewer lie on a grid by chance


@dataclass(frozen=True)
class Depth:
    """A grid of amplitudes: (k + offset) * step for integers k.

    Attributes
    ----------
    bits
        2 to 12.
    step
        2^(1 - bits), full scale 1.
    offset
        In steps: 0, where silence is a level (mid-tread), or 0.5, where it is between two (mid-rise).
    """

    bits: int
    step: float
    offset: float


def find_depth(samples: Tensor) -> Depth | None:
    """The coarsest grid of 2 to 12 bits that holds every sample of every channel.

    Parameters
    ----------
    samples
        (channel, time), full scale +-1. A recording whose level was changed afterwards is on no such grid. What is
        not finite is left out.

    Returns
    -------
    Depth or None
        None for finer grids, for none, for fewer than 64 samples and where all samples are alike.
    """
    x = samples.detach().cpu().double().numpy()
    x = x[np.isfinite(x)]
    if len(x) < _ENOUGH:
        return None
    for bits in range(_COARSEST, _FINEST + 1):
        step = 2.0 ** (1 - bits)
        for offset in (0.0, 0.5):
            places = np.round(x / step - offset)
            near = np.abs((places + offset) * step - x).max() <= _TOLERANCE
            if near and places.min() < places.max():
                return Depth(bits, step, offset)
    return None
