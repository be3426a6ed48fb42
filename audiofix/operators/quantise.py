"""Quantise: every sample was rounded to a uniform grid."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from audiofix.errors import SettingError


@dataclass(frozen=True)
class Quantise:
    """y = x rounded to (k + offset) step. Not linear; what explains y is a box, so `project` is exact.

    Attributes
    ----------
    step
        Distance of two grid points in full-scale amplitude, > 0: 2^(1 - bits) for `bits` bits.
    offset
        0 where silence is a grid point (mid-tread), 0.5 where it lies between two (mid-rise).

    Raises
    ------
    SettingError
        A step that is not positive and finite, or an offset outside 0 ... 1.
    """

    step: float
    offset: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.step < math.inf or not 0 <= self.offset < 1:
            raise SettingError(
                f"step {self.step:g}, offset {self.offset:g}; give a step above 0, an offset of 0 or 0.5"
            )

    def forward(self, x: Tensor) -> Tensor:
        """Any shape to the same."""
        return ((x / self.step - self.offset).round() + self.offset) * self.step

    def pullback(self, x: Tensor, residual: Tensor) -> Tensor:  # noqa: ARG002
        """The residual itself: the slope of the staircase from afar; its derivative is 0 almost everywhere."""
        return residual

    def start(self, y: Tensor, sources: int) -> Tensor:
        """The recording itself: (batch, 1 or sources, time) to (batch, sources, time)."""
        return y.expand(-1, sources, -1)

    def bounds(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Least and greatest x that explain each sample of y: half a step to both sides, less rounding."""
        # On the very edge `forward` may go either way.
        half = (self.step / 2 - 4 * torch.finfo(y.dtype).eps * (y.abs() + self.step)).clamp(min=0)
        return y - half, y + half

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """The nearest signal whose every sample lies inside the step that y says."""
        low, high = self.bounds(y)
        return torch.minimum(torch.maximum(x, low), high)
