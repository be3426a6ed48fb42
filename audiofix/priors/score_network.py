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


def denoise_recorded(net: Network, x: Tensor, recorded: Tensor, sigma: Tensor, shown: Tensor) -> Tensor:
    """D(x, sigma) of one source, shown a recording of it: its mean given its noisy version and the evidence.

    x: (batch, time); recorded: (batch, 3, time), `Evidence.recorded`; sigma: (batch,), infinite where x carries
    nothing; shown: (batch,), 0 where there is no recording: `denoise_alone` then. Counted from the first guess,
    as that is counted from zero. Returns (batch, time).
    """
    data, blind = net.config.sigma_data, ~torch.isfinite(sigma)[:, None]
    level = torch.where(blind, NOTHING_KNOWN, sigma[:, None])
    total = (level**2 + data**2).sqrt()
    recorded = recorded * shown[:, None, None]
    guess, kept = recorded[:, 0], (data / total) ** 2
    held = torch.where(blind, guess, x)
    # Waveforms at unit scale; trust lies in 0 ... 1 already.
    scaled = torch.cat([recorded[:, :-1] / data, recorded[:, -1:]], dim=1)
    inputs = torch.cat([scaled, torch.where(blind, 0.0, held / total)[:, None]], dim=1)
    return guess + kept * (held - guess) + level * data / total * net(inputs, level[:, 0])[:, 0]


class ScorePrior:
    """One source's smoothed score from a denoiser D: (D(x, sigma) - x) / sigma^2 (Song & Ermon 2019, seed 004)."""

    def __init__(
        self, net: TimeFrequencyMixer, sample_rate: int, sigmas: tuple[float, ...], bf16: bool = False
    ) -> None:
        self.net, self.sample_rate, self.sigmas, self.bf16 = net, sample_rate, sigmas, bf16
        self.grid = net.grid
        self.halo = -(-net.receptive_field // net.grid) * net.grid
        net.eval().requires_grad_(False)

    @property
    def sees_recordings(self) -> bool:
        """Whether `restore` works: the network was trained to be shown evidence too."""
        return self.net.config.recorded > 0

    def denoise(self, x: Tensor, sigma: float) -> Tensor:
        """(batch, time) noisy amplitude to the mean of what was clean, same shape."""
        if self.sees_recordings:
            return self._recorded(x, x.new_zeros(len(x), self.net.config.recorded, x.shape[1]), sigma, 0.0)
        level = torch.full(x.shape[:1], sigma, dtype=x.dtype, device=x.device)
        with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            return denoise_alone(self.net, x[:, None], level)[:, 0]

    def restore(self, x: Tensor, recorded: Tensor, sigma: float) -> Tensor:
        """The mean of what was clean given x (batch, time) and a recording (batch, 3, time), `Evidence.recorded`.

        With sigma infinite x is ignored: the mean given the recording alone.
        """
        return self._recorded(x, recorded, sigma, 1.0)

    def _recorded(self, x: Tensor, recorded: Tensor, sigma: float, shown: float) -> Tensor:
        level = torch.full(x.shape[:1], sigma, dtype=x.dtype, device=x.device)
        given = torch.full_like(level, shown)
        with torch.no_grad(), torch.autocast(x.device.type, torch.bfloat16, enabled=self.bf16):
            return denoise_recorded(self.net, x, recorded, level, given)

    def score(self, x: Tensor, sigma: float) -> Tensor:
        """Gradient of log p_sigma by Tweedie's formula, (batch, time)."""
        return score_from_denoised(x, self.denoise(x, sigma), sigma)


class RecordedPosterior:
    """A score prior shown a recording: one source's posterior, y being (batch, 3, time) `Evidence.recorded`."""

    def __init__(self, prior: ScorePrior) -> None:
        self.prior = prior
        self.sample_rate, self.sigmas = prior.sample_rate, prior.sigmas
        self.halo, self.grid = prior.halo, prior.grid

    def denoise(self, x: Tensor, y: Tensor, sigma: float) -> Tensor:
        """x: (batch, 1, time) noisy; with sigma infinite it is ignored. Returns (batch, 1, time)."""
        return self.prior.restore(x[:, 0], y, sigma)[:, None]


class MixturePosterior:
    """Several sources' posterior given their sum, amortised: trained on simulated mixtures."""

    def __init__(
        self, net: TimeFrequencyMixer, sample_rate: int, sigmas: tuple[float, ...], bf16: bool = False
    ) -> None:
        self.net, self.sample_rate, self.sigmas, self.bf16 = net, sample_rate, sigmas, bf16
        self.sources = net.config.outputs
        self.grid = net.grid
        self.halo = -(-net.receptive_field // net.grid) * net.grid
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

    def denoise(self, x: Tensor, y: Tensor, sigma: float) -> Tensor:
        """As the posterior's own, (batch, source, time) in the new order."""
        back = [self.order.index(own) for own in range(len(self.order))]
        return self.posterior.denoise(x[:, back], y, sigma)[:, self.order]
