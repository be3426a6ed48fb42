"""Companding: curves that place quantiser levels. Smoothing and mixing stay in linear amplitude.

But for priors that others smoothed on the companded axis (`Curve`), which say so in their card.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

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


def mu_bend(x: Tensor, mu: float = MU) -> Tensor:
    """Derivative of log `mu_slope` at amplitude x: -mu sign(x) / (1 + mu|x|); 0 at its corner, x = 0."""
    return -mu * torch.sign(x) / (1 + mu * x.abs())


@dataclass(frozen=True)
class Curve:
    """An axis u = compress(x) of amplitude x, monotone and odd.

    `slope` is du/dx and `bend` the derivative of log du/dx, both as functions of x. A density p_u of u is
    p_x(x) = p_u(compress(x)) slope(x) of amplitude, so score_x = slope(x) score_u + bend(x).
    """

    name: str
    compress: Callable[[Tensor], Tensor]
    expand: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]
    bend: Callable[[Tensor], Tensor]


LINEAR = Curve("linear", lambda x: x, lambda u: u, torch.ones_like, torch.zeros_like)
MU_LAW = Curve("mu-law", mu_compress, mu_expand, mu_slope, mu_bend)
CURVES = {curve.name: curve for curve in (LINEAR, MU_LAW)}
