"""The spectral envelope: levels of bands in each frame, measured, and put on a signal."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d, interpolate, pad

WINDOW, HOP = 2048, 512  # samples; at 16 kHz 128 ms and 32 ms
BANDS, WIDTH = 128, 8  # bins to a band; the highest bin of the window is left out
SHORT, SHORT_HOP = 512, 128  # of the frames that tell when, within a long one
SHORT_BANDS = 32
PER_FRAME = HOP // SHORT_HOP
FEATURES = 2 * BANDS + PER_FRAME * SHORT_BANDS  # numbers that tell what is known of a frame
QUIETEST = 1e-8  # power of a bin, for a transform without normalisation, below which all is silence
MOST_DB = 30.0  # that a band of a frame is raised or lowered by, in one round
SMOOTH = 5  # bands that a gain is averaged over: 310 Hz at 16 kHz, more than a voice's pitch
ROUNDS = 3
AROUND = 32  # frames on each side, a second at 16 kHz, whose mean power tells what is loud


def spectrum(wave: Tensor, window: int = WINDOW, hop: int = HOP) -> Tensor:
    """(batch, time) to (batch, bin, frame), centred frames, silence outside."""
    hann = torch.hann_window(window, dtype=wave.dtype, device=wave.device)
    return torch.stft(wave, window, hop, window=hann, pad_mode="constant", return_complex=True)


def levels(spectra: Tensor, bands: int = BANDS) -> Tensor:
    """Mean log10 of power over the bins of each band: (batch, bin, frame) to (batch, frame, band)."""
    logarithm = (spectra.real.square() + spectra.imag.square() + QUIETEST).log10()[:, :-1]
    return logarithm.unflatten(1, (bands, -1)).mean(dim=2).transpose(1, 2)


def known_bands(edge: Tensor, bands: int = BANDS) -> Tensor:
    """1 for bands that lie below `edge` (batch,), a share of the Nyquist frequency: (batch, band)."""
    tops = (torch.arange(bands, device=edge.device) + 1) / bands
    return (tops <= edge[:, None]).float()


def features(low: Tensor, edge: Tensor) -> Tensor:
    """What is known of each frame, (batch, frame, 384): levels of long and short frames, and which are known.

    low: (batch, time), what is known; edge: (batch,), up to where, a share of the Nyquist frequency. Levels are
    scaled to about -1 to 1, and 0 where nothing is known.
    """
    long = levels(spectrum(low))
    known = known_bands(edge)[:, None].expand_as(long)
    short = levels(spectrum(low, SHORT, SHORT_HOP), SHORT_BANDS)
    frames = long.shape[1]
    # Four short frames to a long one, from before its middle to after it.
    short = pad(short, (0, 0, 1, PER_FRAME))[:, : PER_FRAME * frames].unflatten(1, (frames, PER_FRAME))
    seen = known_bands(edge, SHORT_BANDS)[:, None, None]
    parts = (_scaled(long) * known, (_scaled(short + 0.6) * seen).flatten(2), known)
    return torch.cat(parts, dim=2)


def _scaled(level: Tensor) -> Tensor:
    return (level + 2.0) / 4.0


def unscaled(level: Tensor) -> Tensor:
    """What the network gives, as log10 of power."""
    return level * 4.0 - 2.0


def doubted(wanted: Tensor, own: Tensor, trusted: float) -> Tensor:
    """Levels that are wanted, log10 of power; rises over one's own beyond `trusted` count half."""
    rise = wanted - own
    return own + rise.clamp(max=trusted) + 0.5 * (rise - trusted).clamp(min=0.0)


def eased(wanted: Tensor, known: Tensor, most: float) -> Tensor:
    """Levels that are wanted, log10 of power, the loudest lowered by `most`.

    A draw's phases are its own, and what is loudest has most of the error. What is louder than the mean power of
    the missing bands within a second is lowered, what has a tenth of it is not; between them it goes straight.
    wanted: (batch, frame, band); known: (batch, band), 1 where a band is.
    """
    missing = (1 - known)[:, None]
    power = (10**wanted * missing).sum(dim=2) / missing.sum(dim=2).clamp(min=1)
    near = avg_pool1d(power, 2 * AROUND + 1, 1, AROUND, count_include_pad=False)
    louder = wanted - near.clamp(min=QUIETEST).log10()[:, :, None]
    return wanted - most * (louder + 1).clamp(0, 1)


def shaped(wave: Tensor, wanted: Tensor, known: Tensor, rounds: int = ROUNDS) -> Tensor:
    """(batch, time) with the wanted levels where bands are not known.

    wanted: (batch, frame, band), log10 of power; known: (batch, band), 1 where the wave stays as it is. Gains are
    averaged over SMOOTH bands and go smoothly over bins: partials stay partials, which lie closer. Frames overlap,
    so that it takes rounds.
    """
    missing = (1 - known)[:, None]
    for _ in range(rounds):
        spectra = spectrum(wave)
        gain = (wanted - levels(spectra)).clamp(-MOST_DB / 10, MOST_DB / 10)
        wave = _wave(spectra * _over_bins(_smooth(gain, missing)), wave)
    return wave


def _smooth(gain: Tensor, missing: Tensor) -> Tensor:
    """Mean over the missing ones of SMOOTH bands; 0 where bands are known."""
    total, count = (
        avg_pool1d(part, SMOOTH, 1, SMOOTH // 2) for part in (gain * missing, missing.expand_as(gain))
    )
    return total / count.clamp(min=1 / (2 * SMOOTH)) * missing


def _over_bins(gain: Tensor) -> Tensor:
    """Of bands in log10 of power to factors of bins, linear between middles: to (batch, bin, frame)."""
    whole = interpolate(gain, scale_factor=WIDTH, mode="linear", align_corners=False)
    return (0.5 * math.log(10) * pad(whole, (0, 1), mode="replicate")).exp().transpose(1, 2)


def _wave(spectra: Tensor, like: Tensor) -> Tensor:
    hann = torch.hann_window(WINDOW, dtype=like.dtype, device=like.device)
    return torch.istft(spectra, WINDOW, HOP, window=hann, length=like.shape[-1])
