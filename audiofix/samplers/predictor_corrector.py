"""Predictor-corrector sampling (Song et al. 2021, algorithm 2): a step of the reverse SDE, then Langevin steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from audiofix.numerics.rng import NoiseFor
from audiofix.numerics.schedule import Schedule
from audiofix.samplers.base import Info, State
from audiofix.samplers.langevin import langevin_step

ScoreFn = Callable[[Tensor, float], Tensor]
Projection = Callable[[Tensor], Tensor]


def predictor_step(x: Tensor, score: Tensor, sigma: float, following: float, noise: Tensor) -> Tensor:
    """One step of the reverse diffusion whose noise variance is sigma^2: x + fall score + sqrt(fall) noise.

    The variance falls by sigma^2 - following^2 (Song et al. 2021, algorithm 2, variance-exploding). `score`
    is the one at x and sigma. Too much noise stays: of a prior that is certain, (1 - r)^2 sigma^2 for
    r = following^2 / sigma^2.
    """
    fall = sigma**2 - following**2
    return x + fall * score + fall**0.5 * noise


def score_calls(schedule: Schedule) -> list[tuple[int, int]]:
    """Level and step of every score call: step 0 predicts this level from the one before, the others correct it.

    Nothing leads to the first level and its noise is fresh, so it is left alone, as published. A ladder of one
    level has nothing to predict: its level is corrected, which is plain Langevin.
    """
    if len(schedule.sigmas) == 1:
        return [(0, step) for step in range(1, schedule.steps + 1)]
    return [(level, step) for level in range(1, len(schedule.sigmas)) for step in range(schedule.steps + 1)]


def predictor_corrector(
    x: Tensor,
    score: ScoreFn,
    schedule: Schedule,
    noise: NoiseFor,
    project: Projection | None = None,
    begin: int = 0,
) -> Iterator[tuple[State, Info]]:
    """Walk down the ladder: on each level after the first one predicted state, then some Langevin steps.

    x: (batch, source, time) with noise of the first level. The corrector's step size is the level's own,
    delta sigma^2, in place of the signal-to-noise ratio by which Song et al. set it: the norms in that rule would
    tie the chains of a batch, and the chunks of a signal, to each other. `project` maps every state on an affine
    space, as in `annealed_langevin`.

    There are (levels - 1) (steps + 1) score calls. With a soft measurement of a mixture of N sources the predictor
    multiplies the residual by 1 - N (1 - r) / kappa: keep kappa above N (1 - r) / 2, r as in `predictor_step`.
    `begin`: steps that x has behind it.
    """
    if project is not None and begin == 0:
        x = project(x)
    calls = score_calls(schedule)
    for done, (level, step) in list(enumerate(calls))[begin:]:
        sigma, fresh = schedule.sigmas[level], noise(level, step).to(x)
        if step == 0:
            before = schedule.sigmas[level - 1]
            step_size = before**2 - sigma**2
            x = predictor_step(x, score(x, before), before, sigma, fresh)
        else:
            step_size = schedule.step_size(level)
            x = langevin_step(x, score(x, sigma), step_size, fresh)
        if project is not None:
            x = project(x)
        yield State(x, level, step), Info(sigma, step_size, done + 1, len(calls))
