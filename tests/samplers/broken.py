"""Steps of the samplers with one fault each. Every one must be caught by the law test at the same threshold."""

from __future__ import annotations

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
