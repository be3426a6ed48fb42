"""A block of the time-frequency mixer: as it is written for gradients, without them in few passes over memory."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from audiofix.nets.mixer import MixerConfig

TAPS = 5  # of the depthwise filter over patches
# Patches that are worked out at a time without gradients: shorter pieces cost calls, longer ones leave the cache.
PIECE = 128


class MixerBlock(nn.Module):
    """Patches, tokens, bands: three residual mixings in one block, scaled and shifted by the noise level."""

    def __init__(self, config: MixerConfig, bands: int, dilation: int) -> None:
        super().__init__()
        c, self.dilation = config, dilation
        self.modulate = nn.Linear(c.sigma_width, 4 * c.features)
        nn.init.zeros_(self.modulate.weight)
        nn.init.zeros_(self.modulate.bias)
        self.taps = nn.Parameter(nn.init.normal_(torch.empty(TAPS, c.features), std=TAPS**-0.5))
        self.up, self.down = nn.Linear(c.features, 2 * c.hidden), nn.Linear(c.hidden, c.features)
        self.gather = nn.Linear(c.features, c.band_features)
        self.across = nn.Sequential(
            nn.Linear(bands * c.band_features, c.band_hidden),
            nn.SiLU(),
            nn.Linear(c.band_hidden, bands * c.band_features),
        )
        self.spread = nn.Linear(c.band_features, c.features)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(batch, patch, band, feature) to the same."""
        scales = tuple(part[:, None, None] for part in self.modulate(embedding).chunk(4, dim=-1))
        return self._whole(x, *scales) if torch.is_grad_enabled() else self._in_pieces(x, *scales)

    def _whole(self, x: Tensor, scale: Tensor, shift: Tensor, scale2: Tensor, shift2: Tensor) -> Tensor:
        """As functions of tensors that stay as they are: for gradients, and for a compiler to fuse."""
        batch, patches, bands, features = x.shape
        inner = functional.rms_norm(x, (features,)) * (1 + scale) + shift
        padded = functional.pad(inner, (0, 0, 0, 0, TAPS // 2 * self.dilation, TAPS // 2 * self.dilation))
        taps = self.taps.to(inner.dtype)
        near = padded[:, :patches] * taps[0]
        for tap in range(1, TAPS):
            first = tap * self.dilation
            near = near + padded[:, first : first + patches] * taps[tap]
        value, gate = self.up(near).chunk(2, dim=-1)
        x = x + self.down(value * functional.silu(gate))
        inner = functional.rms_norm(x, (features,)) * (1 + scale2) + shift2
        across = self.across(self.gather(inner).reshape(batch, patches, -1))
        return x + self.spread(functional.silu(across.reshape(batch, patches, bands, -1)))

    def _in_pieces(self, x: Tensor, scale: Tensor, shift: Tensor, scale2: Tensor, shift2: Tensor) -> Tensor:
        """The same but for rounding, a piece at a time and in place: what costs is passes over memory.

        A piece is worked out from the patches that it depends on: bits do not depend on where it begins.
        """
        kind = x.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
        layers = (self.up, self.down, self.gather, self.across[0], self.across[2], self.spread)
        # Once for all pieces; weights that learn nothing would be converted in each of them.
        dense = [[weight.to(dtype) for weight in layer.parameters()] for layer in layers]
        result = torch.empty_like(x)
        for first, last in pieces(x.shape[1]):
            y = result[:, first:last]
            near = self._near(x, first, last, 1 + scale, shift).to(dtype)
            value, gate = functional.linear(near, *dense[0]).chunk(2, dim=-1)
            tokens = functional.linear(functional.silu(gate).mul_(value), *dense[1])
            torch.add(x[:, first:last], tokens, out=y)
            inner = normalised(y, 1 + scale2, shift2).to(dtype)
            bands = functional.linear(inner, *dense[2]).flatten(2)
            bands = functional.silu(functional.linear(bands, *dense[3]), inplace=True)
            bands = functional.silu(functional.linear(bands, *dense[4]), inplace=True)
            y += functional.linear(bands.unflatten(2, (y.shape[2], -1)), *dense[5])
        return result

    def _near(self, x: Tensor, first: int, last: int, scale: Tensor, shift: Tensor) -> Tensor:
        """The depthwise filter's patches from first to last, of normalised ones."""
        reach = TAPS // 2 * self.dilation
        start, stop = max(0, first - reach), min(x.shape[1], last + reach)
        inner = normalised(x[:, start:stop], scale, shift)
        taps = self.taps.to(inner.dtype)
        near = inner[:, first - start : last - start] * taps[TAPS // 2]
        for tap in (tap for tap in range(TAPS) if tap != TAPS // 2):
            off = (tap - TAPS // 2) * self.dilation
            left, right = max(first + off, start), min(last + off, stop)
            if left < right:
                part = near[:, left - off - first : right - off - first]
                part.addcmul_(inner[:, left - start : right - start], taps[tap])
        return near


def pieces(patches: int) -> list[tuple[int, int]]:
    """From where to where they go: PIECE patches, the last one up to half as many more.

    None is short beside others: products of few rows, four and less in float32, go another way than those of many,
    and would have other bits where a longer chunk has a longer piece.
    """
    starts = list(range(0, max(1, patches - PIECE // 2), PIECE))
    return list(pairwise([*starts, patches]))


def normalised(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """`rms_norm` over the last axis, scaled and shifted: (..., feature) to the same, in few passes."""
    count, least = x.shape[-1], torch.finfo(x.dtype).eps
    power = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(count)
    return (x * power.add_(least).rsqrt_()).mul_(scale).add_(shift)
