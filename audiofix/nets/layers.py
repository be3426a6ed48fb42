"""Building blocks shared by the networks: causal gated layers over (batch, time, channel) tensors.

Time stands before channels so that every layer is one matrix product over the last axis: on CPUs that is
several times faster than a one-dimensional convolution with few channels.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


def delay(x: Tensor, samples: int) -> Tensor:
    """Shift (batch, time, channel) later by `samples`, zeros in front, same length."""
    return functional.pad(x, (0, 0, samples, 0))[:, : x.shape[1]]


def trailing_windows(x: Tensor, length: int, hop: int) -> Tensor:
    """Windows of the strict past: item m holds x[m*hop - length : m*hop].

    x: (batch, time) with time a multiple of hop. Returns (batch, time / hop, length); before the start: zeros.
    """
    padded = functional.pad(x, (length, 0))
    return padded.unfold(1, length, hop)[:, : x.shape[1] // hop]


def centred_windows(x: Tensor, length: int, hop: int) -> Tensor:
    """Windows around frames: item m holds x[m*hop + (hop - length) // 2 :][:length], which is no past alone.

    x: (batch, time) with time a multiple of hop. Returns (batch, time / hop, length); outside: zeros.
    """
    before = (length - hop + 1) // 2
    padded = functional.pad(x, (before, length))
    return padded.unfold(1, length, hop)[:, : x.shape[1] // hop]


def adaptive_fir(x: Tensor, taps: Tensor, hop: int) -> Tensor:
    """Predict every sample from its strict past by a filter that changes every `hop` samples.

    x: (batch, time); taps: (batch, time / hop, count), taps[..., j] weighs x[t - 1 - j].
    Returns (batch, time): sum over j of taps[t // hop, j] * x[t - 1 - j].
    """
    batch, frames, count = taps.shape
    # From m*hop - count on. A frame is a group of one convolution, so that its windows are never written out.
    span = functional.pad(x, (count, 0)).unfold(1, hop + count - 1, hop)[:, :frames]
    weight = taps.flip(-1).reshape(batch * frames, 1, count)
    found = functional.conv1d(span.reshape(1, batch * frames, -1), weight, groups=batch * frames)
    return found.view(batch, frames * hop)


class SigmaEmbedding(nn.Module):
    """Noise level to a vector: sines and cosines of log sigma, then two dense layers."""

    rates: Tensor

    def __init__(self, width: int, frequencies: int = 16) -> None:
        super().__init__()
        # Half a turn to about ten turns over the range of ln sigma (about 8): coarse to fine.
        self.register_buffer("rates", torch.exp(torch.linspace(math.log(0.25), math.log(4.0), frequencies)))
        self.dense = nn.Sequential(
            nn.Linear(2 * frequencies, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )

    def forward(self, sigma: Tensor) -> Tensor:
        """sigma: (batch,) full-scale amplitude, positive. Returns (batch, width)."""
        angles = sigma.log()[:, None] * self.rates
        return self.dense(torch.cat([angles.sin(), angles.cos()], dim=1))


class GatedLayer(nn.Module):
    """One dilated causal gated convolution of two taps with residual and skip outputs (van den Oord 2016, eq. 2).

    With `condition` the input is normalised and then scaled and shifted by the noise level's vector.
    """

    def __init__(self, channels: int, dilation: int, condition: int | None) -> None:
        super().__init__()
        self.dilation = dilation
        self.now = nn.Linear(channels, 2 * channels)
        self.past = nn.Linear(channels, 2 * channels, bias=False)
        self.out = nn.Linear(channels, 2 * channels)
        self.modulate = nn.Linear(condition, 2 * channels) if condition else None
        if self.modulate is not None:
            nn.init.zeros_(self.modulate.weight)
            nn.init.zeros_(self.modulate.bias)

    def forward(self, x: Tensor, embedding: Tensor | None) -> tuple[Tensor, Tensor]:
        """x: (batch, time, channel). Returns (residual stream, skip), both like x."""
        residual, skip = self.out(self.gated(x, embedding)).chunk(2, dim=-1)
        return x + residual, skip

    def skip(self, x: Tensor, embedding: Tensor | None) -> Tensor:
        """The skip alone, of a layer that no other follows: like x, at half the cost of the last product."""
        channels = x.shape[-1]
        return functional.linear(
            self.gated(x, embedding), self.out.weight[channels:], self.out.bias[channels:]
        )

    def gated(self, x: Tensor, embedding: Tensor | None) -> Tensor:
        """What the gate lets through: like x."""
        inner = x
        if self.modulate is not None and embedding is not None:
            scale, shift = self.modulate(embedding)[:, None].chunk(2, dim=-1)
            inner = functional.rms_norm(x, x.shape[-1:]) * (1 + scale) + shift
        filtered, gate = (self.now(inner) + delay(self.past(inner), self.dilation)).chunk(2, dim=-1)
        return torch.tanh(filtered) * torch.sigmoid(gate)


class GatedStack(nn.Module):
    """Gated layers with the given dilations; returns the scaled sum of their skips, rectified."""

    def __init__(self, channels: int, dilations: tuple[int, ...], condition: int | None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(GatedLayer(channels, dilation, condition) for dilation in dilations)
        self.reach = sum(dilations)

    def forward(self, x: Tensor, embedding: Tensor | None) -> Tensor:
        """(batch, time, channel) to the same."""
        total = torch.zeros_like(x)
        for layer in self.layers[:-1]:
            x, skip = layer(x, embedding)
            total = total + skip
        last = self.layers[-1]
        assert isinstance(last, GatedLayer)
        return functional.silu((total + last.skip(x, embedding)) * len(self.layers) ** -0.5)
