"""Short-term power spectra that the finders share."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WIDTH, HOP = 2048, 1024  # samples
BINS = WIDTH // 2 + 1
_MOST = 8192  # frames: minutes tell as much as hours, and fit in memory
_PARTS = 4  # of a frame: one without any change is digital silence


def power_frames(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hann power spectra (frame, 1025) of (channel, time), the frames of all channels in one list.

    In units of variance: white noise of standard deviation s has mean s^2 in every bin. Left out are frames with
    digital silence or what is not finite; of more than 8192 frames as many, spread evenly. There may be none.
    """
    if x.shape[1] < WIDTH:
        return np.zeros((0, BINS))
    views = np.lib.stride_tricks.sliding_window_view(x, WIDTH, axis=1)[:, ::HOP]
    total = views.shape[0] * views.shape[1]
    chosen = np.unique(np.linspace(0, total - 1, min(_MOST, total)).round().astype(int))
    frames = views[chosen // views.shape[1], chosen % views.shape[1]]
    frames = frames[np.isfinite(frames).all(axis=1)]
    moves = np.ptp(frames.reshape(len(frames), _PARTS, WIDTH // _PARTS), axis=2) > 0
    frames = frames[moves.all(axis=1)]
    window = np.hanning(WIDTH + 1)[:-1]  # periodic
    return np.abs(np.fft.rfft(frames * window)) ** 2 / np.sum(window**2)


def variance(power: NDArray[np.float64]) -> float:
    """Variance of a signal whose power spectrum in units of variance is (1025,): the mean over both halves."""
    return float((2 * power.sum() - power[0] - power[-1]) / WIDTH)
