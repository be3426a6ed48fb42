"""Stochastic second-order sampling (Karras et al. 2022, algorithm 2): some fresh noise, then a step of Heun's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise

from torch import Tensor

from audiofix.errors import SettingError
from audiofix.numerics.rng import NoiseFor
from audiofix.numerics.schedule import Schedule, geometric_sigmas
from audiofix.numerics.tweedie import denoised_from_score
from audiofix.samplers.base import Info, State

ScoreFn = Callable[[Tensor, float], Tensor]
Projection = Callable[[Tensor], Tensor]

# Karras 2022, algorithm 2: never more new noise than there is already, (1 + gamma)^2 - 1 <= 1.
LARGEST_CHURN = 2**0.5 - 1


def churn(x: Tensor, sigma: float, raised: float, noise: Tensor) -> Tensor:
    """Add noise, so that its level goes up from sigma to `raised` (Karras 2022, algorithm 2, line 6)."""
    return x + (raised**2 - sigma**2) ** 0.5 * noise


def slope(x: Tensor, score: ScoreFn, sigma: float, project: Projection | None) -> Tensor:
    """dx/dsigma of the probability flow, (x - D) / sigma, for D the clean estimate (Karras 2022, eqs. 1 and 3).

    D is projected where there is a projection: the flow then leads to what the measurement allows.
    """
    clean = denoised_from_score(x, score(x, sigma), sigma)
    target = clean if project is None else project(clean)
    return (x - target) / sigma


def heun_step(x: Tensor, flow: Callable[[Tensor, float], Tensor], sigma: float, following: float) -> Tensor:
    """From one noise level to the next along the mean of the slopes at both ends; `flow` gives the slope.

    The far end is guessed by a step along the first slope (Karras 2022, algorithm 2, lines 7 to 11).
    """
    first = flow(x, sigma)
    guess = x + (following - sigma) * first
    return x + (following - sigma) * (first + flow(guess, following)) / 2


def moves(schedule: Schedule) -> list[tuple[float, float, float]]:
    """For every step its noise level, the level after the fresh noise, and the level where it ends.

    Each interval of the ladder is cut into `schedule.steps` parts of equal ratio; one level has no interval.
    Gamma, the share by which the level goes up, is the step scale. It goes up to the ladder's first level at
    most (S_tmax in Karras 2022): priors need not know higher ones, and there all noise is fresh already.

    Raises SettingError where gamma is outside 0 ... sqrt(2) - 1.
    """
    gamma = schedule.step_scale
    if not 0 <= gamma <= LARGEST_CHURN:
        raise SettingError(
            f"--step-scale {gamma:g} does not fit: this sampler raises the noise by that share before each step, "
            f"from 0, a noiseless path, to {LARGEST_CHURN:.4f}; give one in that range"
        )
    parts = [
        part
        for high, low in pairwise(schedule.sigmas)
        for part in pairwise(geometric_sigmas(high, low, schedule.steps + 1))
    ]
    return [(sigma, min((1 + gamma) * sigma, schedule.sigmas[0]), following) for sigma, following in parts]


def heun_annealing(
    x: Tensor,
    score: ScoreFn,
    schedule: Schedule,
    noise: NoiseFor,
    project: Projection | None = None,
    begin: int = 0,
) -> Iterator[tuple[State, Info]]:
    """Follow the probability flow down the ladder; the state ends with noise of exactly the last level.

    x: (batch, source, time) with noise of the first level. Gamma, the step scale, is S_churn / N of Karras 2022:
    0 is the probability-flow equation, whose error falls with the square of the step; above 0 fresh noise before
    each step makes up for earlier errors. A fixed gamma sets a length of step that more steps do not shorten,
    so halve it when their number doubles. `project` maps the clean estimates on what the measurement allows.

    A step asks for two scores; no step starts at the last level, so there are (levels - 1) steps 2 score calls.
    A ladder of one level has nothing to follow: x is handed on as it came, once, without a score call.
    `begin`: steps that x has behind it.

    Raises SettingError as `moves` does.
    """
    plan = moves(schedule)
    if not plan and begin == 0:
        yield State(x, 0, 0), Info(schedule.sigmas[0], 0.0, 1, 1)

    def flow(state: Tensor, sigma: float) -> Tensor:
        return slope(state, score, sigma, project)

    for done, (sigma, raised, following) in list(enumerate(plan))[begin:]:
        level, step = divmod(done, schedule.steps)
        x = churn(x, sigma, raised, noise(level, step).to(x))
        x = heun_step(x, flow, raised, following)
        # The first slope is -raised times the score: this is the eta in x + eta score of its Euler step.
        yield State(x, level, step), Info(sigma, (raised - following) * raised, done + 1, len(plan))
