"""What each family is trained for: one function per family, and the validation figure that compares them all."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from audiofix.numerics.companding import nearest_level
from audiofix.numerics.tweedie import denoised_from_score
from audiofix.priors.base import Prior
from audiofix.priors.score_network import Network, denoise_alone, denoise_jointly, denoise_recorded


def noisy_history_nll(
    net: Callable[[Tensor, Tensor], Tensor], levels: Tensor, clean: Tensor, sigma: Tensor, noise: Tensor
) -> Tensor:
    """Cross-entropy of the clean sample's level given the noisy history (PnF section 3.1), bits per sample.

    clean, noise: (batch, time), noise of unit variance; sigma: (batch,). Returns (batch,).
    """
    noisy = clean + sigma[:, None] * noise
    logits = net(noisy, sigma)
    target = nearest_level(clean, levels)
    nats = functional.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
    return nats.view_as(clean).mean(dim=1) / math.log(2)


def denoising_error(net: Network, clean: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """Squared error of D, weighted so that every level counts alike (Karras et al. 2022, eq. 8 and table 1).

    clean, noise: (batch, time); sigma: (batch,). Returns (batch,). The weight is 1 / c_out^2: the error of a net
    that answers zero, the Gaussian denoiser, is about 1 at every level.
    """
    denoised = denoise_alone(net, (clean + sigma[:, None] * noise)[:, None], sigma)[:, 0]
    data = net.config.sigma_data
    weight = 1 / sigma**2 + 1 / data**2
    return weight * (denoised - clean).square().mean(dim=1)


def sliced_error(net: Network, clean: Tensor, sigma: Tensor, noise: Tensor, probe: Tensor) -> Tensor:
    """Sliced score matching of the smoothed density, variance reduced (Song et al. 2019, eq. 8), times sigma^2.

    clean, noise, probe: (batch, time), the last two of unit variance; sigma: (batch,). With s the score at the
    noisy signal it is the mean over samples of v (ds/dx) v + s^2 / 2. It needs no clean target: the noise only
    smooths. Returns (batch,); -1/2 for white noise alone and its true score.
    """
    noisy = (clean + sigma[:, None] * noise).detach().requires_grad_(True)
    denoised = denoise_alone(net, noisy[:, None], sigma)[:, 0]
    score = (denoised - noisy) / sigma[:, None] ** 2
    (along,) = torch.autograd.grad((score * probe).sum(), noisy, create_graph=True)
    return sigma**2 * ((along * probe).mean(dim=1) + 0.5 * score.square().mean(dim=1))


def posterior_error(net: Network, clean: Tensor, sigma: Tensor, noise: Tensor, shown: Tensor) -> Tensor:
    """Error of D(x, y, sigma) for sources and their sum, on a logarithmic scale, (batch,).

    clean, noise: (batch, source, time); sigma: (batch,), infinite where the net sees the sum alone; shown:
    (batch,), 0 where it does not see it. log10 of the weighted squared error of each source: errors are judged
    in decibels, as the result will be, and easy mixtures count as much as hard ones. 30 dB below the mixture is
    as good as perfect, so that silent passages do not rule.
    """
    y = clean.sum(dim=1)
    blind = ~torch.isfinite(sigma)
    finite = torch.where(blind, 1.0, sigma)[:, None, None]
    noisy = torch.where(blind[:, None, None], 0.0, clean + finite * noise)
    denoised = denoise_jointly(net, noisy, y, sigma, shown)
    error = (denoised - clean).square().mean(dim=2)
    power = y.square().mean(dim=1, keepdim=True).clamp(min=1e-8)
    # At low noise even a perfect net errs by no more than the noise itself: measure against the smaller of both.
    scale = torch.minimum(power, torch.where(blind, torch.inf, sigma**2)[:, None])
    return (error / scale + 1e-3).log10().mean(dim=1)


def recorded_error(
    net: Network,
    clean: Tensor,
    heard: Tensor,
    recorded: Tensor,
    lost: Tensor,
    kept_hz: Tensor,
    sample_rate: int,
    sigma: Tensor,
    noise: Tensor,
    shown: Tensor,
) -> Tensor:
    """Error of D(x, sigma) of a source shown a recording of it, on a logarithmic scale, (batch,).

    clean, noise: (batch, time); heard: (batch, time) the recording, gaps silent; recorded: (batch, 3, time);
    sigma, shown as in `denoise_recorded`. Errors count
    where `lost` (batch, time) is 1, and above kept_hz (batch,) where that is not 0: what a recording holds is
    put back by projection whatever the network says. As in `posterior_error`, in decibels against the noise or
    against what is missing in the recording, whichever is less; 30 dB below is as good as perfect.
    """
    blind = ~torch.isfinite(sigma)
    noisy = torch.where(blind[:, None], 0.0, clean + torch.where(blind, 1.0, sigma)[:, None] * noise)
    denoised = denoise_recorded(net, noisy, recorded, sigma, shown)
    known = shown[:, None] > 0
    counts = torch.where(known, lost, torch.ones_like(lost))
    edge = torch.where(shown > 0, kept_hz, 0.0)

    def missed(wave: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(wave)
        hertz = torch.linspace(0, sample_rate / 2, spectrum.shape[1])
        above = torch.fft.irfft(spectrum * (hertz >= edge[:, None]), n=wave.shape[1])
        return ((above * counts).square().sum(dim=1) / counts.sum(dim=1).clamp(min=1)).clamp(min=1e-12)

    power = missed(torch.where(known, clean - heard, clean)).clamp(min=1e-9)
    scale = torch.minimum(power, torch.where(blind, torch.inf, sigma**2))
    return (missed(denoised - clean) / scale + 1e-3).log10()


def denoise_gain(prior: Prior, clean: Tensor, sigma: float, generator: torch.Generator) -> float:
    """How much one Tweedie step cleans: 10 log10(sigma^2 / mean squared error of D), dB; 0 means nothing."""
    noise = torch.randn(clean.shape, generator=generator)
    noisy = clean + sigma * noise
    denoised = denoised_from_score(noisy, prior.score(noisy, sigma), sigma)
    error = (denoised - clean).square().mean()
    return float(10 * torch.log10(sigma**2 / error))
