"""A time-frequency mixer: noisy waveforms and what was recorded in, clean waveforms out. No causality needed.

The short-time Fourier transform is cut into bands of unequal width and patches of a few frames; each (patch,
band) is a token of some hundred features. A block mixes neighbouring patches (depthwise, dilated), each token
by itself (gated, dense), and all bands of a patch through a bottleneck. The output is, for each clean waveform,
complex factors for the spectra that came in plus a spectrum of its own.

After the design study's mixer; band splitting as in Luo & Yu 2023 (band-split RNN), noise level by scale and
shift as in Karras et al. 2022. On CPUs it is bound by passes over memory, so widths are chosen for few tokens
with many features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from audiofix.nets.layers import SigmaEmbedding

Trunk = Callable[[Tensor, Tensor], Tensor]
TAPS = 5  # of the depthwise filter over patches


@dataclass(frozen=True)
class MixerConfig:
    """Sizes of a mixer. Window and hop in samples; bands as (count, bins each) from the lowest frequency."""

    inputs: int = 1
    outputs: int = 1
    recorded: int = 0  # how many of the inputs, the first ones, every output may take from
    window: int = 1024
    hop: int = 256
    patch: int = 2
    bands: tuple[tuple[int, int], ...] = ((16, 4), (12, 8), (10, 16), (6, 32))
    features: int = 128
    hidden: int = 192
    dilations: tuple[int, ...] = (1, 2, 4, 8, 1, 2, 4, 8, 1, 2)
    band_features: int = 8
    band_hidden: int = 96
    sigma_width: int = 32
    sigma_data: float = 0.1

    def __post_init__(self) -> None:
        sizes = (self.window, self.hop, self.patch, self.features, self.hidden, self.outputs)
        if not all(isinstance(size, int) and size >= 1 for size in sizes):
            raise ValueError(f"sizes must be whole numbers of 1 or more, got {sizes}")
        if self.hop > self.window // 4:  # the overlap of square-root Hann windows must nowhere fall near zero
            raise ValueError(f"hop {self.hop} must be a quarter of window {self.window} at most")
        if sum(count * width for count, width in self.bands) != self.window // 2:
            raise ValueError(f"bands {self.bands} must hold {self.window // 2} bins in all")
        if self.inputs != self.recorded + self.outputs:
            raise ValueError("inputs are the recorded ones and one for each output")

    @property
    def factors(self) -> int:
        """Complex numbers an output needs for each bin: a factor for each spectrum it draws on, and its own."""
        return self.recorded + 2

    def to_dict(self) -> dict[str, object]:
        """Plain values, for a model card."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {**values, "bands": [list(band) for band in self.bands]}

    @classmethod
    def from_dict(cls, values: dict[str, object]) -> MixerConfig:
        """Inverse of `to_dict`; unknown keys raise TypeError."""

        def fixed(value: object) -> object:
            return tuple(fixed(v) for v in value) if isinstance(value, list) else value

        return cls(**{k: fixed(v) for k, v in values.items()})  # type: ignore[arg-type]


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
        batch, patches, bands, features = x.shape
        scale, shift, scale2, shift2 = self.modulate(embedding)[:, None, None].chunk(4, dim=-1)
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


class TimeFrequencyMixer(nn.Module):
    """Network of a denoiser; all waveforms are at unit scale here, preconditioning is the prior's business."""

    taper: Tensor

    def __init__(self, config: MixerConfig) -> None:
        super().__init__()
        c = self.config = config
        bands = sum(count for count, _ in c.bands)
        self.register_buffer("taper", torch.hann_window(c.window).sqrt(), persistent=False)
        self.embed = SigmaEmbedding(c.sigma_width)
        into = [(count, width * c.patch * 2 * c.inputs) for count, width in c.bands]
        out = [(count, width * c.patch * 2 * c.outputs * c.factors) for count, width in c.bands]
        self.enter = nn.ParameterList(
            nn.Parameter(nn.init.normal_(torch.empty(count, size, c.features), std=size**-0.5))
            for count, size in into
        )
        self.band = nn.Parameter(nn.init.normal_(torch.empty(bands, c.features), std=0.1))
        self.blocks = nn.ModuleList(MixerBlock(c, bands, dilation) for dilation in c.dilations)
        self.leave = nn.ParameterList(
            nn.Parameter(torch.zeros(count, c.features, size)) for count, size in out
        )

    @property
    def receptive_field(self) -> int:
        """Samples on each side that an output depends on, at most."""
        c = self.config
        patches = TAPS // 2 * sum(c.dilations) + 1
        return patches * c.patch * c.hop + c.window

    @property
    def grid(self) -> int:
        """Samples from one patch to the next: a shift by this much shifts the output."""
        return self.config.patch * self.config.hop

    def forward(self, x: Tensor, sigma: Tensor, trunk: Trunk | None = None) -> Tensor:
        """x: (batch, input, time) at unit scale, recorded ones first; sigma: (batch,) in full-scale amplitude.

        Returns (batch, output, time). `trunk`: `self.trunk` or a compiled form of it. Any time >= 1.
        """
        spectra = self._spectra(x)
        numbers = (trunk or self.trunk)(self._patches(spectra), self.embed(sigma))
        return self._waves(numbers.float(), spectra, x.shape[-1])

    def trunk(self, patches: Tensor, embedding: Tensor) -> Tensor:
        """(batch, patch, bin, number) to (batch, patch, bin, number'): all that has weights of its own."""
        batch, count = patches.shape[:2]
        tokens, first = [], 0
        for weight, (bands, width) in zip(self.enter, self.config.bands, strict=True):
            part = patches[:, :, first : first + bands * width].reshape(batch * count, bands, -1)
            tokens.append(torch.bmm(part.transpose(0, 1), weight).transpose(0, 1))
            first += bands * width
        x = torch.cat(tokens, dim=1).view(batch, count, -1, self.config.features) + self.band
        for block in self.blocks:
            x = block(x, embedding)
        x = functional.rms_norm(x, x.shape[-1:])
        numbers, first = [], 0
        for weight, (bands, width) in zip(self.leave, self.config.bands, strict=True):
            part = x[:, :, first : first + bands].reshape(batch * count, bands, -1)
            found = torch.bmm(part.transpose(0, 1), weight).transpose(0, 1)
            numbers.append(found.reshape(batch, count, bands * width, -1))
            first += bands
        return torch.cat(numbers, dim=2)

    def _spectra(self, x: Tensor) -> Tensor:
        """(batch, wave, time) to complex (batch, wave, bin, frame), whole patches, without the Nyquist bin."""
        c = self.config
        # Frames of a whole number of patches; the last samples must lie under full overlap.
        frames = -(-(x.shape[-1] // c.hop + 1) // c.patch) * c.patch
        padded = functional.pad(x.flatten(0, 1), (0, (frames - 1) * c.hop + c.hop - 1 - x.shape[-1]))
        found = torch.stft(
            padded, c.window, c.hop, window=self.taper, pad_mode="constant", normalized=True,
            return_complex=True,
        )  # fmt: skip
        return found[:, : c.window // 2, :frames].unflatten(0, x.shape[:2])

    def _patches(self, spectra: Tensor) -> Tensor:
        """Complex (batch, wave, bin, frame) to (batch, patch, bin, number), magnitudes compressed to the root."""
        c = self.config
        squeezed = spectra * (spectra.abs() + 1e-4).rsqrt()
        parts = torch.view_as_real(squeezed).unflatten(3, (-1, c.patch))
        return parts.permute(0, 3, 2, 4, 1, 5).flatten(3)

    def _waves(self, numbers: Tensor, spectra: Tensor, time: int) -> Tensor:
        """Apply factors, add own spectra, (batch, patch, bin, number); back to (batch, output, time)."""
        c = self.config
        parts = numbers.unflatten(3, (c.patch, c.outputs, c.factors, 2)).permute(0, 4, 5, 2, 1, 3, 6)
        complex_parts = torch.view_as_complex(parts.flatten(4, 5).contiguous())
        result = complex_parts[:, :, -1] + complex_parts[:, :, -2] * spectra[:, c.recorded :]
        for index in range(c.recorded):
            result = result + complex_parts[:, :, index] * spectra[:, index : index + 1]
        frames = functional.pad(result, (0, 0, 0, 1)).flatten(0, 1)
        waves = torch.istft(frames, c.window, c.hop, window=self.taper, normalized=True, length=time)
        return waves.unflatten(0, result.shape[:2])
