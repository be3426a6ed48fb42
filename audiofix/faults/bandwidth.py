"""Bandwidth: the frequency above which a recording holds practically nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from audiofix.faults.frames import WIDTH, power_frames

_LOUD_DB = -30.0  # relative to the loudest frame
_DROP_DB = 25.0
_FAR, _NEAR = 450.0, 150.0  # Hz: from so far to so near below an edge is the band, so near above it the floor
_FADE = 0.4  # of the drop that may be lost on as many Hz before: more, and the sound fades
_SMOOTH = 100.0  # Hz
_HIGHEST = 0.93  # of Nyquist: higher ones are the filters of converters


@dataclass(frozen=True)
class Cutoff:
    """Where a recording's band ends.

    Attributes
    ----------
    hertz
        Where the spectrum is half-way, in decibels, from what is below to what is above.
    drop_db
        From the spectrum just below to the highest point above, >= 25.
    """

    hertz: float
    drop_db: float


def find_cutoff(samples: Tensor, sample_rate: int) -> Cutoff | None:
    """The frequency at which the long-term spectrum drops by 25 dB or more within 500 Hz, and stays down.

    The spectrum is the mean over the frames that are at most 30 dB below the loudest, smoothed over 100 Hz.
    Where it fades before it drops, as under a gentle filter, there is no cutoff; nor in a few tones.

    Parameters
    ----------
    samples
        (channel, time), full scale +-1. Frames with digital silence or what is not finite are left out.
    sample_rate
        Hz, > 0.

    Returns
    -------
    Cutoff or None
        None for the full band, a cutoff above 0.93 of half the sample rate, and less than 2048 samples.
    """
    return cutoff_among(power_frames(samples.detach().cpu().double().numpy()), sample_rate)


def cutoff_among(frames: NDArray[np.float64], sample_rate: int) -> Cutoff | None:
    """`find_cutoff` of a recording with these power spectra (frame, 1025)."""
    power = frames.sum(axis=1)
    if not len(frames) or power.max() <= 0:
        return None
    spectrum = frames[power >= power.max() * 10 ** (_LOUD_DB / 10)].mean(axis=0)
    step = sample_rate / WIDTH  # Hz from bin to bin
    smooth = 2 * round(_SMOOTH / step / 2) + 1
    smoothed = np.convolve(spectrum, np.ones(smooth) / smooth, "same")
    level = 10 * np.log10(smoothed + 1e-30)
    return _steepest(level, step, smooth)


def _steepest(level: NDArray[np.float64], step: float, smooth: int) -> Cutoff | None:
    """The largest drop of a spectrum in dB, (bin,) with `step` Hz between bins."""
    far, near = round(_FAR / step), round(_NEAR / step)
    top = len(level) - 1 - smooth  # Nyquist's own neighbourhood holds what resampling filters leave
    edges = np.arange(2 * far, top - near)
    if not len(edges):
        return None
    highest = np.maximum.accumulate(level[top::-1])[::-1]  # from each bin to the top
    medians = np.median(np.lib.stride_tricks.sliding_window_view(level, far - near), axis=1)
    below = medians[edges - far]
    drops = below - highest[edges + near]
    best = int(np.argmax(drops))
    fade = medians[edges[best] - 2 * far] - below[best]
    # A gentle filter drops little more than it faded just before.
    if drops[best] - max(0.0, fade) < _DROP_DB or fade > _FADE * drops[best]:
        return None
    last = int(np.flatnonzero(level[: top + 1] >= below[best] - drops[best] / 2)[-1])
    hertz = (last - smooth // 2) * step  # smoothing carries the edge that far
    if hertz > _HIGHEST * (len(level) - 1) * step:
        return None
    return Cutoff(hertz, float(drops[best]))
