"""Preconditioned denoisers (Karras et al. 2022): a score network, and a posterior that sees the mixture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from audiofix.nets.mixer import MixerConfig, TimeFrequencyMixer
from audiofix.numerics.tweedie import score_from_denoised
from audiofix.priors.base import Posterior


class Network(Protocol):
    """A mixer, or a compiled form of it."""

    config: MixerConfig

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """(batch, input, time) and (batch,) to (batch, output, time)."""
        ...


# Where the state carries nothing: the network is told this level and shown zeros in place of noise.
NOTHING_KNOWN = 10.0


def denoise_alone(net: Network, x: Tensor, sigma: Tensor) -> Tensor:
    """D(x, sigma) for each source by itself (Karras et al. 2022, eq. 7). x: (batch, 1, time); sigma: (batch,)."""
    data = net.config.sigma_data
    level = sigma[:, None, None]
    total = (level**2 + data**2).sqrt()
    found = net(x / total, sigma)
    return (data / total) ** 2 * x + level * data / total * found


def denoise_jointly(net: Network, x: Tensor, y: Tensor, sigma: Tensor, shown: Tensor | None = None) -> Tensor:
    """D(x, y, sigma): the sources' mean given their noisy versions and their sum.

    x: (batch, source, time); y: (batch, time); sigma: (batch,), infinite where x carries nothing. `shown`:
    (batch,), 1 where the sum is known and 0 where it is not (the network then is the sources' joint prior). The
    part that needs no network is the exact mean under white Gaussian sources of standard deviation sigma_data;
    the network adds the rest. Sources add up to y exactly where it is shown. Returns (batch, source, time).
    """
    data, sources = net.config.sigma_data, x.shape[1]
    known = torch.ones_like(sigma) if shown is None else shown
    known = known[:, None, None]
    share = known * y[:, None] / sources
    blind = ~torch.isfinite(sigma)[:, None, None]
    level = torch.where(blind, NOTHING_KNOWN, sigma[:, None, None])
    total = (level**2 + data**2).sqrt()
    # Given the sum, what x says about the sum is worthless: take it out.
    held = torch.where(blind, share.expand_as(x), x - known * x.mean(dim=1, keepdim=True) + share)
    base = share + (data / total) ** 2 * (held - share)
    inputs = torch.cat([known * y[:, None] / data, torch.where(blind, 0.0, (held - share) / total)], dim=1)
    found = net(inputs, level[:, 0, 0]) * level * data / total
    return base + found - known * found.mean(dim=1, keepdim=True)


class ScorePrior:
    """One source's smoothed score from a denoiser D: (D(x, sigma) - x) / sigma^2 (Song & Ermon 2019, seed 004)."""

    def __init__(
        self, net: TimeFrequencyMixer, sample_rate: int, sigmas: tuple[float, ...], bf16: bool = False
    ) -> None:
        self.net, self.sample_rate, self.sigmas, self.bf16 = net, sample_rate, sigmas, bf16
        self.grid = net.grid
        self.halo = -(-net.receptive_field // net.grid) * net.grid
        self.anywhere = net.in_whole_vectors  # bits do not depend on where on the grid chunks begin
        net.eval().requires_grad_(False)

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        """(batch, time) noisy amplitude to the mean of what was clean, same shape."""
        with torch.no_grad():
            return self._denoised(x, sigma)

    def _denoised(self, x: Tensor, sigma: float) -> Tensor:
        level = torch.full(x.shape[:1], sigma, dtype=x.dtype, device=x.device)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            return denoise_alone(self.net, x[:, None], level)[:, 0]

    def pullback(self, x: Tensor, sigma: float, residual: Tensor) -> Tensor:
        """Transposed Jacobian of `denoise` at x applied to a residual, (batch, time) each: one backward pass."""
        with torch.enable_grad():
            leaf = x.detach().requires_grad_(True)
            (found,) = torch.autograd.grad(self._denoised(leaf, sigma), leaf, residual)
        return found

    def score(self, x: Tensor, sigma: float) -> Tensor:
        """Gradient of log p_sigma by Tweedie's formula, (batch, time)."""
        return score_from_denoised(x, self.denoise(x, sigma), sigma)


class MixturePosterior:
    """Several sources' posterior given their sum, amortised: trained on simulated mixtures."""

    def __init__(
        self, net: TimeFrequencyMixer, sample_rate: int, sigmas: tuple[float, ...], bf16: bool = False
    ) -> None:
        self.net, self.sample_rate, self.sigmas, self.bf16 = net, sample_rate, sigmas, bf16
        self.sources = net.config.outputs
        self.grid = net.grid
        self.halo = -(-net.receptive_field // net.grid) * net.grid
        self.anywhere = net.in_whole_vectors  # bits do not depend on where on the grid chunks begin
        net.eval().requires_grad_(False)

    def denoise(self, x: Tensor, y: Tensor, sigma: float) -> Tensor:
        """x: (batch, source, time) noisy, y: (batch, time) their sum; with sigma infinite x is ignored."""
        level = torch.full(x.shape[:1], sigma, dtype=x.dtype, device=x.device)
        with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            return denoise_jointly(self.net, x, y, level)


class InOrder:
    """A posterior whose sources come in another order: place i holds its source `order[i]`."""

    def __init__(self, posterior: Posterior, order: Sequence[int]) -> None:
        self.posterior, self.order = posterior, list(order)
        self.sample_rate, self.sigmas = posterior.sample_rate, posterior.sigmas
        self.halo, self.grid = posterior.halo, posterior.grid
        self.anywhere = getattr(posterior, "anywhere", False)

    def denoise(self, x: Tensor, y: Tensor, sigma: float) -> Tensor:
        """As the posterior's own, (batch, source, time) in the new order."""
        back = [self.order.index(own) for own in range(len(self.order))]
        return self.posterior.denoise(x[:, back], y, sigma)[:, self.order]
