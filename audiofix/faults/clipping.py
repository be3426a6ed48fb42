"""Clipping: samples pile up at the extreme of a recording, in flat runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

# (channel, time) of a recording part by part in their order; from its beginning with each call.
Parts = Callable[[], Iterable[NDArray[np.float64]]]
PART = 1 << 19  # samples of a channel

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


def parts_of(samples: Tensor) -> Parts:
    """Parts of what is in memory, (channel, time)."""
    starts = range(0, max(1, samples.shape[1]), PART)
    return lambda: (samples[:, first : first + PART].detach().cpu().double().numpy() for first in starts)


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
    return clipping_in_parts(parts_of(samples))


def clipping_in_parts(parts: Parts) -> Clipping | None:
    """`find_clipping` of a recording that is read part by part, several times."""
    total = sum(int(np.isfinite(x).sum()) for x in parts())
    if not total:
        return None
    high, above = _level(parts)
    low, below = _level(lambda: (-x for x in parts()))
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
    return plateau_in_parts(parts_of(samples))


def plateau_in_parts(parts: Parts) -> float | None:
    """`find_plateau` of a recording that is read part by part, twice."""
    peak = max((float(np.abs(x[np.isfinite(x)]).max(initial=0.0)) for x in parts()), default=0.0)
    if peak <= 0:
        return None
    counts, size = np.zeros(_BINS, int), 0
    for x in parts():
        values = np.abs(x[np.isfinite(x)])
        counts, size = counts + np.histogram(values, _BINS, (0.0, peak))[0], size + values.size
    best, level = _BUMP, None
    for cell in range(_LOWEST, _BINS - _TOP + 1):
        pile = counts[cell : cell + _TOP].sum()
        before = counts[cell - 1 - _BASE : cell - 1].mean()
        enough = _FEWEST <= pile <= _STEADY * size
        if enough and pile / _TOP > best * max(before, 1.0):
            best, level = pile / _TOP / max(before, 1.0), cell / _BINS * peak
    return level


def _level(parts: Parts) -> tuple[float, int]:
    """Level at which the top of (channel, time) is cut off and samples there, or inf and 0."""
    peak = max(float(x[np.isfinite(x)].max(initial=-math.inf)) for x in parts())
    if peak <= 0:
        return math.inf, 0
    least = 2 * _TOLERANCE * peak
    width = max(least, _grid(parts, peak, least))
    if width > _COARSE * peak:
        return math.inf, 0
    counts, top = np.zeros(_CELLS + 2, int), _Distinct()
    flat = still = 0  # runs of equal samples at the level, and pairs of them
    # Of each channel the last sample, and whether it is the second of a pair.
    before: NDArray[np.float64] | None = None
    paired: NDArray[np.bool_] | None = None
    for x in parts():
        values = x[np.isfinite(x)]
        near = values[values > _NEAR * peak]
        cells = np.clip((peak - near) / width + 0.5, 0, _CELLS + 1).astype(int)
        counts += np.bincount(cells, minlength=_CELLS + 2)
        top.add(near[near > peak - width / 2])
        joined = x if before is None else np.concatenate([before, x], axis=1)
        at = joined > peak - width / 2
        equal = at[:, 1:] & at[:, :-1] & (joined[:, 1:] == joined[:, :-1])
        known = np.zeros((len(x), 1), bool) if paired is None else paired
        still += int(equal.sum())
        flat += int((equal & ~np.concatenate([known, equal[:, :-1]], axis=1)).sum()) if equal.size else 0
        before, paired = joined[:, -1:], equal[:, -1:] if equal.size else known
    if counts[0] <= _PILE * counts[1:-1].max() or flat < _RUNS or still + flat < _FLAT:
        return math.inf, 0
    return top.median(), int(counts[0])


class _Distinct:
    """Values that were met, and how often: of those near a peak there are few."""

    def __init__(self) -> None:
        self.values, self.counts = np.zeros(0), np.zeros(0, int)

    def add(self, values: NDArray[np.float64]) -> None:
        new, often = np.unique(values, return_counts=True)
        self.values, place = np.unique(np.concatenate([self.values, new]), return_inverse=True)
        self.counts = np.bincount(place, np.concatenate([self.counts, often])).astype(int)

    def median(self) -> float:
        last = np.cumsum(self.counts)
        middle = ((last[-1] - 1) // 2, last[-1] // 2)
        return float(np.mean(self.values[np.searchsorted(last, middle, side="right")]))


def _grid(parts: Parts, peak: float, least: float) -> float:
    """Least distance of two different values near the peak, or anywhere where those are all alike.

    It is not looked for below `least`, so that there are no more than a few thousand values to remember.
    """
    near, every = np.zeros(0), np.zeros(0)
    for x in parts():
        values = x[np.isfinite(x)]
        if _step(near) > least:
            near = np.unique(np.concatenate([near, values[values > _NEAR * peak]]))
        if _step(every) > least:
            every = np.unique(np.concatenate([every, values]))
        elif _step(near) <= least:
            break
    step = _step(near if len(near) > 2 else every)
    return step if math.isfinite(step) else 0.0


def _step(values: NDArray[np.float64]) -> float:
    return float(np.diff(values).min()) if len(values) > 1 else math.inf
