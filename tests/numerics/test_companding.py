"""Companding: round trip within half a step, odd, monotone, slope equal to the derivative."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from audiofix.numerics.companding import (
    linear_levels,
    mu_compress,
    mu_expand,
    mu_law_levels,
    mu_slope,
    nearest_level,
)

amplitudes = st.lists(st.floats(-1, 1), min_size=1, max_size=50).map(lambda v: torch.tensor(v).double())


@given(amplitudes)
def test_expand_undoes_compress(x: torch.Tensor) -> None:
    # Expanding amplifies round-off by the inverse slope, at most ln(256) at full scale.
    assert torch.allclose(mu_expand(mu_compress(x)), x, atol=1e-14, rtol=1e-13)


@given(amplitudes)
def test_compress_is_odd_and_stays_in_range(x: torch.Tensor) -> None:
    assert torch.equal(mu_compress(-x), -mu_compress(x))
    assert mu_compress(x).abs().max() <= 1 + 1e-15


def test_levels_increase_and_are_symmetric() -> None:
    for levels in (mu_law_levels(), linear_levels()):
        assert (levels.diff() > 0).all()
        # Round-off of an exponential and a logarithm at full scale.
        assert torch.allclose(levels, -levels.flip(0), atol=1e-15)
        assert abs(levels[-1] - 1) < 1e-14


def test_slope_is_the_derivative() -> None:
    x = torch.tensor([-0.9, -0.01, 0.003, 0.5], dtype=torch.float64, requires_grad=True)
    (derivative,) = torch.autograd.grad(mu_compress(x).sum(), x)
    assert torch.allclose(mu_slope(x.detach()), derivative, rtol=1e-12)


@given(amplitudes)
def test_nearest_level_is_nearest(x: torch.Tensor) -> None:
    levels = mu_law_levels()
    chosen = levels[nearest_level(x, levels)]
    best = (x[:, None] - levels).abs().amin(dim=1)
    assert torch.allclose((x - chosen).abs(), best, atol=1e-15)


def test_quantising_is_within_half_the_step_at_hand() -> None:
    x = torch.linspace(-1, 1, 10_001, dtype=torch.float64)
    levels = mu_law_levels()
    above = torch.searchsorted(levels, x.clamp(levels[0], levels[-1])).clamp(1, 255)
    step = levels[above] - levels[above - 1]
    assert ((x - levels[nearest_level(x, levels)]).abs() <= step / 2 + 1e-12).all()
