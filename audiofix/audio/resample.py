"""Changing the sample rate, and splitting off what a lower rate cannot hold."""

from __future__ import annotations

import math
from dataclasses import replace

import soxr
import torch
from torch import Tensor
from torch.nn.functional import pad

from audiofix.errors import SettingError
from audiofix.types import Audio


def resample(samples: Tensor, from_rate: int, to_rate: int, length: int | None = None) -> Tensor:
    """Band-limited resampling without delay (soxr, its best quality); outside the recording is silence.

    Parameters
    ----------
    samples
        (channel, time) float32; any range.
    from_rate, to_rate
        Hz, > 0.
    length
        Samples to return in each channel, zero-padded or cut; ceil(time * to_rate / from_rate) unless given.

    Returns
    -------
    Tensor
        (channel, length) float32 on the CPU; the samples themselves where nothing has to change.

    Raises
    ------
    SettingError
        A rate that is not positive.
    """
    if min(from_rate, to_rate) <= 0:
        raise SettingError(f"cannot resample from {from_rate} to {to_rate} Hz; give positive rates")
    channels, time = samples.shape
    if length is None:
        length = -(-time * to_rate // from_rate)
    if from_rate == to_rate:
        return samples if length == time else pad(samples, (0, length - time))
    if not samples.numel() or not length:
        return torch.zeros(channels, length)
    # soxr rounds its output's length; silence after the end makes sure that there is enough of it to cut.
    enough = math.ceil((length + 1) * from_rate / to_rate)
    extended = pad(samples.detach().float().cpu(), (0, max(0, enough - time))).T.contiguous()
    changed = soxr.resample(extended.numpy(), from_rate, to_rate, quality="VHQ")
    return torch.from_numpy(changed[:length].T.copy())


def band_split(audio: Audio, model_rate: int) -> tuple[Audio, Audio]:
    """Split into what a model at a lower rate can work on, and the rest.

    Parameters
    ----------
    audio
        At its own sample rate.
    model_rate
        Hz, > 0.

    Returns
    -------
    low, high
        The recording at `model_rate`, and at the file's rate what is missing from it, so that
        `band_join(low, high)` is the recording to float32 rounding.
    """
    samples = resample(audio.samples, audio.sample_rate, model_rate)
    low = replace(audio, samples=samples, sample_rate=model_rate)
    high = audio.samples - resample(low.samples, model_rate, audio.sample_rate, audio.length)
    return low, replace(audio, samples=high)


def band_join(low: Audio, high: Audio) -> Audio:
    """Undo `band_split`: the low band, resampled to the high band's rate and length, plus the high band."""
    samples = high.samples + resample(low.samples, low.sample_rate, high.sample_rate, high.length)
    return replace(high, samples=samples)
