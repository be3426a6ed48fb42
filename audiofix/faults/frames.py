"""Short-term power spectra that the finders share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]

WIDTH, HOP = 2048, 1024  # samples
BINS = WIDTH // 2 + 1
_MOST = 8192  # frames: minutes tell as much as hours, and fit in memory
_TOGETHER = 512  # frames transformed at once: copies of all of them would be half a gigabyte
_PARTS = 4  # of a frame: one without any change is digital silence


def power_frames(x: Signal) -> Signal:
    """Hann power spectra (frame, 1025) of (channel, time), the frames of all channels in one list.

    In units of variance: white noise of standard deviation s has mean s^2 in every bin. Left out are frames with
    digital silence or what is not finite; of more than 8192 frames as many, spread evenly. There may be none.
    """
    return power_of_parts(lambda channel, start, stop: x[channel, start:stop], *x.shape)


def power_of_parts(read: Callable[[int, int, int], Signal], channels: int, time: int) -> Signal:
    """As `power_frames`; `read` gives samples [start, stop) of a channel, (stop - start,)."""
    each = max(0, time - WIDTH) // HOP + 1 if time >= WIDTH else 0
    total = channels * each
    chosen = np.unique(np.linspace(0, max(0, total - 1), min(_MOST, total)).round().astype(int))
    found = [np.zeros((0, BINS))]
    for first in range(0, len(chosen), _TOGETHER):
        places = [divmod(int(number), each) for number in chosen[first : first + _TOGETHER]]
        found.append(_powers(np.stack([read(c, HOP * place, HOP * place + WIDTH) for c, place in places])))
    return np.concatenate(found)


def _powers(frames: Signal) -> Signal:
    """Power spectra of those of (frame, WIDTH) that hold sound."""
    frames = frames[np.isfinite(frames).all(axis=1)]
    moves = np.ptp(frames.reshape(len(frames), _PARTS, WIDTH // _PARTS), axis=2) > 0
    frames = frames[moves.all(axis=1)]
    window = np.hanning(WIDTH + 1)[:-1]  # periodic
    return np.abs(np.fft.rfft(frames * window)) ** 2 / np.sum(window**2)


def variance(power: Signal) -> float:
    """Variance of a signal whose power spectrum in units of variance is (1025,): the mean over both halves."""
    return float((2 * power.sum() - power[0] - power[-1]) / WIDTH)
