"""Clip: samples beyond two levels were cut off there."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from audiofix.errors import SettingError

EDGE = 1e-6  # full-scale amplitude within which a sample counts as cut: rounding of a gain


@dataclass(frozen=True)
class Clip:
    """y = x held between two levels. Not linear; what explains y is a convex set, so `project` is exact.

    Attributes
    ----------
    low, high
        Levels in full-scale amplitude, low < high; infinite where nothing was cut on that side.

    Raises
    ------
    SettingError
        Levels the wrong way round, equal or not numbers.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise SettingError(
                f"clip levels are {self.low:g} and {self.high:g}; give a lower and a higher one"
            )
        if not (math.isfinite(self.low) or math.isfinite(self.high)):
            raise SettingError("both clip levels are infinite, so nothing is clipped; give one at least")

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return x.clamp(self.low, self.high)

    def pullback(self, x: Tensor, residual: Tensor) -> Tensor:
        """The residual where x lies between the levels, else 0: there y does not change with x."""
        return torch.where((x > self.low) & (x < self.high), residual, 0.0)

    def start(self, y: Tensor, sources: int) -> Tensor:
        """The recording itself: (batch, 1 or sources, time) to (batch, sources, time)."""
        return y.expand(-1, sources, -1)

    def bounds(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Least and greatest x that explain each sample of y, infinite beyond the levels."""
        low = torch.where(y <= self.low + EDGE, -math.inf, y)
        high = torch.where(y >= self.high - EDGE, math.inf, y)
        return low, high

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """The nearest signal that explains y: its samples where it was not cut, beyond the level where it was."""
        low, high = self.bounds(y)
        return torch.minimum(torch.maximum(x, low), high)
