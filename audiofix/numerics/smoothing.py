"""Gaussian smoothing of a discretised autoregressive model (PnF, Jayaram & Thickstun 2021, section 3)."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def smoothed_log_density(logits: Tensor, levels: Tensor, x: Tensor, sigma: Tensor | float) -> Tensor:
    """Log-density of each sample under its categorical convolved with a Gaussian (PnF eq. 5).

    logits: (..., levels), need not be normalised; levels: (levels,) amplitudes; x: (...) noisy amplitudes;
    sigma: positive, broadcastable to x. Returns (...) in nats: log sum_k p_k N(x; levels_k, sigma^2).
    """
    sigma = torch.as_tensor(sigma, dtype=x.dtype, device=x.device)
    distance = (x[..., None] - levels.to(x.dtype)) / sigma[..., None]
    joint = torch.logsumexp(logits - 0.5 * distance.square(), dim=-1) - torch.logsumexp(logits, dim=-1)
    return joint - sigma.log() - 0.5 * math.log(2 * math.pi)
