"""How far draws lie apart: where a restoration is a guess, they differ."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

WINDOW, HOP = 1024, 256
FLOOR_DB = -60.0


def standard_deviation(draws: Sequence[Tensor]) -> Tensor:
    """Sample by sample over two draws or more, (channel, time), unbiased."""
    return torch.stack(list(draws)).std(dim=0)


def level_db(wave: Tensor) -> Tensor:
    """Spectrogram of (time,) in dB, (bin, frame), not below -200. Outside the recording is silence."""
    spectrum = torch.stft(
        wave.float(), WINDOW, HOP, window=torch.hann_window(WINDOW), pad_mode="constant", return_complex=True
    )
    return 20 * torch.log10(spectrum.abs() + 1e-10)


def certainty_db(draws: Sequence[Tensor], floor_db: float = FLOOR_DB) -> tuple[Tensor, Tensor]:
    """Spectrogram of the draws and how far they lie apart in it, both (bin, frame), dB.

    draws: (channel, time) each, two or more. The first is the draws' mean power over its greatest value, not below
    `floor_db`. The second is the draws' variance (of the complex spectra, unbiased) over their mean power: near 0
    where they have nothing in common; `floor_db` where they agree or nothing sounds. Channels are averaged.
    Outside the recording is silence.
    """
    variance, power = _moments(draws)
    sounding = power > power.amax() * 10 ** (floor_db / 10)
    low = power.new_tensor(floor_db)
    level = 10 * torch.log10(power / power.amax().clamp(min=1e-20) + 1e-20)
    apart = 10 * torch.log10(variance / power.clamp(min=1e-20) + 1e-20)
    return torch.maximum(level, low), torch.where(sounding, apart.clamp(floor_db, 0.0), low)


def _moments(draws: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Unbiased variance and mean power of the draws' spectra, (bin, frame), mean over channels.

    One draw at a time (Welford 1962): all spectra of a song at once would be gigabytes.
    """
    window = torch.hann_window(WINDOW)
    mean = squares = power = torch.zeros(())
    for count, draw in enumerate(draws, 1):
        # Not the default, reflection: it refuses recordings shorter than half a window.
        spectrum = torch.stft(
            draw.float(), WINDOW, HOP, window=window, pad_mode="constant", return_complex=True
        )
        off = spectrum - mean
        mean = mean + off / count
        squares = squares + off.abs().square().mean(dim=0) * ((count - 1) / count)
        power = power + spectrum.abs().square().mean(dim=0)
    return squares / (len(draws) - 1), power / len(draws)
