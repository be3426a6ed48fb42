"""The posterior of a missing upper band, amortised: a network that sees the lower band."""

from __future__ import annotations

import torch
from torch import Tensor

from audiofix.nets.mixer import TimeFrequencyMixer
from audiofix.priors.score_network import NOTHING_KNOWN, Network

HIGHS = 0.01  # standard deviation of upper bands, full-scale amplitude, of clips at RMS 0.1


def denoise_highs(net: Network, x: Tensor, low: Tensor, sigma: Tensor) -> Tensor:
    """D(x, y, sigma): the mean of a sound given its noisy version and its lower band.

    x, low: (batch, time); sigma: (batch,), infinite where x carries nothing. What is denoised is x less the lower
    band, with the preconditioning of Karras et al. 2022 (eq. 7) for a signal of standard deviation HIGHS. What
    comes back in the lower band means nothing: the recording's own is put there by projection. Returns (batch,
    time).
    """
    blind = ~torch.isfinite(sigma)[:, None]
    level = torch.where(blind, NOTHING_KNOWN, sigma[:, None])
    total = (level**2 + HIGHS**2).sqrt()
    rest = torch.where(blind, 0.0, x - low)
    inputs = torch.stack([low / net.config.sigma_data, rest / total], dim=1)
    return low + (HIGHS / total) ** 2 * rest + level * HIGHS / total * net(inputs, level[:, 0])[:, 0]


class Upsampler:
    """One source's posterior given its lower band (a `Posterior`); y is that band at the full rate."""

    def __init__(
        self, net: TimeFrequencyMixer, sample_rate: int, sigmas: tuple[float, ...], bf16: bool = False
    ) -> None:
        self.net, self.sample_rate, self.sigmas, self.bf16 = net, sample_rate, sigmas, bf16
        self.grid = net.grid
        self.halo = -(-net.receptive_field // net.grid) * net.grid
        net.eval().requires_grad_(False)

    def denoise(self, x: Tensor, y: Tensor, sigma: float) -> Tensor:
        """x: (batch, 1, time) noisy, y: (batch, time); with sigma infinite x is ignored. As x."""
        level = torch.full(x.shape[:1], sigma, dtype=x.dtype, device=x.device)
        with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            return denoise_highs(self.net, x[:, 0], y, level)[:, None]
