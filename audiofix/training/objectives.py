"""What each family is trained for: one function per family, and the validation figure that compares them all."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from audiofix.numerics.companding import nearest_level
from audiofix.numerics.tweedie import denoised_from_score
from audiofix.priors.base import Prior
from audiofix.priors.inpainting import denoise_gaps
from audiofix.priors.score_network import Network, denoise_alone, denoise_jointly
from audiofix.priors.upsampling import denoise_highs

QUIETEST_BIN = (
    2e-6  # amplitude of noise, -114 dB re full scale, below which it is no use to tell how quiet it is
)
QUIETEST = 1e-7  # power of an upper band, -70 dB re full scale, below which windows count less


def noisy_history_nll(
    net: Callable[[Tensor, Tensor], Tensor], levels: Tensor, clean: Tensor, sigma: Tensor, noise: Tensor
) -> Tensor:
    """Cross-entropy of the clean sample's level given the noisy history (PnF section 3.1), bits per sample.

    clean, noise: (batch, time), noise of unit variance; sigma: (batch,). Returns (batch,).
    """
    return level_nll(net, clean + sigma[:, None] * noise, sigma, nearest_level(clean, levels))


def level_nll(
    net: Callable[..., Tensor], noisy: Tensor, sigma: Tensor, target: Tensor, *given: Tensor
) -> Tensor:
    """Cross-entropy of levels given the noisy history, bits per sample.

    noisy: (batch, time); sigma: (batch,); target: (batch, time) indices of levels; given: what else the net is
    told. Returns (batch,). Network and loss in one function, so that they are compiled together: 256 logits for
    each sample need not be written down and read again.
    """
    logits = net(noisy, sigma, *given)
    nats = functional.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none")
    return nats.view_as(noisy).mean(dim=1) / math.log(2)


def denoising_error(net: Network, clean: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
    """Squared error of D, weighted so that every level counts alike (Karras et al. 2022, eq. 8 and table 1).

    clean, noise: (batch, time); sigma: (batch,). Returns (batch,). The weight is 1 / c_out^2: the error of a net
    that answers zero, the Gaussian denoiser, is about 1 at every level.
    """
    denoised = denoise_alone(net, (clean + sigma[:, None] * noise)[:, None], sigma)[:, 0]
    data = net.config.sigma_data
    weight = 1 / sigma**2 + 1 / data**2
    return weight * (denoised - clean).square().mean(dim=1)


def local_error(net: Any, clean: Tensor, sigma: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """`denoising_error`, and bin by bin how badly the error fits the variance that the network gives for it.

    The second is the mean over bins of ln p + |e|^2 / p, twice the negative log-density of the denoiser's error e
    under a complex normal distribution of variance p, up to constants; both relative to the noise, so that 1 is no
    better than the noisy bin. Its minimum over the mean is the posterior mean, with a weight 1 / p that lets a bin
    60 dB below the others count as much as they do (Nix & Weigend 1994). p has a floor of
    QUIETEST_BIN: nothing is to be learnt from digital silence. clean, noise: (batch, time); sigma: (batch,).
    Returns two (batch,).
    """
    data, level = net.config.sigma_data, sigma[:, None]
    total = (level**2 + data**2).sqrt()
    noisy = clean + level * noise
    found, above = net.with_variance((noisy / total)[:, None], sigma)
    error = (data / total) ** 2 * noisy + level * data / total * found[:, 0] - clean
    spectrum = net.spectra((error / total)[:, None])[:, 0]
    power = net.noise_power(sigma)[:, None, None]
    floor = (QUIETEST_BIN / sigma)[:, None, None] ** 2
    variance = torch.sigmoid(above) + floor
    relative = (spectrum.real.square() + spectrum.imag.square()) / power
    fit = (variance.log() + relative / variance).mean(dim=(1, 2))
    return (1 / sigma**2 + 1 / data**2) * error.square().mean(dim=1), fit


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


def gap_error(
    net: Network, clean: Tensor, fills: Tensor, lost: Tensor, sigma: Tensor, noise: Tensor
) -> Tensor:
    """Error of D(x, y, sigma) in the gaps of a recording, on a logarithmic scale, (batch,).

    clean, noise, lost: (batch, time); fills: (batch, 2, time); sigma: (batch,), infinite where the net sees the
    recording alone. As in `posterior_error`, in decibels against the noise or against what was lost, whichever is
    less; 30 dB below is as good as perfect.
    """
    blind = ~torch.isfinite(sigma)
    noisy = torch.where(blind[:, None], 0.0, clean + torch.where(blind, 1.0, sigma)[:, None] * noise)
    found = denoise_gaps(net, noisy, torch.cat([fills, lost[:, None]], dim=1), sigma)
    count = lost.sum(dim=1).clamp(min=1)
    error = ((found - clean) * lost).square().sum(dim=1) / count
    # A pause of -70 dB re full scale is nothing to learn from.
    power = ((clean * lost).square().sum(dim=1) / count).clamp(min=1e-7)
    scale = torch.minimum(power, torch.where(blind, torch.inf, sigma**2))
    return (error / scale + 1e-3).log10()


def above(x: Tensor, edge: Tensor) -> Tensor:
    """(batch, time) without what lies below `edge` (batch,), a share of the Nyquist frequency."""
    spectrum = torch.fft.rfft(x)
    places = torch.fft.rfftfreq(x.shape[1], 0.5).to(x.device)
    return torch.fft.irfft(spectrum * (places >= edge[:, None]), n=x.shape[1])


def highs_error(
    net: Network, clean: Tensor, low: Tensor, edge: Tensor, sigma: Tensor, noise: Tensor
) -> Tensor:
    """Squared error of D(x, y, sigma) above the cut-off, weighted so that every level and window counts, (batch,).

    clean, low, noise: (batch, time); edge: (batch,), the cut-off as a share of the Nyquist frequency; sigma:
    (batch,), infinite where the net sees the lower band alone. The weight is one over the error of the Gaussian
    denoiser that knows the window's power, so a net that answers zero has about 1. Not the logarithm, as of what
    is estimated: draws need the mean, and where a sibilant is one of two possibilities the least expected
    logarithm is at the other one, silence (models/recipes/EXPERIMENTS.md).
    """
    blind = ~torch.isfinite(sigma)
    noisy = torch.where(blind[:, None], 0.0, clean + torch.where(blind, 1.0, sigma)[:, None] * noise)
    error = above(denoise_highs(net, noisy, low, sigma) - clean, edge).square().mean(dim=1)
    power = above(clean, edge).square().mean(dim=1).clamp(min=QUIETEST)
    return error * (1 / power + torch.where(blind, 0.0, 1 / sigma**2))


def denoise_gain(prior: Prior, clean: Tensor, sigma: float, generator: torch.Generator) -> float:
    """How much one Tweedie step cleans: 10 log10(sigma^2 / mean squared error of D), dB; 0 means nothing."""
    noise = torch.randn(clean.shape, generator=generator).to(clean.device)
    noisy = clean + sigma * noise
    denoised = denoised_from_score(noisy, prior.score(noisy, sigma), sigma)
    error = (denoised - clean).square().mean()
    return float(10 * torch.log10(sigma**2 / error))
