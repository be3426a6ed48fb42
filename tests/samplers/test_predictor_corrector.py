"""Predictor-corrector sampling against the exact law of its own chain under Gaussian priors."""

from __future__ import annotations

import pytest
import torch

from audiofix.errors import DivergenceError
from audiofix.numerics.rng import noise_source
from audiofix.numerics.schedule import Schedule, geometric_sigmas
from audiofix.samplers import predictor_corrector as pc
from audiofix.samplers.base import drive
from audiofix.samplers.langevin import annealed_langevin
from tests.samplers.broken import PREDICTOR_MUTANTS
from tests.samplers.laws import law_violations, predictor_corrector_law
from tests.samplers.problem import from_the_smoothed_prior, problem, run_walk
from tests.samplers.test_langevin import CHAINS, RECORDING, SOURCES, TIME

SCHEDULE = Schedule(geometric_sigmas(0.5, 0.05, 4), steps=2, step_scale=0.2)


@pytest.mark.parametrize("projected", [True, False], ids=["projected", "prior"])
def test_chain_follows_its_exact_law(projected: bool) -> None:
    samples = run_walk(pc.predictor_corrector, SCHEDULE, projected, seed=31)
    assert law_violations(samples, *predictor_corrector_law(*problem(SCHEDULE, projected))) == []
    if projected:
        # One projection per step: the round-off of one sum of two float64 numbers of order 1.
        assert (samples.reshape(CHAINS, SOURCES, TIME).sum(dim=1) - RECORDING).abs().max() < 1e-14


@pytest.mark.parametrize(("name", "mutant"), PREDICTOR_MUTANTS, ids=lambda f: getattr(f, "__name__", f))
def test_broken_steps_are_caught(name: str, mutant: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pc, name, mutant)
    try:
        samples = run_walk(pc.predictor_corrector, SCHEDULE, projected=True, seed=31)
    except DivergenceError:
        return
    assert law_violations(samples, *predictor_corrector_law(*problem(SCHEDULE, projected=True))) != []


def test_predictor_tends_to_the_smoothed_prior() -> None:
    """Of the law: twice the levels halve the error of the variances, corrector steps too short to matter."""
    errors = [
        from_the_smoothed_prior(predictor_corrector_law, Schedule(geometric_sigmas(0.5, 0.05, n), 1, 1e-9))
        for n in (81, 161, 321)
    ]
    assert errors[0] / errors[1] == pytest.approx(2, abs=0.2)
    assert errors[1] / errors[2] == pytest.approx(2, abs=0.1)


def test_corrector_mends_what_the_predictor_leaves() -> None:
    """Of the law: on a short ladder more corrector steps bring the variances nearer, down to their own bias."""
    errors = [
        from_the_smoothed_prior(predictor_corrector_law, Schedule((0.2, 0.1, 0.05), steps, 0.05))
        for steps in (1, 100, 4000)
    ]
    assert errors[0] > 2 * errors[1]
    # Every precision is below 1 / sigma^2, so that the bias of Langevin is below that of eta p = 0.05.
    assert errors[2] < 1 / (1 - 0.05 / 2) - 1


def test_predictor_leaves_too_much_noise_of_a_certain_prior() -> None:
    sigma, following = 0.5, 0.3
    noise = noise_source((CHAINS, 1, TIME), 1)
    x = sigma * noise(-1, 0).double()
    after = pc.predictor_step(x, -x / sigma**2, sigma, following, noise(1, 0).double())
    expected = following**2 + (1 - following**2 / sigma**2) ** 2 * sigma**2
    # Mean square of n standard normals: standard deviation sqrt(2 / n); 5 of them.
    assert abs(after.square().mean() / expected - 1) < 5 * (2 / x.numel()) ** 0.5


def test_each_state_is_counted() -> None:
    noise = noise_source((1, 1, 4), 0)
    asked: list[float] = []

    def score(x: torch.Tensor, sigma: float) -> torch.Tensor:
        asked.append(sigma)
        return -x

    states = list(pc.predictor_corrector(torch.ones(1, 1, 4), score, SCHEDULE, noise))
    a, b, c, d = SCHEDULE.sigmas
    assert asked == [a, b, b, b, c, c, c, d, d]
    assert [(state.level, state.step) for state, _ in states] == [
        (i, j) for i in (1, 2, 3) for j in (0, 1, 2)
    ]
    assert [(info.done, info.total) for _, info in states] == [(i, 9) for i in range(1, 10)]


def test_a_ladder_of_one_level_is_plain_langevin() -> None:
    schedule = Schedule((0.1,), 3, 0.2)
    noise = noise_source((1, 1, 4), 0)

    def later(level: int, step: int) -> torch.Tensor:
        return noise(level, step + 1)

    args = torch.ones(1, 1, 4), lambda x, s: -x / s**2, schedule
    assert torch.equal(drive(pc.predictor_corrector(*args, noise)), drive(annealed_langevin(*args, later)))
