"""From priors and a measurement to one score of the sources given the recording."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from audiofix.numerics.tweedie import score_from_denoised
from audiofix.operators.base import Measurement

SourceScore = Callable[[Tensor, float], Tensor]  # one source: (batch, time), sigma -> score
ScoreFn = Callable[[Tensor, float], Tensor]  # all sources: (batch, source, time), sigma -> score


def prior_score(priors: Sequence[SourceScore]) -> ScoreFn:
    """Score of independent sources: each from its own prior."""

    def score(x: Tensor, sigma: float) -> Tensor:
        return torch.stack([prior(x[:, i], sigma) for i, prior in enumerate(priors)], dim=1)

    return score


def guided_score(prior: ScoreFn, measurement: Measurement, kappa: float) -> ScoreFn:
    """Prior score plus measurement score (PnF eq. 2); kappa sigma^2 widens the measurement's variance.

    A step of size delta sigma^2 multiplies a mixture's residual by 1 - N delta / kappa: keep kappa above
    N delta / 2 for N sources, or it diverges.
    """

    def score(x: Tensor, sigma: float) -> Tensor:
        return prior(x, sigma) + measurement.score(x, sigma, kappa)

    return score


def amortised_score(denoise: ScoreFn) -> ScoreFn:
    """Score of the sources given what was recorded, from a denoiser that sees it (Tweedie's formula)."""

    def score(x: Tensor, sigma: float) -> Tensor:
        return score_from_denoised(x, denoise(x, sigma), sigma)

    return score
