"""The stochastic second-order sampler against the exact law of its own chain; its order against the exact flow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from audiofix.errors import DivergenceError, SettingError
from audiofix.numerics.rng import noise_source
from audiofix.numerics.schedule import Schedule, geometric_sigmas
from audiofix.samplers import heun
from audiofix.samplers.base import drive
from tests.samplers.broken import HEUN_MUTANTS, HEUN_STEP_MUTANTS
from tests.samplers.laws import heun_law, law_violations
from tests.samplers.problem import from_the_smoothed_prior, problem, run_walk
from tests.samplers.test_langevin import CHAINS, TIME

SCHEDULE = Schedule(geometric_sigmas(0.5, 0.05, 4), steps=2, step_scale=0.3)
# Schedule wants a step scale above 0; in float64 1 + 1e-20 is 1, and the path is that without noise.
NOISELESS = 1e-20


@pytest.mark.parametrize("projected", [True, False], ids=["projected", "prior"])
@pytest.mark.parametrize("gamma", [NOISELESS, 0.3])
def test_chain_follows_its_exact_law(projected: bool, gamma: float) -> None:
    schedule = replace(SCHEDULE, step_scale=gamma)
    samples = run_walk(heun.heun_annealing, schedule, projected, seed=21)
    assert law_violations(samples, *heun_law(*problem(schedule, projected))) == []


@pytest.mark.parametrize(("name", "mutant"), HEUN_MUTANTS, ids=lambda f: getattr(f, "__name__", f))
def test_broken_steps_are_caught(name: str, mutant: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heun, name, mutant)
    try:
        samples = run_walk(heun.heun_annealing, SCHEDULE, projected=True, seed=21)
    except DivergenceError:
        return
    assert law_violations(samples, *heun_law(*problem(SCHEDULE, projected=True))) != []


VARIANCE, HIGH, LOW = 0.04, 0.5, 0.05


def flow_error(steps: int) -> float:
    """Error of the noiseless chain against the flow of N(0, v): x sqrt((v + low^2) / (v + high^2))."""
    schedule = Schedule((HIGH, 0.2, LOW), steps, NOISELESS)
    x = torch.ones(1, 1, 1, dtype=torch.float64)
    noise = noise_source((1, 1, 1), 0)
    end = drive(heun.heun_annealing(x, lambda state, s: -state / (VARIANCE + s**2), schedule, noise))
    return abs(end.item() - ((VARIANCE + LOW**2) / (VARIANCE + HIGH**2)) ** 0.5)


def test_error_falls_with_the_square_of_the_step() -> None:
    errors = [flow_error(steps) for steps in (16, 32, 64, 128)]
    # An error c h^2 + d h^3 divides by 4 + O(h); h, the step in log sigma, is at most 0.09 here.
    ratios = [a / b for a, b in pairwise(errors)]
    assert all(3.6 < ratio < 4.4 for ratio in ratios), ratios
    assert errors[-1] < 1e-4


@pytest.mark.parametrize("mutant", HEUN_STEP_MUTANTS, ids=lambda f: f.__name__)
def test_broken_steps_lose_the_order(mutant: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heun, "heun_step", mutant)
    assert flow_error(64) / flow_error(128) < 2.5


def test_with_noise_it_tends_to_the_smoothed_prior() -> None:
    """Of the law: gamma halved as the steps double, the error of the variances falls fourfold."""
    sigmas = SCHEDULE.sigmas
    errors = [from_the_smoothed_prior(heun_law, Schedule(sigmas, n, 3.2 / n)) for n in (16, 32, 64)]
    assert errors[0] / errors[1] == pytest.approx(4, abs=0.8)
    assert errors[1] / errors[2] == pytest.approx(4, abs=0.4)


def test_noise_fits_the_level_after_every_step() -> None:
    """A prior that is certain (covariance zero) leaves nothing but noise: its power is exactly the level's."""
    noise = noise_source((CHAINS, 1, TIME), 1)
    x = SCHEDULE.sigmas[0] * noise(-1, 0).double()
    chain = heun.heun_annealing(x, lambda state, sigma: -state / sigma**2, SCHEDULE, noise)
    ladder = geometric_sigmas(0.5, 0.05, 7)
    for (state, _), following in zip(chain, ladder[1:], strict=True):
        ratio = state.x.square().mean() / following**2
        # Mean square of n standard normals: standard deviation sqrt(2 / n); 5 of them.
        assert abs(ratio - 1) < 5 * (2 / state.x.numel()) ** 0.5


def test_it_asks_two_scores_a_step_and_none_beyond_the_ladder() -> None:
    asked: list[float] = []

    def score(x: Tensor, sigma: float) -> Tensor:
        asked.append(sigma)
        return -x / (VARIANCE + sigma**2)

    noise = noise_source((1, 1, 4), 0)
    steps = list(heun.heun_annealing(torch.ones(1, 1, 4), score, SCHEDULE, noise))
    assert len(asked) == 2 * len(steps) == 2 * 3 * SCHEDULE.steps
    assert max(asked) <= SCHEDULE.sigmas[0]
    assert min(asked) == asked[-1] == SCHEDULE.sigmas[-1]
    assert [(state.level, state.step) for state, _ in steps] == [(i, j) for i in range(3) for j in range(2)]
    assert [(info.done, info.total) for _, info in steps] == [(i, 6) for i in range(1, 7)]


def test_a_ladder_of_one_level_hands_x_on() -> None:
    x = torch.ones(1, 1, 4)
    chain = list(
        heun.heun_annealing(x, lambda *_: 1 / 0, Schedule((0.1,), 3, 0.2), noise_source((1, 1, 4), 0))
    )
    assert len(chain) == 1
    assert torch.equal(chain[0][0].x, x)


def test_more_noise_than_there_is_is_refused() -> None:
    assert heun.moves(replace(SCHEDULE, step_scale=2**0.5 - 1))
    with pytest.raises(SettingError, match=r"0\.5 does not fit.*from 0.* to 0\.4142.*give one"):
        run_walk(heun.heun_annealing, replace(SCHEDULE, step_scale=0.5), projected=True, seed=1)
