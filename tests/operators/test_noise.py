"""Noise: the mean of two Gaussians, of one number or frequency by frequency, against dense matrices."""

from __future__ import annotations

import math

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from audiofix.errors import SettingError
from audiofix.operators.base import Projects
from audiofix.operators.noise import Noise
from tests.operators.test_laws import random

EPS, SINGLE = torch.finfo(torch.float64).eps, torch.finfo(torch.float32).eps
STDS = st.floats(1e-4, 1)
VARIANCES = st.floats(1e-6, 1)
TIMES = st.integers(1, 64)


def coloured(bins: int) -> Tensor:
    """From loud to quiet, with a bump."""
    place = torch.linspace(0, 1, bins, dtype=torch.float64)
    return 0.3 - 0.25 * place + 0.1 * torch.sin(7 * place)


def rounding(time: int) -> float:
    """Relative error in norm of two FFTs in float32, as in test_band."""
    return 2 * 3 * 7 * SINGLE * math.log2(4 * time + 2)


def densities(profile: Tensor, time: int) -> Tensor:
    """Power at the DFT bins of so many samples, along straight lines between those of the profile."""
    found = []
    for k in range(time // 2 + 1):
        place = k / (time / 2) * (len(profile) - 1)
        left = min(int(place), len(profile) - 2)
        share = place - left
        found.append((1 - share) * profile[left] ** 2 + share * profile[left + 1] ** 2)
    return torch.stack(found)


def circulant(spectrum: Tensor, time: int) -> Tensor:
    """The covariance of noise round a circle: first row from the powers, the others shifted."""
    row = torch.fft.irfft(spectrum.to(torch.complex128), n=time)
    places = torch.arange(time)
    return row[(places[:, None] - places) % time]


@hypothesis.settings(max_examples=40)
@hypothesis.given(STDS, VARIANCES, TIMES)
def test_white_is_the_exact_posterior_mean(std: float, variance: float, time: int) -> None:
    estimate, y = random(2, 1, time), random(2, 1, time, seed=1)
    # The smaller variance counts more.
    expected = (estimate / variance + y / std**2) / (1 / variance + 1 / std**2)
    for profile in (torch.tensor([std], dtype=torch.float64), torch.full((9,), std, dtype=torch.float64)):
        found = Noise(profile).combine(estimate, y, variance)
        assert (found - expected).abs().max() <= 8 * EPS * (estimate.abs() + y.abs()).max()
    assert Noise(torch.tensor([std])).white


@hypothesis.settings(max_examples=40)
@hypothesis.given(VARIANCES, TIMES, st.integers(2, 40))
def test_coloured_is_the_exact_posterior_mean(variance: float, time: int, bins: int) -> None:
    profile = coloured(bins)
    estimate, y = random(2, 1, time), random(2, 1, time, seed=1)
    found = Noise(profile).combine(estimate, y, variance)
    covariance = circulant(densities(profile, time), time)
    gain = variance * torch.linalg.inv(variance * torch.eye(time) + covariance)
    expected = estimate + (y - estimate) @ gain.T
    # Weights are at most 1; the difference goes through FFTs in float32, the dense inverse is far finer.
    assert (found - expected).norm() <= 2 * rounding(time) * (y - estimate).norm()
    assert found.dtype == torch.float64


@pytest.mark.parametrize("time", [2, 63, 64, 1000])
def test_each_frequency_has_its_wiener_gain(time: int) -> None:
    profile, variance = coloured(17), 0.01
    y = random(1, 1, time)
    found = Noise(profile).combine(torch.zeros_like(y), y, variance)
    gain = variance / (variance + densities(profile, time))
    error = torch.fft.rfft(found) - gain * torch.fft.rfft(y)
    assert error.norm() <= 2 * rounding(time) * torch.fft.rfft(y).norm()
    # Broken twins: standard deviations for powers, and the profile the other way round.
    for wrong in (variance / (variance + densities(profile, time).sqrt()), gain.flip(0)):
        error = torch.fft.rfft(found) - wrong * torch.fft.rfft(y)
        assert error.norm() > 100 * rounding(time) * torch.fft.rfft(y).norm()


@pytest.mark.parametrize("time", [1, 2, 3, 50, 51])
def test_a_flat_profile_of_many_bins_is_white(time: int) -> None:
    flat = torch.full((65,), 0.1, dtype=torch.float64)
    nearly = flat.clone()
    nearly[7] *= 1 + 4 * EPS  # enough to be told apart: the coloured way is taken
    assert Noise(flat).white
    assert not Noise(nearly).white
    estimate, y = random(1, 1, time), random(1, 1, time, seed=1)
    white, other = (Noise(p).combine(estimate, y, 0.02) for p in (flat, nearly))
    assert (white - other).norm() <= 2 * rounding(time) * (y - estimate).norm()
    assert Noise(flat).std == pytest.approx(0.1, rel=4 * EPS)


def test_it_lies_between_and_tends_to_either() -> None:
    estimate, y = random(1, 1, 64), random(1, 1, 64, seed=1)
    for profile in (torch.tensor([0.1]), coloured(9)):
        sure, unsure = (Noise(profile).combine(estimate, y, v) for v in (1e-12, 1e12))
        # A weight of v / (v + n^2), n from 0.05 to 0.4: 4e-10 from either end, and float32 in the FFT.
        assert (sure - estimate).abs().max() < 4e-10 * (y - estimate).norm()
        assert (unsure - y).norm() < 2 * rounding(64) * (y - estimate).norm()


def test_the_standard_deviation_is_that_of_the_whole() -> None:
    """Of noise of that density: variance is the mean of the powers, by Parseval."""
    profile = coloured(4097)
    time = 1 << 14
    spectrum = torch.fft.rfft(random(20, time)) * densities_fast(profile, time).sqrt()
    wave = torch.fft.irfft(spectrum, n=time)
    # A mean square of n coloured samples: relative deviation below sqrt(2 / n) times peak over mean power.
    crest = float(profile.square().max() / profile.square().mean())
    assert wave.std() / Noise(profile).std == pytest.approx(
        1, abs=5 * math.sqrt(2 * crest / wave.numel()) / 2
    )
    assert Noise(torch.tensor([0.25])).std == 0.25


def densities_fast(profile: Tensor, time: int) -> Tensor:
    power = profile.square()[None, None]
    return torch.nn.functional.interpolate(power, time // 2 + 1, mode="linear", align_corners=True)[0, 0]


@pytest.mark.parametrize("profile", [torch.tensor([0.1]), coloured(9).float()])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_is_kept(profile: Tensor, dtype: torch.dtype) -> None:
    estimate, y = random(2, 1, 50).to(dtype), random(2, 1, 50, seed=1).to(dtype)
    found = Noise(profile).combine(estimate, y, 0.01)
    assert (found.dtype, found.shape) == (dtype, y.shape)
    exact = Noise(profile.double()).combine(estimate.double(), y.double(), 0.01)
    assert (found - exact).norm() <= 2 * rounding(50) * (y - estimate).norm()


def test_noise_is_no_projection() -> None:
    assert not isinstance(Noise(torch.tensor([0.1])), Projects)


@pytest.mark.parametrize(
    "profile",
    [
        torch.ones(0), torch.ones(2, 2), torch.tensor(1.0), torch.tensor([1.0, 0.0]), torch.tensor([1.0, -1.0]),
        torch.tensor([1.0, math.nan]), torch.tensor([math.inf]),
    ],
)  # fmt: skip
def test_bad_profiles_are_refused(profile: Tensor) -> None:
    with pytest.raises(SettingError, match=r"\Aa noise profile is one row .*; measure it anew\Z"):
        Noise(profile)


def test_what_is_loud_in_one_band_leaves_the_others_alone() -> None:
    """Where noise is known to be weak the recording comes back, however loud it is elsewhere in a long file."""
    time, edge = 160_000, 512
    profile = torch.cat([torch.full((edge,), 1e-6), torch.full((edge + 1,), 0.1)]).double()
    estimate = 0.1 * random(1, 1, time)
    y = estimate + random(1, 1, time, seed=1)
    low = slice(time // 5)  # well below the edge, which is half of all bins
    variance = 1e-2

    def error(found: Tensor) -> float:
        spectrum = torch.fft.rfft(found - y, norm="ortho")[..., low]
        return float(spectrum.abs().max())

    # The weight there differs from 1 by (1e-6)^2 / variance; all else is rounding of two FFTs (see test_band).
    most = (1e-12 / variance + 2 * rounding(time) * EPS / SINGLE) * float((y - estimate).norm())
    assert error(Noise(profile).combine(estimate, y, variance)) <= most
    # A broken twin: the difference in float32, as a spectrum whose loud bins leave their rounding everywhere.
    weight = torch.fft.rfft((y - estimate).float()).to(torch.complex128)
    assert error(estimate + torch.fft.irfft(weight, n=time)) > most
