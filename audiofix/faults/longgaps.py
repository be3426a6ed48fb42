"""`find_gaps` of a recording that is read window by window."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audiofix.faults.clicks import find_clicks, segment_length
from audiofix.faults.dropouts import Overall, Signal, bridged, find_dropouts, runs
from audiofix.faults.gaps import FoundGap, joined

Read = Callable[[int, int], Signal]  # samples [start, stop), (channel, stop - start)
WINDOW = 1 << 20  # samples of a channel, or a segment of the finder of clicks if that is more


@dataclass(frozen=True)
class _Window:
    """Samples [start, stop) of the recording, seen with a segment around them, from `left` on."""

    start: int
    stop: int
    left: int
    x: Signal  # (channel, time), straight lines where samples are no numbers
    lost: NDArray[np.bool_]  # (time,)

    @property
    def core(self) -> slice:
        """Where [start, stop) lies."""
        return slice(self.start - self.left, self.stop - self.left)

    def own(self, spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Those that begin in [start, stop), counted in the recording."""
        moved = [(self.left + start, self.left + stop) for start, stop in spans]
        return [span for span in moved if self.start <= span[0] < self.stop]


def gaps_in_windows(read: Read, time: int, sample_rate: int, window: int = WINDOW) -> list[FoundGap]:
    """As `find_gaps` of (channel, time), read three times.

    The level that drop-outs and clicks are held against is summed up window by window, so its last bits may be
    others; where samples are no numbers for longer than a window's margin, 2 s, the line over them is level.
    """
    segment = segment_length(sample_rate)
    size = segment * max(1, window // segment)

    def windows() -> Iterator[_Window]:
        for start in range(0, time, size):
            stop, left = min(time, start + size), max(0, start - segment)
            raw = read(left, min(time, stop + segment))
            lost: NDArray[np.bool_] = np.logical_not(np.isfinite(raw).all(axis=0))
            whole = np.zeros_like(raw) if lost.all() else np.stack([bridged(row, lost) for row in raw])
            yield _Window(start, stop, left, whole, lost)

    found: list[FoundGap] = []
    power, known, low, high = 0.0, 0, None, None
    for one in windows():
        x = one.x[:, one.core]
        power += float(np.square(x).sum())
        known += int((~one.lost[one.core]).sum())
        low = x.min(axis=1) if low is None else np.minimum(low, x.min(axis=1))
        high = x.max(axis=1) if high is None else np.maximum(high, x.max(axis=1))
        found += [
            FoundGap(one.start + start, one.start + stop, "not a number")
            for start, stop in runs(one.lost[one.core])
        ]
    if low is None or high is None:
        return []
    if not known:
        return [FoundGap(0, time, "not a number")]
    channels = len(low)
    whole = Overall(math.sqrt(power / (channels * time)), low, high)
    silent = []
    for one in windows():
        spans = find_dropouts(one.x, sample_rate, whole)
        silent += one.own([span for span in spans if not one.lost[span[0] : span[1]].any()])
    found += [FoundGap(start, stop, "digital silence") for start, stop in silent]
    skipped = [_skipping(one, silent) for one in windows()]
    left_out, count = sum(total for total, _ in skipped), sum(number for _, number in skipped)
    rms = math.sqrt(max(0.0, power - left_out) / max(1, channels * (time - count)))
    for one in windows():
        lost = _with(one, silent)
        found += [
            FoundGap(start, stop, "click")
            for start, stop in one.own(find_clicks(one.x, sample_rate, lost, rms))
        ]
    return list(joined(sorted(found, key=lambda gap: gap.start)))


def _with(one: _Window, silent: list[tuple[int, int]]) -> NDArray[np.bool_]:
    """(time,) of a window: what is lost, drop-outs too."""
    lost = one.lost.copy()
    for start, stop in silent:
        lost[max(0, start - one.left) : max(0, stop - one.left)] = True
    return lost


def _skipping(one: _Window, silent: list[tuple[int, int]]) -> tuple[float, int]:
    """Sum of squares of what is lost in a window, and how many samples that is."""
    lost = _with(one, silent)[one.core]
    return float(np.square(one.x[:, one.core][:, lost]).sum()), int(lost.sum())
