"""What restoring did: the known put back exactly, and the figures that prove it."""

from __future__ import annotations

from collections.abc import Sequence
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
    everywhere = any(not isinstance(fault, LostSamples | Cut) for fault in faults)
    kept = torch.ones_like(y, dtype=torch.bool)
    for fault in faults:
        if isinstance(fault, LostSamples):
            for start, stop in fault.spans:
                kept[:, start:stop] = False
        elif isinstance(fault, Cut):
            kept &= (y > fault.low + EDGE) & (y < fault.high - EDGE)
    difference = (result - y).abs()
    power = result.double().square().mean() / finite.double().square().mean().clamp(min=1e-20)
    outside = None if everywhere or not kept.any() else float(difference[kept].max())
    return {
        "samples": int((difference > 0).sum()),
        "of": y.numel(),
        "largest_outside": outside,
        "level_db": float(10 * torch.log10(power)),
    }
