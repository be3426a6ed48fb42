"""Langevin with a step for each frequency against the exact law of its own chain under Gaussian priors."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from audiofix.errors import DivergenceError, SettingError
from audiofix.numerics.rng import noise_source, unit_noise
from audiofix.numerics.schedule import Schedule, geometric_sigmas
from audiofix.samplers import preconditioned as pre
from audiofix.samplers.base import drive
from audiofix.samplers.langevin import annealed_langevin
from tests.samplers.broken import GAIN_MUTANTS
from tests.samplers.laws import langevin_law, law_violations
from tests.samplers.problem import problem, run_walk
from tests.samplers.test_langevin import CHAINS, RECORDING, SOURCES, TIME

SCHEDULE = Schedule(geometric_sigmas(0.5, 0.05, 4), steps=4, step_scale=0.2)
# At the levels 0.5 ... 0.05 its gains run from almost 1 to above the limit; at half the rate it is always 1.
SPECTRUM = torch.tensor([0.08, 0.01, 0.0], dtype=torch.float64)
LIMIT = 6.0
WALK = partial(pre.preconditioned_langevin, spectrum=SPECTRUM, limit=LIMIT)


def metric(sigma: float) -> Tensor:
    """M of both sources as a matrix, from its gains at 0, a quarter and half the sample rate, by cosines."""
    slow, middle, fast = (min(1 + s / sigma**2, LIMIT) for s in SPECTRUM.tolist())
    lag = torch.arange(TIME)[:, None] - torch.arange(TIME)
    one = (slow + 2 * middle * (math.pi / 2 * lag).cos() + fast * (math.pi * lag).cos()) / TIME
    return torch.block_diag(*[one.double()] * SOURCES)


def exact_law(projected: bool) -> tuple[Tensor, Tensor]:
    return langevin_law(*problem(SCHEDULE, projected), metric)


@pytest.mark.parametrize("projected", [True, False], ids=["projected", "prior"])
def test_chain_follows_its_exact_law(projected: bool) -> None:
    samples = run_walk(WALK, SCHEDULE, projected, seed=41)
    assert law_violations(samples, *exact_law(projected)) == []
    if projected:
        # One projection per step: the round-off of one sum of two float64 numbers of order 1.
        assert (samples.reshape(CHAINS, SOURCES, TIME).sum(dim=1) - RECORDING).abs().max() < 1e-14


@pytest.mark.parametrize("mutant", GAIN_MUTANTS, ids=lambda f: f.__name__)
def test_broken_steps_are_caught(mutant: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pre, "preconditioned_step", mutant)
    try:
        samples = run_walk(WALK, SCHEDULE, projected=True, seed=41)
    except DivergenceError:
        return
    assert law_violations(samples, *exact_law(projected=True)) != []


def test_the_target_is_that_of_plain_langevin() -> None:
    """Of the law: many small steps end at the same mean and covariance with and without a spectrum."""
    schedule = Schedule((0.1,), steps=4000, step_scale=0.01)
    (mean, cov), (mean_plain, cov_plain) = (
        langevin_law(*problem(schedule, True), chosen) for chosen in (metric, None)
    )
    assert (mean - mean_plain).abs().max() < 1e-6
    # eta M p is at most 0.06, and the bias of a variance then 1 / (1 - 0.06 / 2) - 1.
    assert (cov - cov_plain).norm() < 0.031 * cov_plain.norm()


@pytest.mark.parametrize("time", [16, 15])
def test_all_frequencies_relax_alike(time: int) -> None:
    """With the prior's own spectrum, no bound and no noise, a step leaves 1 - delta of everything."""
    # A straight line, so that reading between its five points is exact: the highest frequency of an odd length
    # lies below half the sample rate.
    spectrum = torch.linspace(2, 0, 5, dtype=torch.float64)
    power = 2 - 4 * torch.fft.rfftfreq(time, dtype=torch.float64)

    def score(x: Tensor, sigma: float) -> Tensor:
        return -torch.fft.irfft(torch.fft.rfft(x) / (power + sigma**2), n=time)

    sigma, delta = 0.01, 0.3
    x = unit_noise((2, 3, time), 5).double()
    gain = pre.frequency_gain(spectrum, time, sigma, math.inf)
    after = pre.preconditioned_step(x, score(x, sigma), delta * sigma**2, torch.zeros_like(x), gain)
    assert torch.allclose(after, (1 - delta) * x, rtol=0, atol=1e-10)


def test_without_a_spectrum_it_is_plain_langevin() -> None:
    noise = noise_source((2, SOURCES, TIME), 3)

    def score(x: Tensor, sigma: float) -> Tensor:
        return -x / (0.1 + sigma**2)

    args = torch.ones(2, SOURCES, TIME), score, SCHEDULE, noise
    for project in (None, lambda x: x - x.mean(dim=1, keepdim=True)):
        ours, plain = pre.preconditioned_langevin(*args, project), annealed_langevin(*args, project)
        for (state, info), (expected, expected_info) in zip(ours, plain, strict=True):
            assert torch.equal(state.x, expected.x)
            assert info == expected_info


def test_a_filter_of_gain_one_changes_nothing() -> None:
    noise = noise_source((2, SOURCES, TIME), 3)
    args = torch.ones(2, SOURCES, TIME).double(), lambda x, s: -x / (0.1 + s**2), SCHEDULE, noise
    silent = drive(pre.preconditioned_langevin(*args, spectrum=torch.zeros(3), limit=1))
    assert torch.allclose(silent, drive(annealed_langevin(*args)), rtol=0, atol=1e-13)


def test_gain_stays_between_one_and_the_limit() -> None:
    gain = pre.frequency_gain(torch.tensor([1.0, 1e-2, 1e-9]), 1000, 0.03, 8.0)
    assert gain.shape == (501,)
    assert gain.min() >= 1
    assert gain.max() == 8
    assert gain[-1] == pytest.approx(1 + 1e-9 / 0.03**2)


def test_spectrum_of_white_noise_is_its_variance() -> None:
    """The unit of a spectrum: the average of |rfft|^2 / time over signals."""
    waves = 0.3 * unit_noise((4000, 64), 9)
    spectrum = torch.fft.rfft(waves).abs().square().mean(dim=0) / 64
    # A power is an average of 4,000 (chi-square, at the two ends of one degree): 5 sqrt(2 / 4000) is 0.11.
    assert (pre.frequency_gain(spectrum, 64, 0.3, 10) - 2).abs().max() < 0.12


def test_steps_within_the_limit_never_diverge() -> None:
    """The stiffest prior, certain of its signal, under the spectrum of a loud one: the chain stays bounded."""
    noise = noise_source((4, 1, 64), 0)
    walk = partial(pre.preconditioned_langevin, spectrum=torch.full((5,), 10.0), limit=10)
    schedule = Schedule((0.1,), 500, 0.19)
    end = drive(walk(noise(-1, 0), lambda x, s: -x / s**2, schedule, noise))
    # The stationary variance is sigma^2 / (1 - 0.19 * 10 / 2) = 0.2; 6 standard deviations of 256 amplitudes.
    assert end.abs().max() < 6 * 0.2**0.5


@pytest.mark.parametrize(
    ("spectrum", "limit", "message"),
    [
        (torch.ones(3), 10.0, "--step-scale 0.2 .* must be below 0.2"),
        (torch.ones(3), 0.5, "1 or more and finite, got 0.5"),
        (torch.ones(3), math.inf, "1 or more and finite, got inf"),
        (torch.ones(2, 3), 4.0, "one row of powers"),
        (torch.tensor([1.0, -1.0]), 4.0, "one row of powers"),
        (torch.tensor([1.0, math.nan]), 4.0, "one row of powers"),
        (torch.ones(0), 4.0, "one row of powers"),
    ],
)
def test_what_does_not_fit_is_refused(spectrum: Tensor, limit: float, message: str) -> None:
    walk = partial(pre.preconditioned_langevin, spectrum=spectrum, limit=limit)
    with pytest.raises(SettingError, match=message):
        run_walk(walk, SCHEDULE, projected=True, seed=1)
