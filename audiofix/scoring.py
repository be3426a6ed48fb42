"""Figures against a clean recording, before and after."""

from __future__ import annotations

import torch

from audiofix.audio.resample import resample
from audiofix.errors import InputError
from audiofix.numerics.metrics import FRAME, log_spectral_distance, si_sdr, snr
from audiofix.types import Audio

FIGURES = {"snr_db": snr, "si_sdr_db": si_sdr, "log_spectral_distance": log_spectral_distance}


def check_reference(clean: Audio, sample_rate: int, channels: int, length: int) -> None:
    """Raise InputError where a reference has not the result's rate, channels and length, or a silent channel."""
    result = {"sample_rate": sample_rate, "channels": channels, "length": length}
    for what, wanted in result.items():
        if getattr(clean, what) != wanted:
            raise InputError(
                f"the reference has {what.replace('_', ' ')} {getattr(clean, what)}, the result {wanted}; give "
                "the clean recording as the result should be"
            )
    if not bool((clean.samples != clean.samples[:, :1]).any(dim=1).all()):
        raise InputError("the reference is silent, so there is no SNR; give the clean recording itself")


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
