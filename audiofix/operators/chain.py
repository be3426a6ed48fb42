"""Operators one after the other, and what another part of the recording adds on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from audiofix.errors import SettingError
from audiofix.operators.base import Restorable

# Of `Chain.project`: each set in turn. The first takes away 55 to 99 % of the distance, each other one some 10 to
# 60 % of what is left (tests/operators/test_chain.py).
ROUNDS = 4


@dataclass(frozen=True, eq=False)
class Added:
    """y = x + rest, where the rest is known: what a prior of a lower rate does not work on. Affine.

    rest: (batch, 1, time), the shape of x.
    """

    rest: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """(batch, source, time) to the same."""
        return x + self.rest

    def pullback(self, x: Tensor, residual: Tensor) -> Tensor:  # noqa: ARG002
        """The residual: adding a constant has slope 1."""
        return residual

    def start(self, y: Tensor, sources: int) -> Tensor:
        """The recording without the rest."""
        return (y - self.rest).expand(-1, sources, -1)

    def project(self, x: Tensor, y: Tensor) -> Tensor:  # noqa: ARG002
        """The only x that explains y."""
        return y - self.rest


@dataclass(frozen=True, eq=False)
class Chain:
    """y = the last operator of ... of the first of x: a low-pass, then a clip, then a gap.

    Attributes
    ----------
    operators
        In the order in which they happened, each with a projection.
    rounds
        How often `project` goes through them, 1 or more.

    Raises
    ------
    SettingError
        No operator, or fewer than one round.
    """

    operators: Sequence[Restorable]
    rounds: int = ROUNDS

    def __post_init__(self) -> None:
        if not self.operators or self.rounds < 1:
            raise SettingError("a chain needs an operator and a round of projections at least")

    def forward(self, x: Tensor) -> Tensor:
        """(batch, source, time) to what was recorded."""
        for operator in self.operators:
            x = operator.forward(x)
        return x

    def pullback(self, x: Tensor, residual: Tensor) -> Tensor:
        """Chain rule."""
        states = [x]
        for operator in self.operators[:-1]:
            states.append(operator.forward(states[-1]))
        for operator, state in zip(reversed(self.operators), reversed(states), strict=True):
            residual = operator.pullback(state, residual)
        return residual

    def start(self, y: Tensor, sources: int) -> Tensor:
        """Each operator's start from the next one's."""
        for operator in reversed(self.operators):
            y = operator.start(y, sources)
        return y

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """Near x a signal that explains y: h⁺, a pseudo-inverse of the whole (Song et al. 2023, section 3).

        From the last operator to the first, each is given the nearest signal that explains what the next one
        wants. For a chain of one, or where the sets meet at right angles, that is the projection; else the rounds
        lead to a signal in all sets (projections onto convex sets, Bregman 1965), not to the nearest.
        """
        rounds = 1 if len(self.operators) == 1 else self.rounds
        for _ in range(rounds):
            states = [x]
            for operator in self.operators[:-1]:
                states.append(operator.forward(states[-1]))
            wanted = y
            for operator, state in zip(reversed(self.operators), reversed(states), strict=True):
                wanted = operator.project(state, wanted)
            x = wanted
        return x
