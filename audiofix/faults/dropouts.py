"""Drop-outs: a stretch of one value, cut out of sound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]

SHORTEST, LONGEST = 0.002, 0.25  # seconds; a longer stretch of nothing is an edit or a gate
_BODY, _EDGE = 0.005, 0.001  # seconds of sound looked at beside the stretch, and of its very end
_LOUD_DB = -30.0  # below the recording's RMS there is little to cut, and pauses are gated
_CUT_DB = -18.0  # sum over both ends of edge relative to body: a fade loses more, a cut about nothing
_STEPS = 8.0  # RMS beside the stretch in steps of the sample grid: less, and rounding made the silence


def runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and one past the last of each stretch of True in (time,)."""
    edges = np.flatnonzero(np.diff(np.pad(flags, 1).astype(np.int8)))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def bridged(x: Signal, lost: NDArray[np.bool_]) -> Signal:
    """(time,) with straight lines where `lost`, which must leave a sample."""
    if not lost.any():
        return x
    known = np.flatnonzero(~lost)
    return np.where(lost, np.interp(np.arange(len(x)), known, x[known]), x)


@dataclass(frozen=True)
class Overall:
    """What a recording is as a whole: root mean square of all channels, least and greatest sample of each."""

    rms: float
    low: Signal
    high: Signal


def overall(x: Signal) -> Overall:
    """Of (channel, time), finite."""
    return Overall(float(np.sqrt(np.mean(x**2))), x.min(axis=1), x.max(axis=1))


def find_dropouts(x: Signal, sample_rate: int, whole: Overall | None = None) -> list[tuple[int, int]]:
    """Stretches of one value in all channels, 2 to 250 ms, that begin and end abruptly in sound.

    x: (channel, time), finite. Returns first and one past the last sample of each. Stretches at the extremes of
    the recording are clipping, those at its ends no cuts. whole: of the recording that x is a part of.
    """
    time = x.shape[1]
    still = (np.diff(x, axis=1) == 0).all(axis=0)
    whole = whole or overall(x)
    rms, low, high = whole.rms, whole.low, whole.high
    found = []
    for start, last in runs(still):
        stop = last + 1  # n equal differences are n + 1 equal samples
        value = x[:, start]
        if not SHORTEST * sample_rate <= stop - start <= LONGEST * sample_rate or start == 0 or stop == time:
            continue
        clipped = bool(np.any((value != 0) & ((value == low) | (value == high))))
        if not clipped and _is_cut(x, start, stop, rms, sample_rate):
            found.append((start, stop))
    return found


def _is_cut(x: Signal, start: int, stop: int, rms: float, sample_rate: int) -> bool:
    body, edge = max(8, round(_BODY * sample_rate)), max(4, round(_EDGE * sample_rate))
    offset = x[:, start, None]
    before = x[:, max(0, start - body) : start] - offset
    after = (x[:, stop : stop + body] - offset)[:, ::-1]
    fall = 0.0
    for side in (before, after):  # both with the cut at their end
        level, end = np.sqrt(np.mean(side**2)), np.sqrt(np.mean(side[:, -edge:] ** 2))
        if level <= rms * 10 ** (_LOUD_DB / 20) or end == 0:
            return False
        moves = np.abs(np.diff(side, axis=1))
        if not moves.any() or level < _STEPS * moves[moves > 0].min():
            return False
        fall += min(0.0, 20 * float(np.log10(end / level)))
    return fall >= _CUT_DB
