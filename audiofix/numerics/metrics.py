"""Figures of merit in dB. Names follow the field: SI-SDR (Le Roux et al. 2019), SDR, log-spectral distance."""

from __future__ import annotations

import torch
from torch import Tensor

from audiofix.errors import InputError


def _power(x: Tensor) -> Tensor:
    return x.square().sum(dim=-1)


def si_sdr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio (Le Roux 2019, eq. 1), dB.

    (..., time) both; means are removed, the reference is scaled by projection. Returns (...).
    Raises InputError when the reference is silent, for which the figure is not defined.
    """
    estimate, reference = estimate.double(), reference.double()
    estimate = estimate - estimate.mean(dim=-1, keepdim=True)
    reference = reference - reference.mean(dim=-1, keepdim=True)
    energy = _power(reference)
    if bool((energy <= 0).any()):
        raise InputError("SI-SDR is not defined for a silent reference; give the clean source itself")
    scale = (estimate * reference).sum(dim=-1) / energy
    target = scale[..., None] * reference
    return 10 * torch.log10(_power(target) / _power(estimate - target))


def sdr(estimate: Tensor, reference: Tensor) -> Tensor:
    """Plain signal-to-error ratio 10 log10(|s|^2 / |s - estimate|^2), dB; (..., time) to (...)."""
    estimate, reference = estimate.double(), reference.double()
    return 10 * torch.log10(_power(reference) / _power(reference - estimate))


def log_spectral_distance(estimate: Tensor, reference: Tensor) -> Tensor:
    """Root-mean-square distance of log10 power spectra over bins, mean over frames (2048/512 Hann, +1e-8)."""
    window = torch.hann_window(2048, dtype=torch.float64)

    def log_power(x: Tensor) -> Tensor:
        spectrum = torch.stft(x.double(), 2048, 512, window=window, return_complex=True)
        return torch.log10(spectrum.abs().square() + 1e-8)

    difference = log_power(estimate) - log_power(reference)
    return difference.square().mean(dim=-2).sqrt().mean(dim=-1)
