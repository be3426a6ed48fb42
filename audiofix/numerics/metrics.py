"""Figures of merit, named as in the field: SI-SDR (Le Roux et al. 2019), SNR, SDR, PSNR, log-spectral distance."""

from __future__ import annotations

import torch
from torch import Tensor

from audiofix.errors import InputError

FRAME, HOP = 2048, 512  # of the log-spectral distance, samples


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


def snr(estimate: Tensor, reference: Tensor, where: Tensor | None = None) -> Tensor:
    """Signal-to-noise ratio 10 log10(|s|^2 / |s - estimate|^2), dB: the energies are summed, not the ratios.

    (..., time) both; `where`: (time,), 1 or True for the samples that count, such as those inside gaps. Returns
    (...), infinite for a perfect estimate, 0 for silence. Changes with the estimate's scale.
    Raises InputError when the reference is silent there, for which the figure is not defined.
    """
    estimate, reference = estimate.double(), reference.double()
    if where is not None:
        chosen = where.bool()
        estimate, reference = estimate[..., chosen], reference[..., chosen]
    energy = _power(reference)
    if bool((energy <= 0).any()):
        raise InputError("SNR is not defined for a silent reference; leave it out, or choose other samples")
    return 10 * torch.log10(energy / _power(reference - estimate))


def sdr(estimate: Tensor, reference: Tensor, where: Tensor | None = None) -> Tensor:
    """Signal-to-distortion ratio, dB: `snr` under the name it has where the error is distortion, not noise."""
    return snr(estimate, reference, where)


def psnr(estimate: Tensor, reference: Tensor, peak: float = 1.0) -> Tensor:
    """Peak signal-to-noise ratio 10 log10(peak^2 / mean error^2), dB; (..., time) both, to (...).

    `peak` is full scale, 1: not twice that, and not the peak of the clip. Of a clip at RMS r it is `snr` less
    20 log10(r): 20 dB more at RMS 0.1. Infinite for a perfect estimate.
    """
    error = (estimate.double() - reference.double()).square().mean(dim=-1)
    return 10 * torch.log10(peak**2 / error)


def log_spectral_distance(estimate: Tensor, reference: Tensor) -> Tensor:
    """Distance of two log10 power spectra: root mean square over bins, mean over frames; (..., time) to (...).

    Power of torch.stft as it comes (2048 samples, hop 512, periodic Hann window, no normalisation, frames
    centred with the signal mirrored at its ends) plus 1e-8. That constant makes the figure depend on the level:
    it is meant for clips at RMS 0.1 of full scale 1. In units of log10 of power: 1 is 10 dB. Symmetric, >= 0.
    Raises InputError below 1025 samples, which cannot be mirrored.
    """
    if reference.shape[-1] <= FRAME // 2:
        raise InputError(
            f"{reference.shape[-1]} samples are too short for the spectral distance; give {FRAME // 2 + 1}"
        )
    rows = (x.reshape(-1, x.shape[-1]) for x in (estimate, reference))
    mirrored = (torch.nn.functional.pad(x, (FRAME // 2, FRAME // 2), mode="reflect") for x in rows)
    return frame_distances(*mirrored).mean(dim=-1).reshape(reference.shape[:-1])


def frame_distances(estimate: Tensor, reference: Tensor) -> Tensor:
    """The same of each frame that lies within the signals, from their first sample on: (..., frame)."""
    difference = _log_power(estimate) - _log_power(reference)
    return difference.square().mean(dim=-2).sqrt()


def _log_power(x: Tensor) -> Tensor:
    """(..., time) to (..., bin, frame): log10 of power + 1e-8, of frames that lie within the signal."""
    window = torch.hann_window(FRAME, dtype=torch.float64, device=x.device)
    rows = x.double().reshape(-1, x.shape[-1])
    spectrum = torch.stft(rows, FRAME, HOP, window=window, center=False, return_complex=True)
    power = torch.log10(spectrum.abs().square() + 1e-8)
    return power.reshape(*x.shape[:-1], *power.shape[-2:])
