"""The WaveNet of the published PnF priors: a quantiser's index in, logits of the next sample's index out.

Dilated causal convolutions with gated activations, residual and skip connections (WaveNet, van den Oord et al.
2016, sections 2.1 to 2.4), for one noise level each (PnF, Jayaram & Thickstun 2021, section 5.2). The input is the
index itself, a real number once noise is on it, and no one-hot vector.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint


@dataclass(frozen=True)
class PnfWaveNetConfig:
    """Sizes. Dilations double from 1 within each cycle of layers; `centre` is the index of silence."""

    levels: int = 256
    layers: int = 30
    cycles: int = 3
    residual: int = 128
    gate: int = 256
    skip: int = 128
    kernel: int = 3
    centre: float = 127.5

    def __post_init__(self) -> None:
        if self.layers % self.cycles:
            raise ValueError(f"{self.layers} layers cannot be divided into {self.cycles} equal cycles")
        if self.gate % 2:
            raise ValueError(f"{self.gate} gate channels are not two equal halves")

    @property
    def dilations(self) -> tuple[int, ...]:
        """Of each layer."""
        return tuple(2 ** (layer % (self.layers // self.cycles)) for layer in range(self.layers))

    def to_dict(self) -> dict[str, object]:
        """Plain values, for a model card."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> PnfWaveNetConfig:
        """Inverse of `to_dict`; unknown keys raise TypeError."""
        return cls(**values)  # type: ignore[arg-type]


class GatedLayer(nn.Module):
    """(batch, residual, time) to the same, for the next layer, and (batch, skip, time), for the output."""

    def __init__(self, c: PnfWaveNetConfig, dilation: int) -> None:
        super().__init__()
        self.reach = (c.kernel - 1) * dilation
        self.dilated = nn.Conv1d(c.residual, c.gate, c.kernel, dilation=dilation)
        self.out = nn.Conv1d(c.gate // 2, c.residual, 1)
        self.skip = nn.Conv1d(c.gate // 2, c.skip, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Output t depends on x[..., : t + 1]; before the first sample are zeros."""
        filtered, gate = self.dilated(functional.pad(x, (self.reach, 0))).chunk(2, dim=1)
        gated = torch.tanh(filtered) * torch.sigmoid(gate)
        return (self.out(gated) + x) * math.sqrt(0.5), self.skip(gated)


class PnfWaveNet(nn.Module):
    """Causal network of one noise level. Weight normalisation is folded into the weights."""

    def __init__(self, config: PnfWaveNetConfig) -> None:
        super().__init__()
        c = self.config = config
        self.first = nn.Conv1d(1, c.residual, 1)
        self.layers = nn.ModuleList(GatedLayer(c, dilation) for dilation in c.dilations)
        self.hidden = nn.Linear(c.skip, c.skip)
        self.head = nn.Linear(c.skip, c.levels)

    @property
    def receptive_field(self) -> int:
        """Number of past samples that the logits of one sample depend on."""
        return (self.config.kernel - 1) * sum(self.config.dilations) + 1

    def features(self, index: Tensor) -> Tensor:
        """(batch, time) real-valued indices to (batch, time, skip), of which `logits` makes those of time + 1."""
        x, total = self.first(index[:, None]), torch.zeros(())
        for layer in self.layers:
            # Worked out again on the way back: what one layer keeps is four times what lies between two.
            if torch.is_grad_enabled() and x.requires_grad:
                x, skip = checkpoint(layer, x, use_reentrant=False, preserve_rng_state=False)
            else:
                x, skip = layer(x)
            total = total.to(skip) + skip
        total = total * math.sqrt(1 / len(self.layers))
        return self.hidden(total.relu().transpose(1, 2)).relu()

    def logits(self, features: Tensor) -> Tensor:
        """(..., skip) to (..., levels), not normalised."""
        return self.head(features)

    def forward(self, index: Tensor) -> Tensor:
        """(batch, time) to (batch, time, levels): at t the logits of sample t + 1, from index[:, : t + 1]."""
        return self.logits(self.features(index))
