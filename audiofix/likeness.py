"""Is a sound like what a prior was trained on? Its likelihood there, against that under a model of itself.

A likelihood alone says little: smooth or simple sounds are likely under any model (Nalisnick et al. 2019). What
counts is by how much the prior predicts a sound better than linear prediction fitted to that very sound, which
takes the sound's own complexity out (after Serrà et al. 2020, who subtract the length of a compressed file).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiofix.operators.autoregression import autocorrelation_method
from audiofix.priors.base import HasLogDensity

SIGMA = 0.003  # far below the sound, so that its fine structure counts; above the rounding of 16 bits
ORDER = 64
BLOCK = 8000  # samples
LEAST = "least_likeness_bits"  # a card's validation figure: below it a warning is due
EXCERPT = 5 * 16000  # samples looked at, from the middle: enough to judge a file, and cheap


def linear_prediction_bits(x: NDArray[np.float64], order: int = ORDER) -> float:
    """log2 density of a sample of (time,) under the Gaussian linear prediction that fits it best, mean."""
    coefficients = autocorrelation_method(x * np.hanning(len(x)), order)
    error = np.convolve(x, coefficients)[order : len(x)]
    return -0.5 * math.log2(2 * math.pi * math.e * float(np.mean(error**2)))


def likeness(prior: HasLogDensity, x: Tensor, generator: torch.Generator, sigma: float = SIGMA) -> float:
    """Bits a sample by which the prior predicts (time,) better than linear prediction fitted to it does.

    x: at the prior's rate and level, at least a block long; noise of sigma is added. Median over blocks, so that a
    pause or a click does not decide. Around 0.2 to 1 for what the prior was trained on, below zero for strangers.
    Raises ValueError for less than a block.
    """
    if x.shape[-1] < BLOCK:
        raise ValueError(f"{x.shape[-1]} samples are too few to judge; give {BLOCK}")
    middle = max(0, (x.shape[-1] - EXCERPT) // 2)
    part = x[middle : middle + EXCERPT]
    part = part[: len(part) // BLOCK * BLOCK]
    noisy = part + sigma * torch.randn(part.shape, generator=generator).to(part)
    with torch.no_grad():
        known = prior.log_density(noisy[None], sigma)[0].reshape(-1, BLOCK).mean(dim=1) / math.log(2)
    own = [linear_prediction_bits(block.double().cpu().numpy()) for block in noisy.reshape(-1, BLOCK)]
    return float(np.median(known.cpu().numpy() - np.array(own)))
