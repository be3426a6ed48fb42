"""Depth: the uniform grid on which all samples of a recording lie."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from audiofix.faults.clipping import Parts, parts_of

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
    return depth_in_parts(parts_of(samples))


def depth_in_parts(parts: Parts) -> Depth | None:
    """`find_depth` of a recording that is read part by part."""
    grids = {(bits, offset): _Places() for bits in range(_COARSEST, _FINEST + 1) for offset in (0.0, 0.5)}
    count = 0
    for x in parts():
        values = x[np.isfinite(x)]
        count += len(values)
        for (bits, offset), places in grids.items():
            if len(values) and places.near:
                step = 2.0 ** (1 - bits)
                places.add(values / step - offset, step)
    for (bits, offset), places in grids.items():
        if count >= _ENOUGH and places.near and places.least < places.most:
            return Depth(bits, 2.0 ** (1 - bits), offset)
    return None


class _Places:
    """Which points of a grid were met, as long as all samples lie on it."""

    def __init__(self) -> None:
        self.near, self.least, self.most = True, math.inf, -math.inf

    def add(self, steps: NDArray[np.float64], step: float) -> None:
        """Samples as steps from the grid's point 0."""
        places = np.round(steps)
        self.near = bool((np.abs(places - steps) * step).max() <= _TOLERANCE)
        self.least = min(self.least, float(places.min()))
        self.most = max(self.most, float(places.max()))
