"""A tiered WaveNet: logits over amplitude levels of each clean sample, from the noisy samples before it.

Three tiers share the work (after seed ideas of WaveNet, van den Oord 2016, and of multi-rate models such as
SampleRNN, Mehri 2017): a wide slow tier sees half a second of the past every 64 samples, a middle tier refines
it every 8, and a narrow fast tier runs at the sample rate. Each tier is a stack of causal dilated gated
convolutions. The slow and middle tiers also emit adaptive prediction filters, as linear prediction does.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiofix.nets.layers import (
    GatedStack,
    SigmaEmbedding,
    adaptive_fir,
    centred_windows,
    trailing_windows,
)


@dataclass(frozen=True)
class WaveNetConfig:
    """Sizes of a tiered WaveNet. Hops and windows in samples; each hop divides the one above it."""

    levels: int = 256
    slow_hop: int = 64
    slow_window: int = 768
    slow_channels: int = 192
    slow_dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 1, 2, 4, 8, 16)
    slow_taps: int = 384
    middle_hop: int = 8
    middle_window: int = 128
    middle_channels: int = 128
    middle_dilations: tuple[int, ...] = (1, 2, 4, 8)
    middle_taps: int = 32
    fast_window: int = 32
    fast_channels: int = 64
    fast_dilations: tuple[int, ...] = (1, 2, 4)
    sigma_width: int = 64
    sigma_data: float = 0.1
    given: int = 0  # waveforms that condition every sample, its future too (local conditioning)
    given_window: int = 48  # samples around a middle frame
    given_taps: int = 16

    def to_dict(self) -> dict[str, object]:
        """Plain values, for a model card."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> WaveNetConfig:
        """Inverse of `to_dict`; unknown keys raise TypeError."""
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})  # type: ignore[arg-type]


class TieredWaveNet(nn.Module):
    """Causal network: noisy waveform and noise level in, logits of the clean sample's level out."""

    level_values: Tensor
    log_widths: Tensor

    def __init__(self, config: WaveNetConfig, level_values: Tensor) -> None:
        """level_values: (levels,) increasing amplitudes that the logits stand for."""
        super().__init__()
        c = self.config = config
        self.register_buffer("level_values", level_values.float(), persistent=False)
        widths = torch.gradient(level_values.double())[0]
        # A density spread over levels of unequal width: start from flat in amplitude, not flat in index.
        self.register_buffer("log_widths", (widths / widths.sum()).log().float(), persistent=False)
        self.embed = SigmaEmbedding(c.sigma_width)
        self.slow_in = nn.Linear(2 * c.slow_window, c.slow_channels)
        self.slow = GatedStack(c.slow_channels, c.slow_dilations, c.sigma_width)
        self.slow_filter = nn.Linear(c.slow_channels, c.slow_taps)
        self.slow_up = nn.Linear(c.slow_channels, c.middle_channels * (c.slow_hop // c.middle_hop))
        self.middle_in = nn.Linear(2 * c.middle_window, c.middle_channels)
        self.middle = GatedStack(c.middle_channels, c.middle_dilations, c.sigma_width)
        self.middle_filter = nn.Linear(c.middle_channels, c.middle_taps)
        self.middle_up = nn.Linear(c.middle_channels, c.fast_channels * c.middle_hop)
        self.fast_in = nn.Linear(2 * c.fast_window + 2, c.fast_channels)
        self.fast = GatedStack(c.fast_channels, c.fast_dilations, None)
        self.hidden = nn.Linear(c.fast_channels, c.fast_channels)
        self.head = nn.Linear(c.fast_channels, c.levels + 2)
        for layer in (self.slow_filter, self.middle_filter, self.head):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        if c.given:
            self._condition(c)

    def _condition(self, c: WaveNetConfig) -> None:
        """Layers that look at the conditioning waveforms; all zero, so that they change nothing at first."""
        self.middle_given = nn.Linear(2 * c.given * c.given_window, c.middle_channels, bias=False)
        self.fast_given = nn.Linear(2 * c.given * c.fast_window, c.fast_channels, bias=False)
        self.given_filter = nn.Linear(c.middle_channels, c.given * c.given_taps)
        for layer in (self.middle_given, self.fast_given, self.given_filter):
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)

    @property
    def receptive_field(self) -> int:
        """Number of past samples that one output depends on, at most."""
        c = self.config
        slow = (self.slow.reach + 1) * c.slow_hop + c.slow_window
        middle = (self.middle.reach + 1) * c.middle_hop
        # Oldest: fast layers look back on values conditioned by the middle tier, that by the slow one.
        through_tiers = self.fast.reach + middle + max(slow, c.middle_window)
        through_filters = self.fast.reach + c.slow_taps
        return max(through_tiers, through_filters)

    @property
    def foresight(self) -> int:
        """Number of future samples of the conditioning waveforms that one output depends on, at most."""
        c = self.config
        return max(c.given_window, c.fast_window, c.given_taps) + c.slow_hop if c.given else 0

    def forward(self, x: Tensor, sigma: Tensor, given: Tensor | None = None) -> Tensor:
        """x: (batch, time) noisy amplitude; sigma: (batch,) its noise level. Returns logits (batch, time, levels).

        Output t depends on x[: t] only. Any time >= 1; the frame grid starts at the first sample. `given`:
        (batch, wave, time) linear amplitude, on which every output may depend; none is the same as silence.
        """
        return self.logits(*self.features(x, sigma, given))

    def features(
        self, x: Tensor, sigma: Tensor, given: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the logits are made of: hidden (batch, time, channel), guess and scale (batch, time)."""
        c, time = self.config, x.shape[1]
        x = functional.pad(x, (0, -time % c.slow_hop))
        embedding = self.embed(sigma)
        scale = torch.sqrt(sigma**2 + c.sigma_data**2)[:, None]
        scaled, companded = x / scale, _companded(x)

        def past(length: int, hop: int) -> Tensor:
            return torch.cat([trailing_windows(v, length, hop) for v in (scaled, companded)], dim=2)

        slow = self.slow_in(past(c.slow_window, c.slow_hop))
        middle = self.middle_in(past(c.middle_window, c.middle_hop))
        waves: list[Tensor] = []
        if c.given and given is not None:
            shown = functional.pad(given, (0, x.shape[1] - time))
            # At a fixed scale: what was recorded does not change with the noise level.
            waves = [w for wave in shown.unbind(1) for w in (wave / c.sigma_data, _companded(wave))]

        def around(length: int, hop: int) -> Tensor:
            return torch.cat([centred_windows(wave, length, hop) for wave in waves], dim=2)

        if waves:
            middle = middle + self.middle_given(around(c.given_window, c.middle_hop))
        slow = self.slow(slow, embedding)
        middle = self.middle(middle + self._raise(self.slow_up(slow), c.middle_channels), embedding)
        slow_taps, middle_taps = self.slow_filter(slow), self.middle_filter(middle)
        given_taps = self.given_filter(middle).split(c.given_taps, dim=2) if waves else ()
        with torch.autocast(x.device.type, enabled=False):
            long_term = adaptive_fir(scaled, slow_taps.to(x.dtype), c.slow_hop)
            short_term = adaptive_fir(scaled, middle_taps.to(x.dtype), c.middle_hop)
            if waves:
                half = c.given_taps // 2
                for wave, taps in zip(waves[::2], given_taps, strict=True):
                    ahead = functional.pad(wave, (0, half))[:, half:]
                    predicted = adaptive_fir(ahead, taps.to(x.dtype), c.middle_hop)
                    short_term = short_term + predicted * c.sigma_data / scale
        guess = torch.stack([long_term, short_term], dim=2)
        fast = self._raise(self.middle_up(middle), c.fast_channels)
        fast = fast + self.fast_in(torch.cat([past(c.fast_window, 1), guess], dim=2))
        if waves:
            fast = fast + self.fast_given(around(c.fast_window, 1))
        hidden = functional.silu(self.hidden(self.fast(fast, None)))
        return hidden.to(x.dtype)[:, :time], (long_term + short_term)[:, :time], scale.expand(-1, time)

    @staticmethod
    def _raise(x: Tensor, channels: int) -> Tensor:
        """(batch, frames, factor * channels) to (batch, frames * factor, channels)."""
        return x.reshape(x.shape[0], -1, channels)

    def logits(self, hidden: Tensor, guess: Tensor, scale: Tensor) -> Tensor:
        """Logits (..., levels) of each sample from its own features: (..., channel), (...), (...).

        Free logits plus a Gaussian bump around the predicted amplitude, whose width is learned too. The bump
        gives the categorical a location and a scale from the start of training, so that the free logits only
        have to learn what is not bell-shaped. In float32, because the bump is steep; only training has the free
        logits in the precision around it, where their product is faster.
        """
        levels, head = self.config.levels, self.head
        with torch.autocast(hidden.device.type, enabled=False):
            if self.training:
                shift, log_width = functional.linear(hidden, head.weight[levels:], head.bias[levels:]).split(
                    [1, 1], dim=-1
                )
            else:
                free, shift, log_width = head(hidden).split([levels, 1, 1], dim=-1)
        if self.training:
            free = functional.linear(hidden, head.weight[:levels], head.bias[:levels])
        with torch.autocast(hidden.device.type, enabled=False):
            centre = (guess[..., None] + shift) * scale[..., None]
            # Narrower than one level near zero (about 2e-4) is useless; wider than full scale is flat.
            inverse_width = torch.exp(-(log_width + math.log(self.config.sigma_data)).clamp(-8.5, 1.0))
            bump = ((self.level_values - centre) * inverse_width).square()
            return free + self.log_widths - 0.5 * bump


def _companded(x: Tensor) -> Tensor:
    """The copy that keeps soft details visible when noise is low; a scaled one carries the rest."""
    return torch.sign(x) * torch.log1p(255.0 * x.abs()) / math.log(256.0)
