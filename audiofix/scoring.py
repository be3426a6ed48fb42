"""Figures against a clean recording, before and after: in memory, or of what is read part by part."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from audiofix.audio.resample import resample
from audiofix.errors import InputError
from audiofix.numerics.metrics import FRAME, HOP, frame_distances, log_spectral_distance, si_sdr, snr
from audiofix.types import Audio

FIGURES = {"snr_db": snr, "si_sdr_db": si_sdr, "log_spectral_distance": log_spectral_distance}


Read = Callable[[int, int], Tensor]  # samples [start, stop) of all channels, (channel, stop - start)
FRAMES = 512  # at a time
PART = FRAMES * HOP  # samples at a time


def check_shape(clean: Audio, sample_rate: int, channels: int, length: int) -> None:
    """Raise InputError where a reference has not the result's rate, channels and length."""
    result = {"sample_rate": sample_rate, "channels": channels, "length": length}
    for what, wanted in result.items():
        if getattr(clean, what) != wanted:
            raise InputError(
                f"the reference has {what.replace('_', ' ')} {getattr(clean, what)}, the result {wanted}; give "
                "the clean recording as the result should be"
            )


def check_sound(moves: Tensor) -> None:
    """Raise InputError where a channel of a reference does not move: (channel,) flags."""
    if not bool(moves.all()):
        raise InputError("the reference is silent, so there is no SNR; give the clean recording itself")


def check_reference(clean: Audio, sample_rate: int, channels: int, length: int) -> None:
    """Raise InputError where a reference has not the result's rate, channels and length, or a silent channel."""
    check_shape(clean, sample_rate, channels, length)
    check_sound((clean.samples != clean.samples[:, :1]).any(dim=1))


def against_reference(before: Audio, after: Audio, clean: Audio) -> dict[str, dict[str, float]]:
    """SNR, SI-SDR and log-spectral distance of a recording and of what became of it, mean over channels.

    Raises InputError as `check_reference` does.
    """
    check_reference(clean, after.sample_rate, after.channels, after.length)
    damaged = resample(torch.nan_to_num(before.samples), before.sample_rate, after.sample_rate, after.length)
    measured = {
        name: f for name, f in FIGURES.items() if f is not log_spectral_distance or after.length > FRAME // 2
    }
    return {
        name: {
            "before": float(figure(damaged, clean.samples).mean()),
            "after": float(figure(after.samples, clean.samples).mean()),
        }
        for name, figure in measured.items()
    }


def against_in_parts(before: Read, after: Read, clean: Read, length: int) -> dict[str, dict[str, float]]:
    """As `against_reference` of signals of one rate and length that need not fit into memory, but for rounding."""
    found = {"before": in_parts(before, clean, length), "after": in_parts(after, clean, length)}
    return {name: {when: found[when][name] for when in found} for name in found["after"]}


def in_parts(estimate: Read, clean: Read, length: int) -> dict[str, float]:
    """SNR, SI-SDR and log-spectral distance, mean over channels, from sums over parts."""
    found = sample_figures(estimate, clean, length)
    if length > FRAME // 2:
        found["log_spectral_distance"] = float(_distance(estimate, clean, length).mean())
    return found


def sample_figures(estimate: Read, clean: Read, length: int) -> dict[str, float]:
    """SNR and SI-SDR, mean over channels, from sums over parts."""
    total = torch.zeros(())
    for start in range(0, length, PART):
        x, y = (read(start, min(start + PART, length)).double() for read in (estimate, clean))
        sums = (x, y, x * x, y * y, x * y, (x - y) ** 2)
        total = total + torch.stack([each.sum(dim=-1) for each in sums])
    mean_x, mean_y, power_x, power_y, product, error = total / length
    spread_x, spread_y = power_x - mean_x**2, power_y - mean_y**2
    along = (product - mean_x * mean_y) ** 2 / spread_y
    found = {
        "snr_db": 10 * torch.log10(power_y / error),
        "si_sdr_db": 10 * torch.log10(along / (spread_x - along).clamp(min=0.0)),
    }
    return {name: float(figure.mean()) for name, figure in found.items()}


def _distance(estimate: Read, clean: Read, length: int) -> Tensor:
    """`log_spectral_distance`, some frames at a time: (channel,)."""
    count, total = 1 + length // HOP, torch.zeros(())
    for first in range(0, count, FRAMES):
        last = min(first + FRAMES, count)
        start, stop = first * HOP - FRAME // 2, (last - 1) * HOP + FRAME // 2
        here, there = (_mirrored(read, start, stop, length) for read in (estimate, clean))
        total = total + frame_distances(here, there).sum(dim=-1)
    return total / count


def _mirrored(read: Read, start: int, stop: int, length: int) -> Tensor:
    """Samples [start, stop) of a signal that is mirrored at its first and last sample."""
    parts = [read(max(start, 0), min(stop, length))]
    if start < 0:
        parts.insert(0, read(1, 1 - start).flip(-1))
    if stop > length:
        parts.append(read(2 * length - 1 - stop, length - 1).flip(-1))
    return torch.cat(parts, dim=-1)
