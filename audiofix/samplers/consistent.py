"""Consistent annealed Langevin sampling (Jolicoeur-Martineau et al. 2021): the noise always fits its level."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from audiofix.errors import SettingError
from audiofix.numerics.rng import NoiseFor
from audiofix.numerics.schedule import Schedule
from audiofix.numerics.tweedie import denoised_from_score
from audiofix.samplers.base import Info, State

ScoreFn = Callable[[Tensor, float], Tensor]
Projection = Callable[[Tensor], Tensor]


def consistent_step(
    x: Tensor, clean: Tensor, target: Tensor, step_scale: float, new_noise: float, noise: Tensor
) -> Tensor:
    """Move by a share of the way to the clean estimate, and fill the noise up to the next level.

    x = clean + its noise; `target` is the clean estimate after projection (the same without one). What stays
    of the old noise is 1 - step_scale of it; new_noise is the standard deviation of the fresh part.
    Jolicoeur-Martineau 2021, algorithm 2: x + eta s + beta sigma_next z, with eta s = delta (clean - x).
    """
    return target + (1 - step_scale) * (x - clean) + new_noise * noise


def fresh_noise(schedule: Schedule) -> list[tuple[float, float]]:
    """For every step its noise level, and the standard deviation of the noise to add after it.

    What is kept of the old noise and the fresh noise make up the next level: their squares add.

    Raises SettingError where the ladder falls so fast that the old noise alone exceeds the next level.
    """
    sigmas = [sigma for sigma in schedule.sigmas for _ in range(schedule.steps)]
    pairs = list(zip(sigmas, [*sigmas[1:], sigmas[-1]], strict=True))
    kept, steepest = 1 - schedule.step_scale, min(following / sigma for sigma, following in pairs)
    if not 0 <= kept <= steepest:
        raise SettingError(
            f"--step-scale {schedule.step_scale:g} does not fit: each level is down to {steepest:.2g} of the one "
            f"before, so consistent sampling needs a step scale from {1 - steepest:.3g} to 1; or use more --levels"
        )
    return [(sigma, (following**2 - (kept * sigma) ** 2) ** 0.5) for sigma, following in pairs]


def consistent_annealing(
    x: Tensor,
    score: ScoreFn,
    schedule: Schedule,
    noise: NoiseFor,
    project: Projection | None = None,
    begin: int = 0,
) -> Iterator[tuple[State, Info]]:
    """Walk down the ladder; after every step the state is a clean estimate plus noise of exactly the next level.

    x: (batch, source, time) with noise of the first level. Plain Langevin steps leave less noise behind than
    the level says and need many of them to settle; here one is enough. With step_scale 1 all noise is fresh:
    denoise, project, renoise. `project` maps the clean estimate on what the measurement allows. `begin`: steps
    that x has behind it.

    Raises SettingError as `fresh_noise` does.
    """
    for done, (sigma, fresh) in list(enumerate(fresh_noise(schedule)))[begin:]:
        level, step = divmod(done, schedule.steps)
        clean = denoised_from_score(x, score(x, sigma), sigma)
        target = clean if project is None else project(clean)
        x = consistent_step(x, clean, target, schedule.step_scale, fresh, noise(level, step).to(x))
        info = Info(sigma, schedule.step_size(level), done + 1, schedule.total_steps)
        yield State(x, level, step), info
