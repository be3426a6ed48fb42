"""The noise that is continued above a cut-off: measured where it is known; what is not noise is taken for none."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from audiofix.audio.resample import resample
from audiofix.faults.background import background

RATE, CUTOFF = 16000, 4000.0
SECONDS = 6


def white(seed: int = 0) -> Tensor:
    return torch.randn(1, SECONDS * RATE, generator=torch.Generator().manual_seed(seed))


def bursts(every: float = 1.0, fading: float = 0.02) -> Tensor:
    """Sound that comes and goes: half of the time there is none."""
    time = torch.arange(SECONDS * RATE) / RATE
    gate = ((time % every) < every / 2).float()
    return gate * white(9) * torch.exp(-(time % every) / fading / 20)


def low(samples: Tensor) -> Tensor:
    """Without what is above the cut-off, as a recording of half the rate is."""
    return resample(resample(samples, RATE, RATE // 2), RATE // 2, RATE, samples.shape[1])


@pytest.mark.parametrize("std", [1e-2, 1e-3, 3e-5])
@pytest.mark.parametrize("seed", [0, 1])
def test_noise_is_found_under_sound(std: float, seed: int) -> None:
    """Within 1.5 dB: the 30th percentile over 16 bins of means of 80 frames lies below the mean by no more."""
    found = background(low(0.1 * bursts() + std * white(seed)), RATE, CUTOFF)
    assert abs(20 * math.log10(found / std)) < 1.5


def test_at_any_rate_the_density_is_the_same() -> None:
    """At half the rate white noise of the same density has half the variance: 1 / sqrt(2)."""
    noise = 0.01 * white()
    whole = background(low(noise), RATE, CUTOFF)
    half = background(resample(noise, RATE, RATE // 2), RATE // 2, CUTOFF)
    assert abs(20 * math.log10(half * 2**0.5 / whole)) < 0.5


def test_what_falls_with_frequency_is_left_alone() -> None:
    spectrum = torch.fft.rfft(0.01 * white())
    hertz = torch.linspace(0, RATE / 2, spectrum.shape[1])
    falling = torch.fft.irfft(spectrum * (500 / hertz.clamp(min=500)) ** 2, n=SECONDS * RATE)
    assert background(low(falling), RATE, CUTOFF) == 0


def test_of_sound_that_fades_only_where_it_ends_counts() -> None:
    """Its mean over time is 40 times louder than its end; the frames around the end are within 10 dB of it."""
    time = torch.arange(SECONDS * RATE) / RATE
    found = background(low(white() * torch.exp(-4 * (time % 1.5))), RATE, CUTOFF)
    assert found < 10**0.5 * math.exp(-4 * 1.5)


@pytest.mark.parametrize("length", [0, 1, 2047, 8000])
def test_too_short_to_tell(length: int) -> None:
    assert background(0.1 * white()[:, :length], RATE, CUTOFF) == 0


def test_silence_has_none() -> None:
    assert background(torch.zeros(1, RATE), RATE, CUTOFF) == 0
