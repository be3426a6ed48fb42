"""What happened to the signal: y = forward(x) + noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor


class Operator(Protocol):
    """Deterministic part of a measurement; x is (batch, source, time), y is (batch, channel, time')."""

    def forward(self, x: Tensor) -> Tensor:
        """Sources to what is observed."""
        ...

    def pullback(self, x: Tensor, residual: Tensor) -> Tensor:
        """Transposed Jacobian at x applied to a residual shaped like y."""
        ...

    def start(self, y: Tensor, sources: int) -> Tensor:
        """A plausible first state: (batch, sources, time)."""
        ...


@runtime_checkable
class Projects(Protocol):
    """An operator whose solutions of forward(x) = y form a space one can project on."""

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """The nearest x' with forward(x') = y. Idempotent."""
        ...


class Restorable(Operator, Projects, Protocol):
    """An operator that can be started from and projected on: what exact sampling needs."""


@dataclass(frozen=True)
class Measurement:
    """Operator, recording, and how far to trust it (standard deviation of its noise, full-scale amplitude)."""

    operator: Operator
    y: Tensor
    noise_std: float = 0.0

    def score(self, x: Tensor, sigma: float, kappa: float) -> Tensor:
        """Gradient of log N(y; forward(x), noise_std^2 + kappa sigma^2) by x."""
        variance = self.noise_std**2 + kappa * sigma**2
        residual = self.y - self.operator.forward(x)
        return self.operator.pullback(x, residual) / variance
