"""The oracle ratio mask: what a real mask on the mixture's spectrum, told the truth, comes to."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from audiofix.evaluation.systems.base import Task

WINDOW = 0.064  # seconds
HOPS = 4  # in a window


def ratio_mask(sources: Tensor, rate: int) -> Tensor:
    """Each source's share of the power in each cell of the mixture's spectrum, known from the clean sources.

    Windows of 64 ms, square root of Hann, every 16 ms. (source, time) to the same.
    """
    size, time = round(WINDOW * rate), sources.shape[-1]
    hop, window = size // HOPS, torch.hann_window(size).sqrt()
    spectra = torch.stft(sources, size, hop, window=window, return_complex=True)
    power = spectra.abs().square()
    masked = power / power.sum(dim=0).clamp(min=1e-20) * spectra.sum(dim=0)
    return torch.istft(masked, size, hop, window=window, length=time)


@dataclass(frozen=True)
class RatioMask:
    """See `ratio_mask`; each channel by itself."""

    name: str = "ratio-mask"
    kinds: frozenset[str] = frozenset({"separate"})
    oracle: bool = True

    def run(self, task: Task) -> dict[str, Tensor]:
        """Masks from `task.clean` on the sum of the sources."""
        sources = torch.stack(list(task.clean.values()))
        found = torch.stack([ratio_mask(channel, task.rate) for channel in sources.unbind(dim=1)], dim=1)
        return dict(zip(task.clean, found, strict=True))


def oracle() -> RatioMask:
    """The ratio mask."""
    return RatioMask()
