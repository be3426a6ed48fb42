"""Gap: some samples are lost, the others are known exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiofix.errors import SettingError
from audiofix.numerics.fills import USUAL, Fills
from audiofix.operators.autoregression import NEARBY, fill_from_nearby, interpolate_evenly
from audiofix.operators.excitation import interpolate_unevenly
from audiofix.operators.gliding import fill_along_glides, reach


def classical_fills(
    x: NDArray[np.floating], gaps: Sequence[tuple[int, int]], how: Fills = USUAL
) -> NDArray[np.float32]:
    """(time,) with its gaps filled by autoregression: (order, time). See `fill_from_nearby`."""
    wide = x.astype(np.float64)
    if how.kind == "gliding":
        return fill_along_glides(wide, gaps, how.orders).astype(np.float32)
    each = interpolate_unevenly if how.kind == "uneven" else interpolate_evenly
    return np.stack([fill_from_nearby(wide, gaps, order, each) for order in how.orders]).astype(np.float32)


def reach_of(how: Fills) -> int:
    """Samples on each side of a gap that `classical_fills` looks at, at most."""
    return reach(how.orders) if how.kind == "gliding" else NEARBY * max(how.orders)


@dataclass(frozen=True, eq=False)
class Gap:
    """y = the samples that were not lost. Linear, its own adjoint, and a projection.

    What a recording holds where it is lost, a click or not-a-number, is never looked at.

    Attributes
    ----------
    known
        (time,) 1 where the sample is known, 0 where it is lost; any dtype, bool too. One mask for all sources.

    Raises
    ------
    SettingError
        A mask that is not one-dimensional, or holds anything but 0 and 1.
    """

    known: Tensor

    def __post_init__(self) -> None:
        if self.known.ndim != 1 or not bool(((self.known == 0) | (self.known == 1)).all()):
            raise SettingError(
                f"known is {self.known.dtype} of shape {tuple(self.known.shape)}; give one dimension, time, "
                "with 1 for a known and 0 for a lost sample"
            )

    def _select(self, known: Tensor | float, lost: Tensor | float, like: Tensor) -> Tensor:
        # Not known * mask + lost * (1 - mask): 0 times an overflow is not a number.
        return torch.where(self.known.to(like.device, torch.bool), known, lost)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, source, time) to (batch, source, time), lost samples zero."""
        return self._select(x, 0.0, x)

    def pullback(self, x: Tensor, residual: Tensor) -> Tensor:
        """The adjoint: the operator itself."""
        return self._select(residual, 0.0, x)

    def start(self, y: Tensor, sources: int) -> Tensor:
        """What is known, silence elsewhere: (batch, 1 or sources, time) to (batch, sources, time)."""
        return self.forward(y.expand(-1, sources, -1))

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """First and one past the last lost sample of each gap."""
        edges = np.flatnonzero(np.diff(np.pad(~self.known.cpu().bool().numpy(), 1).astype(np.int8)))
        return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]

    def evidence(self, y: Tensor, how: Fills = USUAL) -> Tensor:
        """(batch, 1, time) to what an inpainter is shown, (batch, 3, time): two fills, and 1 where lost."""
        known = self.forward(y)[:, 0]
        fills = [torch.from_numpy(classical_fills(row.cpu().numpy(), self.gaps, how)) for row in known]
        lost = self._select(torch.zeros_like(known), 1.0, known)
        return torch.cat([torch.stack(fills).to(known), lost[:, None]], dim=1)

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """Put the known samples back, bit for bit; the lost ones are those of x."""
        return self._select(y, x, x)
