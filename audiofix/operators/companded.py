"""Companded: an operator of amplitude seen from another axis, u = compress(x)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from audiofix.numerics.companding import Curve
from audiofix.operators.base import Restorable


@dataclass(frozen=True, eq=False)
class Companded:
    """y = inner(expand(u)): the state is u, what was recorded stays in amplitude.

    `project` is that of the inner operator, seen from u. Where that puts each sample on a value or between two, as
    gaps, clipping and rounding do, it is the nearest in u as well; where it mixes samples it is not.
    """

    inner: Restorable
    curve: Curve

    def forward(self, x: Tensor) -> Tensor:
        """(batch, source, time) of u to what is observed."""
        return self.inner.forward(self.curve.expand(x))

    def pullback(self, x: Tensor, residual: Tensor) -> Tensor:
        """The inner one, over the slope: dx/du = 1 / slope."""
        amplitude = self.curve.expand(x)
        return self.inner.pullback(amplitude, residual) / self.curve.slope(amplitude)

    def start(self, y: Tensor, sources: int) -> Tensor:
        """The inner one's, on the axis: (batch, 1 or sources, time) to (batch, sources, time)."""
        return self.curve.compress(self.inner.start(y, sources))

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """Move u to where its amplitude explains y."""
        return self.curve.compress(self.inner.project(self.curve.expand(x), y))
