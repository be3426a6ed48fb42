"""What samplers share: state and info, and the loop that alone knows about progress and divergence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from audiofix.errors import DivergenceError


@dataclass(frozen=True)
class State:
    """Where a chain stands: sources (batch, source, time) after `step` of `level`."""

    x: Tensor
    level: int
    step: int


@dataclass(frozen=True)
class Info:
    """What a step was: its noise level, its size, and its rank among all steps."""

    sigma: float
    step_size: float
    done: int
    total: int


def drive(
    chain: Iterator[tuple[State, Info]], callback: Callable[[State, Info], None] | None = None
) -> Tensor:
    """Run a chain to its end and return its last x. Calls back after every step.

    Raises DivergenceError as soon as x is not finite.
    """
    state = None
    for state, info in chain:
        if not torch.isfinite(state.x).all():
            raise DivergenceError(
                f"diverged at level {state.level + 1}, step {state.step + 1} (sigma {info.sigma:.4g}); "
                "halve --step-scale, or use more --levels"
            )
        if callback is not None:
            callback(state, info)
    if state is None:
        raise ValueError("the chain had no step")
    return state.x
