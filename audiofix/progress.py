"""Where a run stands, for whoever watches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from audiofix.numerics.schedule import Schedule
from audiofix.samplers.base import Info, State


@dataclass(frozen=True)
class Progress:
    """Where a run stands; counts start at 1, `done` of `total` steps over all draws."""

    draw: int
    draws: int
    level: int
    levels: int
    step: int
    steps: int
    sigma: float
    done: int
    total: int


def teller(
    progress: Callable[[Progress], None] | None, draw: int, draws: int, schedule: Schedule | None
) -> Callable[[State, Info], None] | None:
    """What a sampler calls after each step of one draw; None where nobody watches or there are no steps."""
    if progress is None or schedule is None:
        return None
    tell = progress

    def callback(state: State, info: Info) -> None:
        tell(
            Progress(
                draw=draw + 1,
                draws=draws,
                level=state.level + 1,
                levels=len(schedule.sigmas),
                step=state.step + 1,
                steps=schedule.steps,
                sigma=info.sigma,
                done=draw * info.total + info.done,
                total=draws * info.total,
            )
        )

    return callback
