"""Annealed Langevin dynamics (Song & Ermon 2019, algorithm 1; PnF, Jayaram & Thickstun 2021, section 4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from audiofix.numerics.rng import NoiseFor
from audiofix.numerics.schedule import Schedule
from audiofix.samplers.base import Info, State

ScoreFn = Callable[[Tensor, float], Tensor]
Projection = Callable[[Tensor], Tensor]


def langevin_step(x: Tensor, score: Tensor, step_size: float, noise: Tensor) -> Tensor:
    """One unadjusted Langevin step: x + eta score + sqrt(2 eta) noise (Welling & Teh 2011, eq. 4, full batch)."""
    return x + step_size * score + (2 * step_size) ** 0.5 * noise


def annealed_langevin(
    x: Tensor,
    score: ScoreFn,
    schedule: Schedule,
    noise: NoiseFor,
    project: Projection | None = None,
    begin: int = 0,
) -> Iterator[tuple[State, Info]]:
    """Walk down the ladder of noise levels, some Langevin steps on each.

    x: (batch, source, time). `project`, where given, maps every state on an affine space: an orthogonal
    projection makes this Langevin dynamics inside that space, since steps and noise are projected alike.
    `begin`: steps that x has behind it.
    """
    if project is not None and begin == 0:
        x = project(x)
    for done in range(begin, schedule.total_steps):
        level, step = divmod(done, schedule.steps)
        sigma, step_size = schedule.sigmas[level], schedule.step_size(level)
        x = langevin_step(x, score(x, sigma), step_size, noise(level, step).to(x))
        if project is not None:
            x = project(x)
        yield State(x, level, step), Info(sigma, step_size, done + 1, schedule.total_steps)
