"""Consistent annealed sampling against the exact law of its own chain under Gaussian priors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from audiofix.errors import DivergenceError, SettingError
from audiofix.numerics.rng import noise_source
from audiofix.numerics.schedule import Schedule, geometric_sigmas
from audiofix.operators.mixture import Mixture
from audiofix.posterior import prior_score
from audiofix.samplers import consistent
from audiofix.samplers.base import drive
from tests.samplers.broken import CONSISTENT_MUTANTS
from tests.samplers.laws import consistent_law, law_violations
from tests.samplers.test_langevin import CHAINS, RECORDING, SIZE, SOURCES, TIME, joint_precision, priors

SCHEDULE = Schedule(geometric_sigmas(0.5, 0.05, 5), steps=3, step_scale=0.7)


def run_chain(schedule: Schedule, projected: bool, seed: int = 7) -> Tensor:
    y = RECORDING.expand(CHAINS, 1, TIME)
    noise = noise_source((CHAINS, SOURCES, TIME), seed)
    x = schedule.sigmas[0] * noise(-1, 0).double()
    operator = Mixture()
    project = (lambda state: operator.project(state, y)) if projected else None
    score = prior_score([p.score for p in priors()])
    return drive(consistent.consistent_annealing(x, score, schedule, noise, project)).reshape(CHAINS, SIZE)


def exact_law(schedule: Schedule, projected: bool) -> tuple[Tensor, Tensor]:
    identity = torch.eye(SIZE, dtype=torch.float64)
    mix = torch.eye(TIME, dtype=torch.float64).repeat(1, SOURCES)
    projector = identity - mix.T @ mix / SOURCES if projected else identity
    offset = mix.T @ RECORDING / SOURCES if projected else torch.zeros(SIZE).double()
    start = torch.zeros(SIZE).double(), schedule.sigmas[0] ** 2 * identity
    return consistent_law(*start, joint_precision, schedule, projector, offset)


@pytest.mark.parametrize("projected", [True, False], ids=["projected", "prior"])
@pytest.mark.parametrize("step_scale", [0.7, 1.0])
def test_chain_follows_its_exact_law(projected: bool, step_scale: float) -> None:
    schedule = Schedule(SCHEDULE.sigmas, SCHEDULE.steps, step_scale)
    assert law_violations(run_chain(schedule, projected), *exact_law(schedule, projected)) == []


@pytest.mark.parametrize("mutant", CONSISTENT_MUTANTS, ids=lambda f: f.__name__)
def test_broken_steps_are_caught(mutant: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consistent, "consistent_step", mutant)
    try:
        samples = run_chain(SCHEDULE, projected=True)
    except DivergenceError:
        return
    assert law_violations(samples, *exact_law(SCHEDULE, projected=True)) != []


def test_noise_fits_the_level_after_every_step() -> None:
    """A prior that is certain (covariance zero) leaves nothing but noise: its power is exactly the level's."""
    schedule = Schedule(geometric_sigmas(0.5, 0.05, 5), steps=2, step_scale=0.6)
    noise = noise_source((CHAINS, 1, TIME), 1)
    x = schedule.sigmas[0] * noise(-1, 0).double()
    chain = consistent.consistent_annealing(x, lambda state, sigma: -state / sigma**2, schedule, noise)
    sigmas = [s for s in schedule.sigmas for _ in range(schedule.steps)]
    for (state, _), following in zip(chain, [*sigmas[1:], sigmas[-1]], strict=True):
        ratio = state.x.square().mean() / following**2
        # Mean square of n standard normals: standard deviation sqrt(2 / n); 5 of them.
        assert abs(ratio - 1) < 5 * (2 / state.x.numel()) ** 0.5


def test_a_ladder_too_steep_for_the_step_is_refused() -> None:
    with pytest.raises(SettingError, match="more --levels"):
        run_chain(Schedule((0.5, 0.05), steps=1, step_scale=0.3), projected=True)


def test_its_draws_spread_half_as_much_as_the_posterior() -> None:
    """A known bias, written in the docs: with step scale 1 the mean is right and the covariance is half."""
    schedule = Schedule(geometric_sigmas(0.5, 0.002, 400), steps=1, step_scale=1.0)
    mean, cov = exact_law(schedule, projected=True)
    sigma = schedule.sigmas[-1]
    precision, centre = joint_precision(sigma)
    mix = torch.eye(TIME, dtype=torch.float64).repeat(1, SOURCES)
    project = torch.eye(SIZE, dtype=torch.float64) - mix.T @ mix / SOURCES
    clean = project @ (torch.eye(SIZE, dtype=torch.float64) - sigma**2 * precision)
    mean = clean @ mean + project @ precision @ centre * sigma**2 + mix.T @ RECORDING / SOURCES
    cov = clean @ cov @ clean.T
    prior_cov = torch.linalg.inv(precision)
    gain = prior_cov @ mix.T @ torch.linalg.inv(mix @ prior_cov @ mix.T)
    exact_mean = centre + gain @ (RECORDING - mix @ centre)
    ratio = cov.trace() / (prior_cov - gain @ mix @ prior_cov).trace()
    assert 0.45 < ratio < 0.55
    assert (mean - exact_mean).abs().max() < 0.02 * (exact_mean - mix.T @ RECORDING / SOURCES).abs().max()
