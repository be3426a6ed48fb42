"""Resampling against sines, whose resampled values are known."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from audiofix.audio.resample import band_join, band_split, resample
from audiofix.errors import SettingError
from audiofix.types import Audio

RATES = [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000]
PAIRS = [(44_100, 16_000), (48_000, 16_000), (16_000, 44_100), (16_000, 8_000), (22_050, 48_000)]


def sine(frequency: float, rate: int, seconds: float = 1.0, channels: int = 1) -> Tensor:
    time = torch.arange(int(seconds * rate), dtype=torch.float64) / rate
    return (0.5 * torch.sin(2 * math.pi * frequency * time + 0.7)).float().repeat(channels, 1)


def middle(samples: Tensor) -> Tensor:
    """Without the ends, where a sine starts and stops and is no sine."""
    return samples[:, samples.shape[1] // 4 : -samples.shape[1] // 4]


@given(st.sampled_from(RATES), st.sampled_from(RATES), st.integers(0, 3000), st.integers(1, 3))
@settings(max_examples=60)
def test_length_is_the_ceiling(from_rate: int, to_rate: int, length: int, channels: int) -> None:
    out = resample(torch.ones(channels, length), from_rate, to_rate)
    assert out.shape == (channels, math.ceil(length * to_rate / from_rate))
    assert out.dtype == torch.float32
    assert out.isfinite().all()


@given(st.sampled_from(RATES), st.sampled_from(RATES), st.integers(1, 2000), st.integers(0, 5000))
@settings(max_examples=60)
def test_length_is_the_one_asked_for(from_rate: int, to_rate: int, length: int, wanted: int) -> None:
    assert resample(torch.ones(1, length), from_rate, to_rate, wanted).shape == (1, wanted)


def test_equal_rates_change_nothing() -> None:
    x = torch.randn(2, 999, generator=torch.Generator().manual_seed(0))
    assert resample(x, 44_100, 44_100) is x
    assert torch.equal(resample(x, 44_100, 44_100, 500), x[:, :500])
    assert torch.equal(resample(x, 44_100, 44_100, 1200)[:, :999], x)


@pytest.mark.parametrize(("from_rate", "to_rate"), PAIRS)
@pytest.mark.parametrize("part", [0.01, 0.3, 0.85])
def test_a_sine_keeps_amplitude_and_phase(from_rate: int, to_rate: int, part: float) -> None:
    frequency = part * min(from_rate, to_rate) / 2
    out = resample(sine(frequency, from_rate, channels=2), from_rate, to_rate)
    wanted = sine(frequency, to_rate, channels=2)
    # soxr may droop by 0.01 dB towards the end of its pass band; below that only float32 rounding is left.
    assert (middle(out) - middle(wanted)).abs().max() < (6e-4 if part > 0.5 else 1e-5)


@pytest.mark.parametrize(("from_rate", "to_rate"), [(44_100, 16_000), (48_000, 16_000), (16_000, 8_000)])
@pytest.mark.parametrize("above", [1.02, 1.3])
def test_a_tone_above_the_new_nyquist_vanishes(from_rate: int, to_rate: int, above: float) -> None:
    x = sine(above * to_rate / 2, from_rate)
    assert middle(resample(x, from_rate, to_rate)).abs().max() < 0.5e-4  # -80 dB


def test_upsampling_adds_nothing_above_the_old_nyquist() -> None:
    x = torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))
    window = torch.hann_window(44_100, dtype=torch.float64)
    power = torch.fft.rfft(resample(x, 16_000, 44_100).double() * window).abs().square()[0]
    assert power[8_100:].mean() < 1e-8 * power[:7_000].mean()


def test_channels_stay_apart() -> None:
    x = torch.stack([sine(440, 16_000)[0], torch.zeros(16_000)])
    assert not resample(x, 16_000, 44_100)[1].any()


def test_rates_must_be_positive() -> None:
    with pytest.raises(SettingError, match="positive"):
        resample(torch.ones(1, 9), 0, 8_000)


@pytest.mark.parametrize(
    ("rate", "model_rate"), [(44_100, 16_000), (48_000, 22_050), (16_000, 16_000), (8_000, 16_000)]
)
def test_bands_add_up_to_the_recording(rate: int, model_rate: int) -> None:
    samples = torch.rand(2, 10_007, generator=torch.Generator().manual_seed(0)) * 2 - 1
    audio = Audio(samples, rate, "PCM_16", "FLAC", {"title": "x"})
    low, high = band_split(audio, model_rate)
    assert (low.sample_rate, high.sample_rate) == (model_rate, rate)
    assert low.length == math.ceil(10_007 * model_rate / rate)
    back = band_join(low, high)
    assert (back.samples - samples).abs().max() <= 2 * torch.finfo(torch.float32).eps
    assert (back.sample_rate, back.subtype, back.container) == (rate, "PCM_16", "FLAC")
    assert back.tags == {"title": "x"}


def test_each_tone_is_in_its_own_band() -> None:
    audio = Audio(sine(1_000, 44_100) + sine(12_000, 44_100), 44_100)
    low, high = band_split(audio, 16_000)
    assert (middle(low.samples) - middle(sine(1_000, 16_000))).abs().max() < 1e-4
    assert (middle(high.samples) - middle(sine(12_000, 44_100))).abs().max() < 1e-4
