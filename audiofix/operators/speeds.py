"""Play a wave at another speed, by ratios of whole numbers, so that a part gives the samples of the whole."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import firwin, resample_poly
from torch import Tensor

CROSSINGS = 32  # zero crossings of the low-pass on each side
BAND = 0.97  # of the lower Nyquist frequency: where the low-pass has lost half of the amplitude
BETA = 8.0  # of the Kaiser window: 81 dB


def at_speed(x: Tensor, speed: Fraction) -> Tensor:
    """A wave (..., time) of `speed` samples for each of its own: slower and lower above 1, as a tape would be.

    Sample m of the result is at m / speed of x, and outside of x is silence. Worked out in double precision, each
    sample by the same sum wherever a part of the wave begins (at a multiple of the denominator), so that parts
    give the bits of the whole but for `reach` samples at their ends. Returns (..., ceil(time * speed)).
    """
    if speed == 1 or not x.numel():
        return x
    up, down = speed.numerator, speed.denominator
    rows = x.reshape(-1, x.shape[-1])
    made = torch.empty(len(rows), math.ceil(x.shape[-1] * speed), dtype=x.dtype)
    for row, found in zip(rows, made, strict=True):  # one by one: they are in double precision for a while
        wave = row.double().cpu().numpy()
        found.copy_(torch.from_numpy(resample_poly(wave, up, down, window=_low_pass(max(up, down)))))
    return made.reshape(*x.shape[:-1], made.shape[-1]).to(x.device)


def reach(speed: Fraction) -> int:
    """Samples of x on each side that a sample of `at_speed(x, speed)` depends on."""
    return 0 if speed == 1 else math.ceil(CROSSINGS * max(Fraction(1), 1 / speed)) + 1


@lru_cache(maxsize=32)
def _low_pass(rate: int) -> NDArray[np.float64]:
    """At `rate` times the lower rate's samples."""
    taps: NDArray[np.float64] = firwin(2 * CROSSINGS * rate + 1, BAND / rate, window=("kaiser", BETA))
    return taps
