"""The smoothed categorical against quadrature, autograd and its own limits."""

from __future__ import annotations

import math

import torch

from audiofix.numerics.blockwise import BLOCK, blockwise
from audiofix.numerics.companding import mu_law_levels
from audiofix.numerics.smoothing import smoothed_log_density

LEVELS = mu_law_levels()


def logits(rows: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(rows, len(LEVELS), generator=generator, dtype=torch.float64)


def test_it_is_a_density() -> None:
    sigma = 0.05
    grid = torch.linspace(-1.6, 1.6, 20_001, dtype=torch.float64)
    density = smoothed_log_density(logits(1).expand(len(grid), -1), LEVELS, grid, sigma).exp()
    # The trapezium rule on a smooth function with vanishing ends converges faster than any power of the step.
    assert abs(float(torch.trapezoid(density, grid)) - 1) < 1e-10


def test_it_equals_the_sum_of_gaussians_written_out() -> None:
    x, sigma = torch.tensor([-0.4, 0.0, 0.7], dtype=torch.float64), 0.02
    weights = logits(3).softmax(dim=-1)
    gaussians = torch.exp(-0.5 * ((x[:, None] - LEVELS) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
    expected = (weights * gaussians).sum(dim=1).log()
    assert torch.allclose(smoothed_log_density(logits(3), LEVELS, x, sigma), expected, rtol=1e-12)


def test_tweedie_of_its_slope_is_the_posterior_mean_of_the_level() -> None:
    x = torch.linspace(-0.5, 0.5, 7, dtype=torch.float64, requires_grad=True)
    sigma = 0.1
    (score,) = torch.autograd.grad(smoothed_log_density(logits(7), LEVELS, x, sigma).sum(), x)
    joint = logits(7) - 0.5 * ((x.detach()[:, None] - LEVELS) / sigma) ** 2
    mean = (joint.softmax(dim=-1) * LEVELS).sum(dim=1)
    assert torch.allclose(x.detach() + sigma**2 * score, mean, atol=1e-12)


def test_far_outside_stays_finite() -> None:
    x = torch.tensor([-40.0, 40.0])
    value = smoothed_log_density(logits(2).float(), LEVELS, x, 0.001)
    assert torch.isfinite(value).all()


def test_blockwise_equals_whole_with_gradients() -> None:
    rows = 2 * BLOCK + 17
    generator = torch.Generator().manual_seed(1)
    a = torch.randn(rows, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    b = torch.randn(rows, generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(rows, generator=generator, dtype=torch.float64)

    def function(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return (a.sin().sum(dim=1) * b).tanh()

    whole = torch.autograd.grad((weight * function(a, b)).sum(), (a, b))
    parts = torch.autograd.grad((weight * blockwise(function, a, b)).sum(), (a, b))
    assert torch.equal(blockwise(function, a, b), function(a, b))
    for one, other in zip(whole, parts, strict=True):
        assert torch.allclose(one, other, rtol=1e-14)
