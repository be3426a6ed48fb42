"""Steps of the samplers with one fault each. Every one must be caught by the law test at the same threshold."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def loud_noise(x: Tensor, score: Tensor, step_size: float, noise: Tensor) -> Tensor:
    """Noise a tenth too strong."""
    return x + step_size * score + (2 * step_size) ** 0.5 * 1.1 * noise


def missing_two(x: Tensor, score: Tensor, step_size: float, noise: Tensor) -> Tensor:
    """sqrt(eta) for sqrt(2 eta)."""
    return x + step_size * score + step_size**0.5 * noise


def downhill(x: Tensor, score: Tensor, step_size: float, noise: Tensor) -> Tensor:
    """The score's sign flipped."""
    return x - step_size * score + (2 * step_size) ** 0.5 * noise


def noise_twice(x: Tensor, score: Tensor, step_size: float, noise: Tensor) -> Tensor:
    """Half of the signal gets its noise twice, as overlapping windows would give it."""
    extra = noise.clone()
    extra[..., : noise.shape[-1] // 2] *= 2
    return x + step_size * score + (2 * step_size) ** 0.5 * extra


def squared_sigma(x: Tensor, score: Tensor, step_size: float, noise: Tensor) -> Tensor:
    """sigma^2 taken for sigma: the step is squared."""
    return x + step_size**2 * score + (2 * step_size**2) ** 0.5 * noise


def no_noise(x: Tensor, score: Tensor, step_size: float, noise: Tensor) -> Tensor:
    """Gradient ascent."""
    return x + step_size * score


MUTANTS = (loud_noise, missing_two, downhill, noise_twice, squared_sigma, no_noise)


def consistent_loud(
    x: Tensor, clean: Tensor, target: Tensor, step_scale: float, new_noise: float, noise: Tensor
) -> Tensor:
    """Fresh noise a tenth too strong."""
    return target + (1 - step_scale) * (x - clean) + 1.1 * new_noise * noise


def consistent_keeps_all(
    x: Tensor, clean: Tensor, target: Tensor, step_scale: float, new_noise: float, noise: Tensor
) -> Tensor:
    """The old noise is kept whole."""
    return target + (x - clean) + new_noise * noise


def consistent_forgets(
    x: Tensor, clean: Tensor, target: Tensor, step_scale: float, new_noise: float, noise: Tensor
) -> Tensor:
    """The old noise is dropped whole."""
    return target + new_noise * noise


def consistent_unprojected(
    x: Tensor, clean: Tensor, target: Tensor, step_scale: float, new_noise: float, noise: Tensor
) -> Tensor:
    """The measurement is forgotten."""
    return clean + (1 - step_scale) * (x - clean) + new_noise * noise


CONSISTENT_MUTANTS = (consistent_loud, consistent_keeps_all, consistent_forgets, consistent_unprojected)

Flow = Callable[[Tensor, float], Tensor]


def churn_loud(x: Tensor, sigma: float, raised: float, noise: Tensor) -> Tensor:
    """Fresh noise a tenth too strong."""
    return x + 1.1 * (raised**2 - sigma**2) ** 0.5 * noise


def churn_missing(x: Tensor, sigma: float, raised: float, noise: Tensor) -> Tensor:
    """No fresh noise, though the step starts from the raised level."""
    return x


def churn_linear(x: Tensor, sigma: float, raised: float, noise: Tensor) -> Tensor:
    """Standard deviations subtracted, not variances."""
    return x + (raised - sigma) * noise


def heun_uncorrected(x: Tensor, flow: Flow, sigma: float, following: float) -> Tensor:
    """Euler's step alone."""
    return x + (following - sigma) * flow(x, sigma)


def heun_stale(x: Tensor, flow: Flow, sigma: float, following: float) -> Tensor:
    """The second slope is taken at the old level."""
    first = flow(x, sigma)
    return x + (following - sigma) * (first + flow(x + (following - sigma) * first, sigma)) / 2


def heun_unmoved(x: Tensor, flow: Flow, sigma: float, following: float) -> Tensor:
    """The second slope is taken at the old place."""
    return x + (following - sigma) * (flow(x, sigma) + flow(x, following)) / 2


def slope_unprojected(x: Tensor, score: Flow, sigma: float, project: object) -> Tensor:
    """The measurement is forgotten."""
    return -sigma * score(x, sigma)


def slope_squared(x: Tensor, score: Flow, sigma: float, project: Callable[[Tensor], Tensor]) -> Tensor:
    """sigma for sigma^2 in the clean estimate."""
    return (x - project(x + sigma * score(x, sigma))) / sigma


HEUN_STEP_MUTANTS = (heun_uncorrected, heun_stale, heun_unmoved)
HEUN_MUTANTS = (
    *(("churn", mutant) for mutant in (churn_loud, churn_missing, churn_linear)),
    *(("heun_step", mutant) for mutant in HEUN_STEP_MUTANTS),
    *(("slope", mutant) for mutant in (slope_unprojected, slope_squared)),
)


def predictor_loud(x: Tensor, score: Tensor, sigma: float, following: float, noise: Tensor) -> Tensor:
    """Noise a tenth too strong."""
    fall = sigma**2 - following**2
    return x + fall * score + 1.1 * fall**0.5 * noise


def predictor_linear(x: Tensor, score: Tensor, sigma: float, following: float, noise: Tensor) -> Tensor:
    """sigma for sigma^2."""
    fall = sigma - following
    return x + fall * score + fall**0.5 * noise


def predictor_doubled(x: Tensor, score: Tensor, sigma: float, following: float, noise: Tensor) -> Tensor:
    """Langevin's factor of two under the root."""
    fall = sigma**2 - following**2
    return x + fall * score + (2 * fall) ** 0.5 * noise


def predictor_flow(x: Tensor, score: Tensor, sigma: float, following: float, noise: Tensor) -> Tensor:
    """The probability flow's half of the score, without noise."""
    return x + (sigma**2 - following**2) / 2 * score


def predictor_missing(x: Tensor, score: Tensor, sigma: float, following: float, noise: Tensor) -> Tensor:
    """No prediction: the corrector starts from the old level's state."""
    return x


PREDICTOR_MUTANTS = (
    *(("predictor_step", mutant) for mutant in (predictor_loud, predictor_linear, predictor_doubled)),
    *(("predictor_step", mutant) for mutant in (predictor_flow, predictor_missing)),
    *(("langevin_step", mutant) for mutant in MUTANTS),
)


def filtered(signal: Tensor, gain: Tensor) -> Tensor:
    """A circular filter given by its gain at the frequencies of the real Fourier transform."""
    return torch.fft.irfft(gain * torch.fft.rfft(signal), n=signal.shape[-1])


def gain_whole(x: Tensor, score: Tensor, step_size: float, noise: Tensor, gain: Tensor) -> Tensor:
    """M for its root on the noise."""
    return x + step_size * filtered(score, gain) + (2 * step_size) ** 0.5 * filtered(noise, gain)


def gain_on_score(x: Tensor, score: Tensor, step_size: float, noise: Tensor, gain: Tensor) -> Tensor:
    """Plain noise."""
    return x + step_size * filtered(score, gain) + (2 * step_size) ** 0.5 * noise


def gain_on_noise(x: Tensor, score: Tensor, step_size: float, noise: Tensor, gain: Tensor) -> Tensor:
    """A plain step along the score."""
    return x + step_size * score + (2 * step_size) ** 0.5 * filtered(noise, gain.sqrt())


def gain_loud(x: Tensor, score: Tensor, step_size: float, noise: Tensor, gain: Tensor) -> Tensor:
    """Noise a tenth too strong."""
    return x + step_size * filtered(score, gain) + 1.1 * (2 * step_size) ** 0.5 * filtered(noise, gain.sqrt())


def gain_ignored(x: Tensor, score: Tensor, step_size: float, noise: Tensor, gain: Tensor) -> Tensor:
    """Plain Langevin."""
    return x + step_size * score + (2 * step_size) ** 0.5 * noise


def gain_inverted(x: Tensor, score: Tensor, step_size: float, noise: Tensor, gain: Tensor) -> Tensor:
    """1 / M for M, consistently."""
    return x + step_size * filtered(score, 1 / gain) + (2 * step_size) ** 0.5 * filtered(noise, gain**-0.5)


GAIN_MUTANTS = (gain_whole, gain_on_score, gain_on_noise, gain_loud, gain_ignored, gain_inverted)
