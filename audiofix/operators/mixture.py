"""Mixture: the recording is the sum of its sources, in linear amplitude."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Mixture:
    """y = sum of sources. Linear, so `pullback` is the adjoint; solutions form an affine space."""

    def forward(self, x: Tensor) -> Tensor:
        """(batch, source, time) to (batch, 1, time)."""
        return x.sum(dim=1, keepdim=True)

    def pullback(self, x: Tensor, residual: Tensor) -> Tensor:
        """Every source gets the residual."""
        return residual.expand_as(x)

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """Spread what is missing equally: the nearest sources that add up to y."""
        return x + (y - self.forward(x)) / x.shape[1]

    def start(self, y: Tensor, sources: int) -> Tensor:
        """Equal shares."""
        return y.expand(-1, sources, -1) / sources
