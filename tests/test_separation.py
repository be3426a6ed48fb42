"""One draw of the sources: every sampler in the table keeps the sum, the seed and the start."""

from __future__ import annotations

import pytest
import torch

from audiofix.numerics.schedule import Schedule, geometric_sigmas
from audiofix.posterior import prior_score
from audiofix.separation import SAMPLERS, draw_sources, mean_of_draws
from tests.samplers.test_langevin import RECORDING, TIME, priors

SCHEDULE = Schedule(geometric_sigmas(0.5, 0.02, 12), steps=3, step_scale=0.9)
PRIOR = prior_score([p.score for p in priors()])


def draw(sampler: str, batch: int = 50, **options: object) -> torch.Tensor:
    mixture = RECORDING.expand(batch, TIME)
    settings = {"seed": 1, "sampler": sampler, **options}
    return draw_sources(mixture, PRIOR, 2, SCHEDULE, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("kappa", [None, 1.5], ids=["projected", "guided"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_sources_add_up_and_repeat(sampler: str, kappa: float | None) -> None:
    first = draw(sampler, kappa=kappa)
    assert first.shape == (50, 2, TIME)
    assert torch.allclose(first.sum(dim=1), RECORDING.expand(50, TIME), atol=1e-14)
    assert torch.equal(first, draw(sampler, kappa=kappa))
    assert not torch.equal(first, draw(sampler, kappa=kappa, seed=2))
    assert not torch.equal(first, draw(sampler, kappa=kappa, draw=1))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_mean_of_many_draws_is_near_the_posterior_mean(sampler: str) -> None:
    first, second = priors()
    total = first.covariance + second.covariance
    gap = RECORDING - first.mean - second.mean
    exact = torch.stack([p.mean + p.covariance @ torch.linalg.solve(total, gap) for p in (first, second)])
    count = 4000
    drawn = draw(sampler, batch=count)
    # Spread of a draw over sqrt(count), 5 of them; and the ladder's own bias: it started from equal shares, and
    # after 36 steps a fifth of the way to the posterior mean may be missing.
    allowed = 5 * drawn.std(dim=0) / count**0.5 + 0.2 * (exact - RECORDING / 2).abs().max()
    assert ((drawn.mean(dim=0) - exact).abs() < allowed).all()


def test_start_matters_when_the_ladder_starts_low() -> None:
    short = Schedule((0.01,), steps=1, step_scale=1.0)
    start = torch.stack([RECORDING, torch.zeros(TIME).double()])[None]
    near = draw_sources(RECORDING[None], PRIOR, 2, short, seed=0, start=start)
    far = draw_sources(RECORDING[None], PRIOR, 2, short, seed=0)
    assert (near - start).abs().max() < (far - start).abs().max()


def test_mean_of_draws() -> None:
    one, two = torch.zeros(1, 2, 3), torch.ones(1, 2, 3)
    assert torch.equal(mean_of_draws([one, two]), torch.full((1, 2, 3), 0.5))
