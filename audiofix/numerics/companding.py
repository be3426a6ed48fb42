"""Companding: curves that place quantiser levels. Smoothing and mixing stay in linear amplitude."""

from __future__ import annotations

import math

import torch
from torch import Tensor

MU = 255.0  # ITU-T G.711's mu for 256 levels


def mu_compress(x: Tensor, mu: float = MU) -> Tensor:
    """Amplitude in [-1, 1] to companded amplitude in [-1, 1]: sign(x) ln(1 + mu|x|) / ln(1 + mu)."""
    return torch.sign(x) * torch.log1p(mu * x.abs()) / math.log1p(mu)


def mu_expand(u: Tensor, mu: float = MU) -> Tensor:
    """Inverse of `mu_compress`."""
    return torch.sign(u) * torch.expm1(u.abs() * math.log1p(mu)) / mu


def mu_slope(x: Tensor, mu: float = MU) -> Tensor:
    """Derivative of `mu_compress` at amplitude x."""
    return mu / (math.log1p(mu) * (1 + mu * x.abs()))


def mu_law_levels(count: int = 256, mu: float = MU) -> Tensor:
    """Amplitudes of `count` levels, equally spaced on the companded axis from -1 to 1. Float64, increasing."""
    return mu_expand(torch.linspace(-1, 1, count, dtype=torch.float64), mu)


def linear_levels(count: int = 256) -> Tensor:
    """Amplitudes of `count` equally spaced levels from -1 to 1. Float64, increasing."""
    return torch.linspace(-1, 1, count, dtype=torch.float64)


def nearest_level(x: Tensor, levels: Tensor) -> Tensor:
    """Index of the level nearest to each amplitude; beyond the ends the end levels. Long, shaped like x."""
    middles = ((levels[1:] + levels[:-1]) / 2).to(x.dtype)
    return torch.bucketize(x, middles)
