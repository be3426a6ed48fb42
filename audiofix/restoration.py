"""Draw one source from its posterior given a damaged recording, at the prior's own rate and level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
        explained = self.y if self.operator is None else self.operator.project(clean, self.y)
        if self.noise is None:
            return explained
        variance = 1 / (1 / sigma**2 + 1 / SOURCE_STD**2)
        return self.noise.combine(clean, explained, variance)

    def denoised(self, prior: ScoreFn, begin: Tensor, level: float) -> Tensor:
        """The mean in one call: the recording's error taken for white noise of a level, then what is known."""
        clean = denoised_from_score(begin, prior(begin, level), level)
        return clean if self.operator is None else self.operator.project(clean, self.y)


def restoring_score(prior: ScoreFn, damage: Damage, pullback: Pullback | None = None) -> ScoreFn:
    """Score of the source given the recording: of the prior's clean estimate made to explain it.

    With the `pullback` of the prior's denoiser D it is pseudo-inverse guidance (Song et al. 2023, section 3): what
    explaining moves D by goes back through D. See `guided`.
    """

    def score(x: Tensor, sigma: float) -> Tensor:
        clean = denoised_from_score(x, prior(x, sigma), sigma)
        explained = damage.explain(clean, sigma)
        if pullback is not None:
            clean = guided(clean, pullback(x, sigma, explained - clean), sigma)
            # What is known exactly stays so; the gradient is for the rest.
            explained = clean if damage.noise is not None else damage.explain(clean, sigma)
        return score_from_denoised(x, explained, sigma)

    return score


def guided(clean: Tensor, pulled: Tensor, sigma: float) -> Tensor:
    """Clean estimate D moved along the gradient of log p(y given x): D + sigma^2 / r^2 (dD/dx)^T move.

    `pulled`: the move that explains the recording, pulled back through D. p(y given x) takes the clean sound for
    N(D, r^2), r^2 = 1 / (1 / sigma^2 + 1 / SOURCE_STD^2) (Song et al. 2023, section 3). A white source of that
    standard deviation has dD/dx = r^2 / sigma^2: then D moves as if nothing had been pulled. Where the recording
    only bounds samples, clipped or rounded ones, it is the gradient of the squared distance to the bounds.
    """
    return clean + (1 + (sigma / SOURCE_STD) ** 2) * pulled


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
