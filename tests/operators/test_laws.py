"""What every operator must keep: adjoint, derivative, projection, start. One row per operator."""

from __future__ import annotations

import pytest
import torch

from audiofix.operators.base import Measurement, Operator, Projects
from audiofix.operators.gap import Gap
from audiofix.operators.lowpass import LowPass
from audiofix.operators.mixture import Mixture

SHAPE = (2, 3, 50)
OPERATORS: dict[str, Operator] = {
    "mixture": Mixture(),
    "gap": Gap((torch.arange(SHAPE[-1]) % 7 < 5).double()),
    "lowpass": LowPass(2),
    "lowpass of odd factor": LowPass(5, passband=0.8, floor=0.9),
}


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture(params=OPERATORS, name="operator")
def _operator(request: pytest.FixtureRequest) -> Operator:
    return OPERATORS[request.param]


def test_pullback_is_the_adjoint(operator: Operator) -> None:
    x = random(*SHAPE)
    y = operator.forward(x)
    v = random(*y.shape, seed=1)
    left, right = (y * v).sum(), (x * operator.pullback(x, v)).sum()
    assert abs(left - right) < 1e-10 * abs(left)


def test_pullback_is_the_derivative(operator: Operator) -> None:
    x = random(*SHAPE).requires_grad_(True)
    y = operator.forward(x)
    v = random(*y.shape, seed=1)
    (expected,) = torch.autograd.grad((y * v).sum(), x)
    assert torch.allclose(operator.pullback(x.detach(), v), expected, atol=1e-12)


def test_projection_solves_and_is_idempotent_and_nearest(operator: Operator) -> None:
    assert isinstance(operator, Projects)
    x, y = random(*SHAPE), operator.forward(random(*SHAPE, seed=2))
    solved = operator.project(x, y)
    assert torch.allclose(operator.forward(solved), y, atol=1e-12)
    assert torch.allclose(operator.project(solved, y), solved, atol=1e-12)
    # Nearest: the move is orthogonal to every move between solutions.
    other = operator.project(random(*SHAPE, seed=3), y)
    assert abs(((x - solved) * (other - solved)).sum()) < 1e-10


def test_start_has_the_right_shape(operator: Operator) -> None:
    y = operator.forward(random(*SHAPE))
    assert operator.start(y, SHAPE[1]).shape == SHAPE


def test_measurement_score_is_the_gradient_of_its_density(operator: Operator) -> None:
    y = operator.forward(random(*SHAPE, seed=4))
    measurement = Measurement(operator, y, noise_std=0.3)
    x, sigma, kappa = random(*SHAPE).requires_grad_(True), 0.2, 0.5
    variance = 0.3**2 + kappa * sigma**2
    log_density = -0.5 * (y - operator.forward(x)).square().sum() / variance
    (expected,) = torch.autograd.grad(log_density, x)
    assert torch.allclose(measurement.score(x.detach(), sigma, kappa), expected, atol=1e-9)
