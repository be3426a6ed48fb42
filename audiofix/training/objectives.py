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


def denoise_gain(prior: Prior, clean: Tensor, sigma: float, generator: torch.Generator) -> float:
    """How much one Tweedie step cleans: 10 log10(sigma^2 / mean squared error of D), dB; 0 means nothing."""
    noise = torch.randn(clean.shape, generator=generator)
    noisy = clean + sigma * noise
    denoised = denoised_from_score(noisy, prior.score(noisy, sigma), sigma)
    error = (denoised - clean).square().mean()
    return float(10 * torch.log10(sigma**2 / error))
