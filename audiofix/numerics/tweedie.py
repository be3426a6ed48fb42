"""Score and denoiser, two names for one thing (Tweedie's formula; Robbins 1956, Efron 2011)."""

from __future__ import annotations

from torch import Tensor


def denoised_from_score(x: Tensor, score: Tensor, sigma: float) -> Tensor:
    """Posterior mean of the clean signal: D = x + sigma^2 * score."""
    return x + sigma**2 * score


def score_from_denoised(x: Tensor, denoised: Tensor, sigma: float) -> Tensor:
    """Inverse of `denoised_from_score`: (D - x) / sigma^2."""
    return (denoised - x) / sigma**2
