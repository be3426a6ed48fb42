"""Noise: the stationary part of a recording, as loud in its pauses as under the sound."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import percentile_filter, uniform_filter1d
from torch import Tensor

from audiofix.errors import InputError
from audiofix.faults.frames import WIDTH, power_frames, variance

_LEAST = 16  # frames
_LOWEST = 0.02  # quantile over frames from which the search for the noise's mean starts
_CUT, _ROUNDS = 1.5, 60  # times the mean: louder frames hold sound; rounds of the fixed point
_AROUND, _LOW = (
    260.0,
    30,
)  # Hz, and a percentile of the bins there: between the partials of a sound there is noise alone
_FAINT, TOO_MANY = 16.0, 1.2  # so many times below the mean, noise is rarer than what fades
_INAUDIBLE_DB = 45.0


@dataclass(frozen=True, eq=False)
class Noise:
    """Stationary noise under a recording.

    Attributes
    ----------
    std
        Standard deviation of all of it, full scale 1: the root mean square of `profile`.
    db_below
        How far it is below the rest, power to power, <= 45.
    profile
        (1025,) float32 standard deviation at frequencies from 0 to half the sample rate: white noise of standard
        deviation s has s everywhere.
    """

    std: float
    db_below: float
    profile: Tensor


def find_noise(samples: Tensor, sample_rate: int) -> Noise | None:
    """Noise that goes on evenly, from the faint frames of each frequency.

    The power of noise in a bin is exponentially distributed over frames. Its mean m is looked for among the frames
    below 1.5 m, from below. A low percentile over 260 Hz leaves out partials that sound on, and with them hum and
    whistles. Sound that fades has more frames far below the mean than noise has, and is told apart by it; sound
    that goes on evenly is not.

    Parameters
    ----------
    samples
        (channel, time), full scale +-1. Frames with digital silence or what is not finite are left out.
    sample_rate
        Hz, > 0.

    Returns
    -------
    Noise or None
        None where nothing is stationary, where it is more than 45 dB below the rest, and below 16 frames of 2048.
    """
    return noise_among(power_frames(samples.detach().cpu().double().numpy()), sample_rate)


def noise_among(frames: NDArray[np.float64], sample_rate: int) -> Noise | None:
    """`find_noise` of a recording with these power spectra (frame, 1025)."""
    if len(frames) < _LEAST:
        return None
    around = 2 * max(4, round(_AROUND * WIDTH / sample_rate / 2)) + 1
    power = percentile_filter(steady(frames), _LOW, size=around, mode="mirror")
    noise, total = variance(power), variance(frames.mean(axis=0))
    if noise <= 0 or fading(frames, power) > TOO_MANY:
        return None
    ratio = 10 * math.log10(max(total / noise - 1, 1e-3))
    if ratio > _INAUDIBLE_DB:
        return None
    smooth = uniform_filter1d(power, around // 2, mode="mirror")
    return Noise(math.sqrt(noise), ratio, torch.from_numpy(np.sqrt(smooth)).float())


def steady(frames: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean power of the noise in each bin, (frame, bin) to (bin,): the fixed point of a mean of what is faint."""
    share = 1 - _CUT * math.exp(-_CUT) / -math.expm1(
        -_CUT
    )  # mean of an exponential below the cut, its own mean 1
    mean = np.quantile(frames, _LOWEST, axis=0) / -math.log1p(-_LOWEST)
    for _ in range(_ROUNDS):
        faint = frames < _CUT * mean
        mean = np.sum(frames * faint, axis=0) / np.maximum(faint.sum(axis=0), 1) / share
    return mean


def fading(frames: NDArray[np.float64], power: NDArray[np.float64]) -> float:
    """Share of the faint frames that are very faint, relative to noise of that power: 1 for noise."""
    expected = math.expm1(-1 / _FAINT) / math.expm1(-_CUT)
    return float((frames < power / _FAINT).sum() / max(1, (frames < _CUT * power).sum()) / expected)


def profile_of(samples: Tensor) -> Tensor:
    """Profile of a recording that holds nothing but noise.

    Parameters
    ----------
    samples
        (channel, time), full scale +-1. Frames with digital silence or what is not finite are left out.

    Returns
    -------
    Tensor
        (1025,) float32 standard deviation at frequencies from 0 to half the sample rate: white noise of standard
        deviation s has s everywhere.

    Raises
    ------
    InputError
        No frame of 2048 samples with noise in it.
    """
    frames = power_frames(samples.detach().cpu().double().numpy())
    if not len(frames):
        raise InputError(
            f"the noise has {samples.shape[-1]} samples and no {WIDTH} of them without silence; give a longer part"
        )
    return torch.from_numpy(np.sqrt(frames.mean(axis=0))).float()
