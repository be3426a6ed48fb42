"""Draw one source from its posterior given a damaged recording, at the prior's own rate and level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from audiofix.numerics.rng import noise_source
from audiofix.numerics.schedule import Schedule
from audiofix.numerics.tweedie import denoised_from_score, score_from_denoised
from audiofix.operators.base import Restorable
from audiofix.operators.noise import Noise
from audiofix.posterior import ScoreFn
from audiofix.samplers.base import Info, State, drive
from audiofix.separation import SAMPLERS

Pullback = Callable[[Tensor, float, Tensor], Tensor]  # x, sigma, residual of D -> (dD/dx)^T residual

# Of what an estimate errs by, as a share of a white source's; 0.5 to 6 on speech (models/recipes/EXPERIMENTS.md).
LEAST_VARIANCE = 0.1
SOURCE_STD = 0.1  # of clean sound at the working level: what an estimate errs by where nothing is known


@dataclass(frozen=True, eq=False)
class Damage:
    """What is known of a recording: how it came about, and what it is.

    operator: from x to what was recorded but for its noise, None where only noise was added; y: (batch, 1, time');
    noise: of the recording, None where it has none that matters.
    """

    operator: Restorable | None
    y: Tensor
    noise: Noise | None = None

    def explain(self, clean: Tensor, sigma: float) -> Tensor:
        """The estimate D(x, sigma) of the prior, made to explain the recording: (batch, 1, time) to the same.

        Without noise it is projected (Song et al. 2023, eq. 8 with an estimate that errs equally everywhere). With
        noise it goes towards the projection as far as the variance of both says; the estimate's is that of the
        Gaussian denoiser (same paper, section 3.2).
        """
        explained = self.noiseless(clean)
        return explained if self.noise is None else self.noise.combine(clean, explained, variance_at(sigma))

    def noiseless(self, clean: Tensor) -> Tensor:
        """The nearest to an estimate that explains the recording as if it had no noise, same shape."""
        return self.y if self.operator is None else self.operator.project(clean, self.y)

    def denoised(self, prior: ScoreFn, begin: Tensor, level: float) -> Tensor:
        """The mean in one call: the recording's error taken for white noise of a level, then what is known."""
        clean = denoised_from_score(begin, prior(begin, level), level)
        return clean if self.operator is None else self.noiseless(clean)


def variance_at(sigma: float) -> float:
    """Of the error of the clean estimate of a white source of SOURCE_STD."""
    return 1 / (1 / sigma**2 + 1 / SOURCE_STD**2)


def restoring_score(prior: ScoreFn, damage: Damage, pullback: Pullback | None = None) -> ScoreFn:
    """Score of the source given the recording: of the prior's clean estimate made to explain it.

    With the `pullback` of the prior's denoiser D it is pseudo-inverse guidance (Song et al. 2023, section 3): what
    explaining moves D by goes back through D, see `guided`. What is known exactly stays so: the gradient is for
    the rest.
    """

    def score(x: Tensor, sigma: float) -> Tensor:
        clean = denoised_from_score(x, prior(x, sigma), sigma)
        explained = damage.explain(clean, sigma)
        if pullback is not None:
            move = explained - clean
            wanted = move if damage.noise is None else damage.noiseless(clean) - clean
            clean = guided(clean, wanted, move, pullback(x, sigma, move), sigma)
            explained = damage.explain(clean, sigma) if damage.noise is None else clean
        return score_from_denoised(x, explained, sigma)

    return score


def guided(clean: Tensor, wanted: Tensor, move: Tensor, pulled: Tensor, sigma: float) -> Tensor:
    """Clean estimate D moved along the gradient of log p(y given x): D + V move / r^2, V = sigma^2 (dD/dx)^T.

    wanted: what D lacks of a signal that explains the recording, (batch, 1, time); move: as much of it as noise
    lets be true, the same without; pulled: the move pulled back through D. V is the covariance of what D leaves
    open (Tweedie's formula, second order). r^2 is that variance along the move, and the noise's: so D moves as far
    as was meant, and to the very mean given x and y where one number was recorded (it is one step of conjugate
    gradients towards it). Song et al. 2023 take r^2 for what a white source has, `variance_at`: sound is loud and
    quiet by frequency, and their chain may diverge. Where the recording only bounds samples, clipped or rounded
    ones, `move` is the gradient of half the squared distance to the bounds.
    """
    covered, white = sigma**2 * pulled, variance_at(sigma)
    size = _inner(wanted, move)
    # Noise makes the move less than what is wanted: white (wanted - move) is its covariance times the move.
    variance = _inner(move, covered) + white * _inner(move, wanted - move)
    # A network's Jacobian need not be positive, and where nothing is to be moved there is 0 / 0.
    least = (LEAST_VARIANCE * white * size).clamp(min=torch.finfo(size.dtype).tiny)
    return clean + size / torch.maximum(variance, least) * covered


def _inner(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=(1, 2), keepdim=True)


def draw_restoration(
    damage: Damage,
    prior: ScoreFn,
    begin: Tensor,
    schedule: Schedule,
    *,
    seed: int,
    sampler: str = "consistent",
    draw: int = 0,
    pullback: Pullback | None = None,
    callback: Callable[[State, Info], None] | None = None,
) -> Tensor:
    """One draw of the source (batch, 1, time) given a damaged recording.

    begin: a clean first guess, to which noise of the first level is added. pullback: of the prior's denoiser, for
    `restoring_score`. The last step takes out the noise of the last level, and explains the recording once more.
    """
    noise = noise_source(tuple(begin.shape), seed, draw)
    score = restoring_score(prior, damage, pullback)
    x = begin + schedule.sigmas[0] * noise(-1, 0).to(begin)
    x = drive(SAMPLERS[sampler].walk(x, score, schedule, noise), callback)
    last = schedule.sigmas[-1]
    return denoised_from_score(x, score(x, last), last)
