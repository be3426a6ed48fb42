"""Annealed Langevin against the exact law of its own chain under Gaussian priors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from audiofix.errors import DivergenceError
from audiofix.numerics.rng import noise_source
from audiofix.numerics.schedule import Schedule, geometric_sigmas
from audiofix.operators.base import Measurement
from audiofix.operators.mixture import Mixture
from audiofix.posterior import guided_score, prior_score
from audiofix.priors.gaussian import GaussianPrior
from audiofix.samplers import langevin
from audiofix.samplers.base import drive
from tests.samplers.broken import MUTANTS
from tests.samplers.laws import langevin_law, law_violations

CHAINS, SOURCES, TIME = 20_000, 2, 4
SIZE = SOURCES * TIME
SCHEDULE = Schedule(geometric_sigmas(0.5, 0.05, 4), steps=5, step_scale=0.3)
KAPPA = 0.5


def priors() -> list[GaussianPrior]:
    """A slow and a fast source of unequal power, with means."""
    lags = (torch.arange(TIME)[:, None] - torch.arange(TIME)).abs().double()
    covariances = (0.04 * 0.9**lags, 0.02 * (-0.5) ** lags)
    means = (torch.linspace(-0.1, 0.1, TIME).double(), torch.full((TIME,), 0.05).double())
    return [GaussianPrior(m, c, 16000) for m, c in zip(means, covariances, strict=True)]


RECORDING = torch.tensor([0.3, -0.1, 0.2, 0.0], dtype=torch.float64)


def joint_precision(sigma: float) -> tuple[Tensor, Tensor]:
    """P and m of the two sources' prior score, sources one after the other."""
    both = priors()
    return torch.block_diag(*(p.precision(sigma) for p in both)), torch.cat([p.mean for p in both])


def guided_precision(sigma: float) -> tuple[Tensor, Tensor]:
    """P and m of prior plus soft measurement: completing the square."""
    prior, centre = joint_precision(sigma)
    mix = torch.eye(TIME, dtype=torch.float64).repeat(1, SOURCES)
    weight = 1 / (KAPPA * sigma**2)
    total = prior + weight * mix.T @ mix
    return total, torch.linalg.solve(total, prior @ centre + weight * mix.T @ RECORDING)


def run_chain(kappa: float | None, seed: int) -> Tensor:
    both = [p.score for p in priors()]
    y = RECORDING.expand(CHAINS, 1, TIME)
    noise = noise_source((CHAINS, SOURCES, TIME), seed)
    x = SCHEDULE.sigmas[0] * noise(-1, 0).double()
    operator = Mixture()
    if kappa is None:
        chain = langevin.annealed_langevin(
            x, prior_score(both), SCHEDULE, noise, lambda state: operator.project(state, y)
        )
    else:
        chain = langevin.annealed_langevin(
            x, guided_score(prior_score(both), Measurement(operator, y), kappa), SCHEDULE, noise
        )
    return drive(chain).reshape(CHAINS, SIZE)


def exact_law(kappa: float | None) -> tuple[Tensor, Tensor]:
    start = (
        torch.zeros(SIZE, dtype=torch.float64),
        SCHEDULE.sigmas[0] ** 2 * torch.eye(SIZE, dtype=torch.float64),
    )
    identity = torch.eye(SIZE, dtype=torch.float64)
    if kappa is not None:
        return langevin_law(*start, guided_precision, SCHEDULE, identity, torch.zeros(SIZE).double())
    mix = torch.eye(TIME, dtype=torch.float64).repeat(1, SOURCES)
    projector = identity - mix.T @ mix / SOURCES
    return langevin_law(*start, joint_precision, SCHEDULE, projector, mix.T @ RECORDING / SOURCES)


@pytest.mark.parametrize("kappa", [None, KAPPA], ids=["projected", "guided"])
def test_chain_follows_its_exact_law(kappa: float | None) -> None:
    assert law_violations(run_chain(kappa, seed=11), *exact_law(kappa)) == []


@pytest.mark.parametrize("kappa", [None, KAPPA], ids=["projected", "guided"])
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda f: f.__name__)
def test_broken_steps_are_caught(
    kappa: float | None, mutant: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(langevin, "langevin_step", mutant)
    try:
        samples = run_chain(kappa, seed=11)
    except DivergenceError:
        return
    assert law_violations(samples, *exact_law(kappa)) != []


def test_projected_chain_stays_on_the_sum() -> None:
    sums = run_chain(None, seed=3).reshape(CHAINS, SOURCES, TIME).sum(dim=1)
    # One projection per step: the round-off of one sum of two float64 numbers of order 1.
    assert (sums - RECORDING).abs().max() < 1e-14


# The next two look at the law itself; that the sampler follows it is tested above.


def test_bias_shrinks_in_proportion_to_the_step() -> None:
    """The stationary variance of one level is 1 / (p (1 - eta p / 2)): halving eta halves the excess."""
    precision = torch.tensor([[2.0]], dtype=torch.float64)
    excess = []
    for scale in (0.2, 0.1, 0.05):
        schedule = Schedule((1.0,), steps=4000, step_scale=scale)
        start = torch.zeros(1, dtype=torch.float64), torch.eye(1, dtype=torch.float64)
        identity = torch.eye(1, dtype=torch.float64)
        _, cov = langevin_law(
            *start,
            lambda _: (precision, torch.zeros(1).double()),
            schedule,
            identity,
            torch.zeros(1).double(),
        )
        assert cov.item() == pytest.approx(1 / (2 * (1 - scale * 2 / 2)), rel=1e-9)
        excess.append(cov.item() - 0.5)
    assert excess[0] / excess[1] == pytest.approx(2, abs=0.4)
    assert excess[1] / excess[2] == pytest.approx(2, abs=0.2)


def test_divergence_names_level_step_and_remedy() -> None:
    schedule = Schedule((1.0, 0.5), steps=400, step_scale=1.9)
    noise = noise_source((1, 1, 4), 0)
    chain = langevin.annealed_langevin(torch.ones(1, 1, 4), lambda x, s: 50 * x / s**2, schedule, noise)
    with pytest.raises(DivergenceError, match=r"level 1, step \d+ .*halve --step-scale"):
        drive(chain)


def test_the_ladder_ends_at_the_posterior() -> None:
    """After a long ladder the law is that of independent sources given their sum, up to the step's bias."""
    schedule = Schedule(geometric_sigmas(0.5, 0.02, 40), steps=400, step_scale=0.05)
    identity = torch.eye(SIZE, dtype=torch.float64)
    mix = torch.eye(TIME, dtype=torch.float64).repeat(1, SOURCES)
    projector = identity - mix.T @ mix / SOURCES
    start = torch.zeros(SIZE, dtype=torch.float64), 0.25 * identity
    mean, cov = langevin_law(*start, joint_precision, schedule, projector, mix.T @ RECORDING / SOURCES)
    precision, centre = joint_precision(schedule.sigmas[-1])
    prior_cov = torch.linalg.inv(precision)
    gain = prior_cov @ mix.T @ torch.linalg.inv(mix @ prior_cov @ mix.T)
    exact_mean = centre + gain @ (RECORDING - mix @ centre)
    exact_cov = prior_cov - gain @ mix @ prior_cov
    # A direction of precision p freezes where steps delta sigma^2 p falls below 1; there sigma^2 p = 1/20 of the
    # smoothing is still in its mean.
    moved = (exact_mean - mix.T @ RECORDING / SOURCES).abs().max()
    assert (mean - exact_mean).abs().max() < moved / (schedule.steps * schedule.step_scale)
    # A step eta inflates a direction of precision p by 1 / (1 - eta p / 2); eta p <= 0.05 here.
    values, vectors = torch.linalg.eigh(exact_cov)
    ratio = (vectors.T @ cov @ vectors).diagonal()[values > 1e-9] / values[values > 1e-9]
    assert ratio.min() > 1 - 1e-3
    assert ratio.max() < 1 / (1 - 0.05 / 2) + 1e-3
