"""Clipping: samples pile up at the extreme of a recording, in flat runs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from audiofix.faults.dropouts import runs

_TOLERANCE = 1e-4  # relative to the level: what lies within counts as at it
_CELLS = (
    10  # of the histogram below the level, as wide as its own: what a recording without a pile goes on with
)
_NEAR = 0.8  # of the level: further down nothing tells about the top
_COARSE = 0.05  # step of the grid relative to the level: rounding alone piles samples up
_PILE = 4.0  # times the fullest of those cells; a steady tone, whose density grows towards its peak, has 1.4
_RUNS, _FLAT = 2, 6  # runs of equal samples at the level, and samples in them: one flat peak is no clipping
_SQUARE = 0.9  # share of samples at a level: a square wave, not clipped
# Of a plateau that a codec or another rate has softened, in the histogram of magnitudes up to the peak:
_BINS, _LOWEST = 64, 32  # cells, and the lowest at which a plateau is looked for
_TOP, _BASE = 2, 6  # cells of it, and of what lies one cell below it, over which counts are averaged
# Clean validation clips, also coded or resampled, have 1.3 at most; with 3 % of the samples clipped and then coded
# the median is 2.1, with 10 % it is 2.7, and twice that resampled.
_BUMP = 2.0
_FEWEST = 30  # samples in a plateau
_STEADY = 0.08  # share of samples in it: a tone of one loudness, slow at its peaks, has 0.16, coded 0.11


@dataclass(frozen=True)
class Clipping:
    """Levels beyond which a recording was cut off.

    Attributes
    ----------
    low, high
        Full scale 1; -inf and inf for a side that is not clipped.
    count
        Samples at either level, over all channels, including single ones.
    share
        `count` relative to all samples of all channels, 0 to 1.
    """

    low: float
    high: float
    count: int
    share: float


def find_clipping(samples: Tensor) -> Clipping | None:
    """The levels of hard clipping, the same in all channels.

    The largest samples have piled up: within 1e-4 of the extreme (or in one step of the grid that the samples lie
    on) are several times as many as in any stretch as wide below it, and some follow each other. Clipping that was
    filtered, resampled or coded with loss afterwards has lost these signs. On a grid of less than 20 steps up to
    the level they say nothing.

    Parameters
    ----------
    samples
        (channel, time), full scale +-1 but not limited to it. What is not finite is left out.

    Returns
    -------
    Clipping or None
        None where neither side is clipped.
    """
    x = samples.detach().cpu().double().numpy()
    finite = np.isfinite(x)
    total = int(finite.sum())
    if not total:
        return None
    high, above = _level(x, finite)
    low, below = _level(-x, finite)
    count = above + below
    if not count or count > _SQUARE * total:
        return None
    return Clipping(-low, high, count, count / total)


def find_plateau(samples: Tensor) -> float | None:
    """A level near which samples pile up without being equal: clipping that was coded or resampled afterwards.

    Full scale 1, mostly up to 8 % below where it was clipped; None without one. A hint for a person: about half
    of what was clipped and then coded shows no pile, and a square wave that was coded does.

    samples: (channel, time), full scale +-1. What is not finite is left out.
    """
    x = samples.detach().cpu().double().numpy()
    values = np.abs(x[np.isfinite(x)])
    peak = float(values.max()) if values.size else 0.0
    if peak <= 0:
        return None
    counts = np.histogram(values, _BINS, (0.0, peak))[0]
    best, level = _BUMP, None
    for cell in range(_LOWEST, _BINS - _TOP + 1):
        pile = counts[cell : cell + _TOP].sum()
        before = counts[cell - 1 - _BASE : cell - 1].mean()
        enough = _FEWEST <= pile <= _STEADY * values.size
        if enough and pile / _TOP > best * max(before, 1.0):
            best, level = pile / _TOP / max(before, 1.0), cell / _BINS * peak
    return level


def _level(x: NDArray[np.float64], finite: NDArray[np.bool_]) -> tuple[float, int]:
    """Level at which the top of (channel, time) is cut off and samples there, or inf and 0."""
    values = x[finite]
    peak = float(values.max())
    if peak <= 0:
        return math.inf, 0
    width = max(2 * _TOLERANCE * peak, _grid(values, peak))
    if width > _COARSE * peak:
        return math.inf, 0
    cells = np.clip((peak - values[values > _NEAR * peak]) / width + 0.5, 0, _CELLS + 1).astype(int)
    counts = np.bincount(cells, minlength=2)[: _CELLS + 1]
    at = x > peak - width / 2
    equal = at[:, 1:] & at[:, :-1] & (x[:, 1:] == x[:, :-1])
    flat = [stop - start + 1 for row in equal for start, stop in runs(row)]
    if counts[0] <= _PILE * counts[1:].max() or len(flat) < _RUNS or sum(flat) < _FLAT:
        return math.inf, 0
    return float(np.median(values[values > peak - width / 2])), int(counts[0])


def _grid(values: NDArray[np.float64], peak: float) -> float:
    """Least distance of two different values near the peak, or anywhere where those are all alike."""
    near = np.unique(values[values > _NEAR * peak])
    steps = np.diff(near if len(near) > 2 else np.unique(values))
    return float(steps.min()) if len(steps) else 0.0
