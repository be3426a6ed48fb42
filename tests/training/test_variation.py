"""Windows varied in brightness and hiss: `audiofix.training.variation`."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from audiofix.errors import SettingError
from audiofix.numerics.schedule import ROUNDING
from audiofix.training.config import TrainConfig
from audiofix.training.variation import HISS_CURVE_DB, ROUNDED_SIGMAS, Variation, varied, with_rounding

RATE = 16000


def test_nothing_asked_gives_the_very_windows_and_draws_nothing() -> None:
    clean, generator = torch.randn(2, 512) * 0.1, np.random.default_rng(0)
    assert varied(clean, Variation(), RATE, generator) is clean
    assert generator.bit_generator.state == np.random.default_rng(0).bit_generator.state


def test_hiss_has_its_level_and_is_there_where_the_recording_is_silent() -> None:
    how = Variation(hiss=1.0, hiss_db=(-70.0, -70.0))
    found = varied(torch.zeros(3, 16384), how, RATE, np.random.default_rng(1))
    level = 20 * torch.log10(found.square().mean(dim=1).sqrt())
    assert torch.allclose(level, torch.full((3,), -70.0), atol=1e-3)  # scaled by its own RMS


def test_hiss_is_spread_over_all_bands() -> None:
    how = Variation(hiss=1.0, hiss_db=(-60.0, -60.0))
    found = varied(torch.zeros(16, 32768), how, RATE, np.random.default_rng(2))
    power = torch.fft.rfft(found).abs().square()
    thirds = torch.stack([part.mean(dim=1) for part in power.chunk(3, dim=1)], dim=1)
    apart = 10 * torch.log10(thirds.amax(dim=1) / thirds.amin(dim=1))
    # The curve stays within +-HISS_CURVE_DB; a mean of 5461 bins errs by 1.4 %, 0.06 dB, here and there.
    assert float(apart.max()) < 2 * HISS_CURVE_DB + 0.5


def test_equalising_moves_tones_within_its_range_and_no_further() -> None:
    time = torch.arange(16384) / RATE
    tones = torch.stack([torch.sin(2 * math.pi * hertz * time) for hertz in (250.0, 1000.0, 4000.0)]) * 0.1
    how = Variation(equalise=1.0, equalise_db=(3.0, 8.0))
    found = varied(tones, how, RATE, np.random.default_rng(3))
    middle = slice(2048, -2048)  # a filter's tails at the ends
    gain = 10 * torch.log10(found[:, middle].square().mean(dim=1) / tones[:, middle].square().mean(dim=1))
    assert float(gain.min()) > 2.9
    assert float(gain.max()) < 8.1


def test_shares_are_those_asked_for_and_peaks_stay_within_full_scale() -> None:
    clean = torch.full((400, 64), 0.999)
    found = varied(clean, Variation(hiss=0.25, hiss_db=(-30.0, -30.0)), RATE, np.random.default_rng(4))
    touched = (found != clean).any(dim=1).float().mean()
    assert abs(float(touched) - 0.25) < 4 * math.sqrt(0.25 * 0.75 / 400)
    assert float(found.abs().max()) <= 1.0


def test_the_same_generator_gives_the_same_windows() -> None:
    clean = torch.randn(4, 1024, generator=torch.Generator().manual_seed(0)) * 0.1
    how = Variation(equalise=0.5, hiss=0.5)
    first, second = (varied(clean, how, RATE, np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, varied(clean, how, RATE, np.random.default_rng(6)))


def test_where_rounding_is_asked_for_what_comes_is_the_rounded_sound_and_within_its_levels_alone() -> None:
    draws = torch.Generator().manual_seed(0)
    clean = torch.randn(5, 4096, generator=draws) * 0.1
    noise = torch.randn(5, 4096, generator=draws)
    low, high = ROUNDED_SIGMAS
    sigma = torch.tensor([0.5 * low, low, 0.01, high, 2 * high])
    found = with_rounding(clean, sigma, noise, 1.0, np.random.default_rng(0))
    assert torch.equal(found[0], noise[0])
    assert torch.equal(found[4], noise[4])
    for row in (1, 2, 3):
        step = float(sigma[row]) / ROUNDING
        steps = (clean + sigma[:, None] * found)[row].double() / step
        # An amplitude of 0.5 in float32, over the step.
        assert float((steps - steps.round()).abs().max()) < 4 * 2**-25 / step + 1e-6
        assert float(found[row].abs().max()) <= 0.5 / ROUNDING * (1 + 1e-3)
        assert not torch.equal(found[row], noise[row])


def test_a_share_of_windows_is_rounded_and_none_where_none_is_asked_for() -> None:
    clean, noise = torch.full((400, 8), 0.123), torch.full((400, 8), 9.0)
    sigma, generator = torch.full((400,), 0.01), np.random.default_rng(7)
    share = (with_rounding(clean, sigma, noise, 0.3, generator) != noise).any(dim=1).float().mean()
    assert abs(float(share) - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 400)
    before = generator.bit_generator.state
    assert with_rounding(clean, sigma, noise, 0.0, generator) is noise
    assert generator.bit_generator.state == before


@pytest.mark.parametrize(
    "table",
    [
        {"rounded": 1.1},
        {"hiss": 1.5},
        {"equalise": -0.1},
        {"hiss_db": (-50.0, -90.0)},
        {"equalise_db": (1.0, 0.0)},
    ],
)
def test_what_cannot_be_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(SettingError, match="variation"):
        Variation(**table)  # type: ignore[arg-type]


def test_a_config_says_which_key_it_does_not_know() -> None:
    with pytest.raises(SettingError, match="variation"):
        TrainConfig(name="x", source="speech", train=("a",), valid=("b",), variation={"his": 1.0})
