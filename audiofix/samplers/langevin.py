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
) -> Iterator[tuple[State, Info]]:
    """Walk down the ladder of noise levels, some Langevin steps on each.

    x: (batch, source, time). `project`, where given, maps every state on an affine space: an orthogonal
    projection makes this Langevin dynamics inside that space, since steps and noise are projected alike.
    """
    if project is not None:
        x = project(x)
    done = 0
    for level, sigma in enumerate(schedule.sigmas):
        step_size = schedule.step_size(level)
        for step in range(schedule.steps):
            x = langevin_step(x, score(x, sigma), step_size, noise(level, step).to(x))
            if project is not None:
                x = project(x)
            done += 1
            yield State(x, level, step), Info(sigma, step_size, done, schedule.total_steps)
