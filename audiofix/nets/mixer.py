"""A time-frequency mixer: noisy waveforms and what was recorded in, clean waveforms out. No causality needed.

The short-time Fourier transform is cut into bands of unequal width and patches of a few frames; each (patch,
band) is a token of some hundred features. A block mixes neighbouring patches (depthwise, dilated), each token
by itself (gated, dense), and all bands of a patch through a bottleneck. The output is, for each clean waveform,
complex factors for the spectra that came in plus a spectrum of its own. Where it is told to (`local`), also the
variance of the clean signal in each bin: a denoiser scaled by one number for the whole spectrum cannot clean a
bin 60 dB below the others as far as it could.

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
from audiofix.nets.mixer_block import TAPS, MixerBlock

Trunk = Callable[[Tensor, Tensor], Tensor]
VECTOR = (
    32  # numbers that torch's elementwise functions take at once, two registers of AVX-512; or a half of it
)
# Steps of numbers that span many decades: logarithms of power above noise go in so, and of variance come out so.
HEIGHT_STEP, LOG_STEP = 0.2, 4.0


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
    local: bool = (
        False  # estimate the clean variance of every bin and scale the output by what is uncertain there
    )

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
        if self.local and self.inputs > 1:
            raise ValueError("local variances are estimated for one wave that goes in and comes out")

    @property
    def entering(self) -> int:
        """Real numbers that a bin of a wave brings: a complex one, and where `local` how far it is above noise."""
        return 3 if self.local else 2

    @property
    def leaving(self) -> int:
        """Real numbers that a bin needs in all."""
        return 2 * self.outputs * self.factors + self.local

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


class TimeFrequencyMixer(nn.Module):
    """Network of a denoiser; all waveforms are at unit scale here, preconditioning is the prior's business."""

    taper: Tensor

    def __init__(self, config: MixerConfig) -> None:
        super().__init__()
        c = self.config = config
        bands = sum(count for count, _ in c.bands)
        self.register_buffer("taper", torch.hann_window(c.window).sqrt(), persistent=False)
        self.embed = SigmaEmbedding(c.sigma_width)
        into = [(count, width * c.patch * c.entering * c.inputs) for count, width in c.bands]
        out = [(count, width * c.patch * c.leaving) for count, width in c.bands]
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

    @property
    def in_whole_vectors(self) -> bool:
        """Whether a patch is a whole number of vectors everywhere: then bits do not depend on how many there are.

        Elementwise functions go by VECTOR numbers and work out what is left over in another way. Products give a
        row the same bits among any number of rows. Both hold exactly where one thread goes through all of them.
        """
        c, bands = self.config, sum(count for count, _ in self.config.bands)
        sizes = (bands * c.features, c.hidden, bands * c.band_features, c.band_hidden, c.window // 2)
        return all(size % VECTOR == 0 for size in sizes)

    def forward(self, x: Tensor, sigma: Tensor, trunk: Trunk | None = None) -> Tensor:
        """x: (batch, input, time) at unit scale, recorded ones first; sigma: (batch,) in full-scale amplitude.

        Returns (batch, output, time). `trunk`: `self.trunk` or a compiled form of it. Any time >= 1.
        """
        return self.with_variance(x, sigma, trunk)[0]

    def with_variance(
        self, x: Tensor, sigma: Tensor, trunk: Trunk | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """As `forward`, and if `local` how far each bin is above noise: (batch, bin, frame), see `_scaled`."""
        spectra = self.spectra(x)
        numbers = (trunk or self.trunk)(self._patches(spectra, sigma), self.embed(sigma)).float()
        numbers = numbers.unflatten(3, (self.config.patch, self.config.leaving))
        result = self._products(numbers[..., : 2 * self.config.outputs * self.config.factors], spectra)
        above = None
        if self.config.local:
            above = LOG_STEP * numbers[..., -1].permute(0, 2, 1, 3).flatten(2)
            result, above = self._scaled(result, above, spectra, sigma)
        return self._waves(result, x.shape[-1]), above

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

    def spectra(self, x: Tensor) -> Tensor:
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

    def _patches(self, spectra: Tensor, sigma: Tensor) -> Tensor:
        """Complex (batch, wave, bin, frame) to (batch, patch, bin, number), magnitudes compressed to the root."""
        c = self.config
        parts = torch.view_as_real(spectra * (spectra.abs() + 1e-4).rsqrt())
        if c.local:
            level = self.noise_power(sigma)[:, None, None, None]
            height = (spectra.real.square() + spectra.imag.square()) / level
            parts = torch.cat([parts, HEIGHT_STEP * height.add(1e-2).log()[..., None]], dim=-1)
        parts = parts.unflatten(3, (-1, c.patch))
        return parts.permute(0, 3, 2, 4, 1, 5).flatten(3)

    def _products(self, numbers: Tensor, spectra: Tensor) -> Tensor:
        """Apply factors and add own spectra: (batch, patch, bin, frame of patch, number) to complex spectra."""
        c = self.config
        parts = numbers.unflatten(4, (c.outputs, c.factors, 2)).permute(0, 4, 5, 2, 1, 3, 6)
        complex_parts = torch.view_as_complex(parts.flatten(4, 5).contiguous())
        result = complex_parts[:, :, -1] + complex_parts[:, :, -2] * spectra[:, c.recorded :]
        for index in range(c.recorded):
            result = result + complex_parts[:, :, index] * spectra[:, index : index + 1]
        return result

    def noise_power(self, sigma: Tensor) -> Tensor:
        """Mean power of the noise in a bin of the input at unit scale, (batch,)."""
        share = self.taper.square().sum() / self.config.window
        return share * sigma**2 / (sigma**2 + self.config.sigma_data**2)

    def _scaled(
        self, result: Tensor, change: Tensor, spectra: Tensor, sigma: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Precondition every bin by a variance of its own.

        Karras et al. 2022 write D = c_skip x + c_out F with c_skip = d^2 / (s^2 + d^2) and c_out = s sqrt(c_skip),
        d the standard deviation of all data: the Wiener filter of a white source, and its error as scale. Here
        the source of each bin has variance v: D = g x + s sqrt(g) F, g = v / (s^2 + v). `change` is
        ln v - ln d^2; at 0 nothing changes. The scale outside is that of d, so the rest is made up here.
        Returns the spectra and ln(v / s^2), both (batch, ..., bin, frame).
        """
        data, level = self.config.sigma_data, sigma[:, None, None]
        total = level**2 + data**2
        above = (change + 2 * (data / level).log()).clamp(-30.0, 30.0)
        # Of two numbers close to 1 the difference, from what each lacks to 1.
        more = level**2 / total - torch.sigmoid(-above)
        shrink = (torch.sigmoid(above) * total).sqrt() / data
        return shrink[:, None] * result + (more * total / (level * data))[:, None] * spectra, above

    def _waves(self, spectra: Tensor, time: int) -> Tensor:
        """Complex (batch, output, bin, frame) to (batch, output, time)."""
        c = self.config
        frames = functional.pad(spectra, (0, 0, 0, 1)).flatten(0, 1)
        waves = torch.istft(frames, c.window, c.hop, window=self.taper, normalized=True, length=time)
        return waves.unflatten(0, spectra.shape[:2])
