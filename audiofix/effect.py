"""What restoring did: the known put back exactly, and the figures that prove it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from audiofix.damages import Cut, Fault, LostBand, LostSamples, Noisy, operator_of
from audiofix.operators.chain import Chain
from audiofix.operators.clip import EDGE


def exact(result: Tensor, y: Tensor, rate: int, faults: Sequence[Fault]) -> Tensor:
    """The result with what is known put back bit for bit, where faults are of single samples and nothing else."""
    if any(isinstance(fault, LostBand | Noisy) for fault in faults):
        return result
    operators = [operator_of(fault, rate, y.shape[1]) for fault in faults]
    chain = Chain([operator for operator in operators if operator is not None], rounds=1)
    return chain.project(result[:, None], y[:, None])[:, 0]


def changes(result: Tensor, y: Tensor, finite: Tensor, faults: Sequence[Fault]) -> dict[str, Any]:
    """What was changed: how many samples, the largest change where nothing was damaged, the level's difference.

    Where faults touch every sample (a missing band, noise, rounding) the second has no meaning and is None.
    """
    counted = Changes()
    counted.add(result, y, finite, faults)
    return counted.figures()


@dataclass
class Changes:
    """What was changed, added up stretch by stretch."""

    samples: int = 0
    of: int = 0
    outside: float | None = None
    power: float = 0.0
    before: float = 0.0

    def add(self, result: Tensor, y: Tensor, finite: Tensor, faults: Sequence[Fault]) -> None:
        """A stretch of (channel, time), and its faults."""
        everywhere = any(not isinstance(fault, LostSamples | Cut) for fault in faults)
        kept = torch.ones_like(y, dtype=torch.bool)
        for fault in faults:
            if isinstance(fault, LostSamples):
                for start, stop in fault.spans:
                    kept[:, start:stop] = False
            elif isinstance(fault, Cut):
                kept &= (y > fault.low + EDGE) & (y < fault.high - EDGE)
        difference = (result - y).abs()
        if not everywhere and kept.any():
            self.outside = max(self.outside or 0.0, float(difference[kept].max()))
        self.samples += int((difference > 0).sum())
        self.of += y.numel()
        self.power += float(result.double().square().sum())
        self.before += float(finite.double().square().sum())

    def figures(self) -> dict[str, Any]:
        """As `changes`."""
        least = 1e-20 * max(1, self.of)
        return {
            "samples": self.samples,
            "of": self.of,
            "largest_outside": self.outside,
            "level_db": 10 * math.log10(max(self.power, 1e-300) / max(self.before, least)),
        }
