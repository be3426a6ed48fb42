"""One draw of the sources: every sampler in the table keeps the sum, the seed and the start."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from audiofix.numerics.schedule import Schedule, geometric_sigmas
from audiofix.posterior import prior_score
from audiofix.separation import SAMPLERS, draw_sources, mean_of_draws
from tests.samplers.laws import (
    consistent_law,
    heun_law,
    langevin_law,
    law_violations,
    predictor_corrector_law,
)
from tests.samplers.test_langevin import RECORDING, SIZE, SOURCES, TIME, joint_precision, priors

SCHEDULE = Schedule(geometric_sigmas(0.5, 0.02, 12), steps=3, step_scale=0.9)
SCHEDULES = {"heun": replace(SCHEDULE, step_scale=0.3)}  # a share of fresh noise, sqrt(2) - 1 at most
PRIOR = prior_score([p.score for p in priors()])


def draw(sampler: str, batch: int = 50, **options: object) -> torch.Tensor:
    mixture = RECORDING.expand(batch, TIME)
    settings = {"seed": 1, "sampler": sampler, **options}
    schedule = SCHEDULES.get(sampler, SCHEDULE)
    return draw_sources(mixture, PRIOR, 2, schedule, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("kappa", [None, 1.5], ids=["projected", "guided"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sources_add_up_and_repeat(sampler: str, kappa: float | None) -> None:
    first = draw(sampler, kappa=kappa)
    assert first.shape == (50, 2, TIME)
    assert torch.allclose(first.sum(dim=1), RECORDING.expand(50, TIME), atol=1e-14)
    assert torch.equal(first, draw(sampler, kappa=kappa))
    assert not torch.equal(first, draw(sampler, kappa=kappa, seed=2))
    assert not torch.equal(first, draw(sampler, kappa=kappa, draw=1))


LAWS = {
    "langevin": langevin_law,
    "ncsn": langevin_law,
    "consistent": consistent_law,
    "heun": heun_law,
    "predictor-corrector": predictor_corrector_law,
}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_draws_follow_the_exact_law_to_the_last_denoising(sampler: str) -> None:
    identity = torch.eye(SIZE, dtype=torch.float64)
    mix = torch.eye(TIME, dtype=torch.float64).repeat(1, SOURCES)
    projector, offset = identity - mix.T @ mix / SOURCES, mix.T @ RECORDING / SOURCES
    schedule = SCHEDULES.get(sampler, SCHEDULE)
    start = offset, schedule.sigmas[0] ** 2 * identity
    mean, cov = LAWS[sampler](*start, joint_precision, schedule, projector, offset)
    # The last Tweedie step and projection are linear too.
    sigma = schedule.sigmas[-1]
    precision, centre = joint_precision(sigma)
    turn = projector @ (identity - sigma**2 * precision)
    mean, cov = turn @ mean + sigma**2 * projector @ precision @ centre + offset, turn @ cov @ turn.T
    drawn = draw(sampler, batch=20_000).reshape(-1, SIZE)
    assert law_violations(drawn, mean, cov) == []


def test_start_matters_when_the_ladder_starts_low() -> None:
    short = Schedule((0.01,), steps=1, step_scale=1.0)
    start = torch.stack([RECORDING, torch.zeros(TIME).double()])[None]
    near = draw_sources(RECORDING[None], PRIOR, 2, short, seed=0, start=start)
    far = draw_sources(RECORDING[None], PRIOR, 2, short, seed=0)
    assert (near - start).abs().max() < (far - start).abs().max()


def test_mean_of_draws() -> None:
    one, two = torch.zeros(1, 2, 3), torch.ones(1, 2, 3)
    assert torch.equal(mean_of_draws([one, two]), torch.full((1, 2, 3), 0.5))
