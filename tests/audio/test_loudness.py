"""The working level: pauses, gain and channels do not fool it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from audiofix.audio.loudness import working_level
from audiofix.errors import InputError

RATE = 16_000


def noise(length: int = RATE, rms: float = 0.05) -> Tensor:
    x = torch.randn(1, length, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return rms * x / x.square().mean().sqrt()


def test_stationary_noise_reaches_the_target() -> None:
    x = noise()
    assert working_level(x, RATE) == pytest.approx(2.0)
    assert (x * working_level(x, RATE, 0.3)).square().mean().sqrt().item() == pytest.approx(0.3)


def test_pauses_do_not_count() -> None:
    x = noise()
    quiet = 1e-4 * noise(3 * RATE)  # -74 dB relative
    whole = torch.cat([quiet, x, torch.zeros(1, 5 * RATE)], dim=1)
    assert working_level(whole, RATE) == pytest.approx(2.0, rel=1e-3)


def test_what_is_just_loud_enough_counts() -> None:
    x, soft = noise(), 0.1 * noise()
    gain = working_level(torch.cat([x, soft], 1), RATE)
    assert gain == pytest.approx(0.1 / (0.05 * (1.01 / 2) ** 0.5), rel=1e-6)


@given(st.floats(1e-3, 1e3), st.integers(1, 2000))
def test_scaling_the_recording_scales_the_gain_back(scale: float, length: int) -> None:
    x = noise(length)
    assert working_level(scale * x, RATE) * scale == pytest.approx(working_level(x, RATE))


def test_a_last_frame_that_is_not_whole_is_not_diluted() -> None:
    assert working_level(torch.full((1, 321), 0.05, dtype=torch.float64), RATE) == pytest.approx(2.0)
    assert working_level(torch.full((1, 3), 0.05, dtype=torch.float64), RATE) == pytest.approx(2.0)


def test_power_is_averaged_over_channels() -> None:
    x = noise()
    assert working_level(x.repeat(2, 1), RATE) == pytest.approx(2.0)
    assert working_level(torch.cat([x, 0 * x]), RATE) == pytest.approx(2.0 * 2**0.5)


def test_the_gain_is_a_plain_float() -> None:
    assert type(working_level(noise().float(), RATE)) is float


@pytest.mark.parametrize("x", [torch.zeros(2, RATE), torch.zeros(1, 0), torch.full((1, RATE), 1e-7)])
def test_silence_is_refused(x: Tensor) -> None:
    with pytest.raises(InputError, match="silence"):
        working_level(x, RATE)
