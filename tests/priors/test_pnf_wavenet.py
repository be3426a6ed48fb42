"""The published PnF family as a prior: a density, its gradient, its halo, its levels, on both axes."""

from __future__ import annotations

import math

import pytest
import torch

from audiofix.nets.pnf_wavenet import PnfWaveNet, PnfWaveNetConfig
from audiofix.numerics.companding import CURVES, LINEAR, MU_LAW
from audiofix.priors.base import HasLogDensity, Prior
from audiofix.priors.pnf_wavenet import PnfPrior
from audiofix.runtime.executor import Executor

SIZES = PnfWaveNetConfig(levels=16, layers=4, cycles=2, residual=6, gate=8, skip=5, kernel=3, centre=7.5)
SIGMAS = (0.5, 0.1)


def net(seed: int = 0) -> PnfWaveNet:
    """Random weights in float64, none zero, and an input that saturates nothing."""
    found = PnfWaveNet(SIZES).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.copy_(0.7 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
        found.first.weight.mul_(0.15)
    return found.requires_grad_(False)


def prior(axis: str = "linear") -> PnfPrior:
    return PnfPrior({sigma: net(seed) for seed, sigma in enumerate(SIGMAS)}, 22050, CURVES[axis])


@pytest.fixture
def x(generator: torch.Generator) -> torch.Tensor:
    return 0.4 * torch.randn(2, 40, generator=generator, dtype=torch.float64)


def test_it_is_a_prior_with_a_density():
    assert isinstance(prior(), Prior)
    assert isinstance(prior("mu-law").on_its_axis, Prior)
    assert isinstance(prior(), HasLogDensity)
    assert (prior().sample_rate, prior().sigmas, prior().grid) == (22050, SIGMAS, 1)


@pytest.mark.parametrize("axis", CURVES)
def test_the_score_is_the_gradient_of_the_log_density(x, axis):
    one = prior(axis)
    leaf = x.clone().requires_grad_(True)
    (expected,) = torch.autograd.grad(one.log_density(leaf, 0.1).sum(), leaf)
    torch.testing.assert_close(one.score(x, 0.1), expected, rtol=1e-10, atol=1e-9)
    # Not by automatic differentiation alone: by differences too.
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    up, down = (one.log_density(x + step * direction, 0.1).sum() for step in (1e-6, -1e-6))
    assert float((up - down) / 2e-6) == pytest.approx(float((expected * direction).sum()), rel=1e-5)


def test_at_the_corner_of_the_curve_the_score_is_the_mean_of_both_sides(x):
    one = prior("mu-law")
    x[:, 7] = 0.0
    beside = []
    for step in (1e-9, -1e-9):
        moved = x.clone()
        moved[:, 7] = step
        beside.append(one.score(moved, 0.1)[:, 7])
    torch.testing.assert_close(one.score(x, 0.1)[:, 7], (beside[0] + beside[1]) / 2, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("axis", CURVES)
def test_each_conditional_is_a_density_of_amplitude(axis):
    """Its integral over amplitude is 1: the change of variables left nothing out."""
    one, curve = prior(axis), CURVES[axis]
    u = torch.linspace(-2, 2, 4001, dtype=torch.float64)
    values = curve.expand(u)
    pairs = torch.stack([torch.full_like(values, 0.2), values], dim=1)
    density = one.log_density(pairs, 0.1)[:, 1].exp()
    assert float(torch.trapezoid(density, values)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("axis", CURVES)
def test_the_halo_is_exactly_what_is_needed(axis):
    one = prior(axis)
    assert one.halo == (3 - 1) * (1 + 2 + 1 + 2) + 1
    x = 0.3 * torch.randn(1, 90, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    middle, score = 45, one.score(x, 0.1)
    for side in (-1, 1):
        changed = {}
        for distance in (one.halo, one.halo + 1):
            moved = x.clone()
            moved[:, middle + side * distance] += 0.1
            changed[distance] = float((one.score(moved, 0.1) - score)[:, middle].abs())
        assert changed[one.halo + 1] == 0
        assert changed[one.halo] > 0


@pytest.mark.parametrize("axis", CURVES)
def test_chunks_give_the_same_numbers(axis):
    one = prior(axis)
    x = 0.3 * torch.randn(2, 97, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    chunked = Executor(torch.device("cpu"), 20).spread(one)(x, 0.1)
    torch.testing.assert_close(chunked, one.score(x, 0.1), rtol=1e-9, atol=1e-9)


def test_a_heavy_prior_has_shorter_chunks(monkeypatch):
    one = prior()
    monkeypatch.setattr(one, "chunk", 25, raising=False)
    lengths = []
    score = one.score
    monkeypatch.setattr(one, "score", lambda x, sigma: (lengths.append(x.shape[1]), score(x, sigma))[1])
    Executor(torch.device("cpu"), 100).spread(one)(torch.zeros(1, 80, dtype=torch.float64), 0.1)
    assert len(lengths) == 4  # of the 100 that it has otherwise, so that stretches of a file see the same
    assert max(lengths) <= 25 + 2 * one.halo


def test_the_nearest_level_answers_and_the_smoothing_is_as_asked(x):
    one = prior()
    # The middle of 0.5 and 0.1 in log sigma is sqrt(0.05) = 0.2236.
    for sigma, seed in ((0.23, 0), (0.22, 1)):
        expected = PnfPrior({sigma: net(seed)}, 22050)
        torch.testing.assert_close(one.score(x, sigma), expected.score(x, sigma))
        other = PnfPrior({sigma: net(1 - seed)}, 22050)
        assert not torch.allclose(one.score(x, sigma), other.score(x, sigma))


def test_the_first_sample_has_no_density_of_its_own(x):
    one = prior()
    assert not one.log_density(x, 0.1)[:, 0].any()
    assert not one.score(x[:, :1], 0.1).any()
    assert one.score(x, 0.1)[:, 0].abs().min() > 0  # but the second has, which depends on it


def test_on_its_axis_it_is_the_linear_prior_of_the_same_networks(x):
    torch.testing.assert_close(prior("mu-law").on_its_axis.score(x, 0.1), prior().score(x, 0.1))


def test_the_levels_are_where_silence_says(x):
    """At high precision the density has its peaks on the levels, (k - centre) spacings from silence."""
    config = PnfWaveNetConfig(levels=16, layers=4, cycles=2, residual=6, gate=8, skip=5, kernel=3, centre=7.0)
    shifted = PnfWaveNet(config).double().requires_grad_(False)
    one = PnfPrior({0.001: shifted}, 22050)
    spacing = 2 / 15
    grid = torch.tensor([(k - 7) * spacing for k in range(16)], dtype=torch.float64)
    pairs = torch.stack([torch.zeros_like(grid), grid], dim=1)
    beside = pairs + torch.tensor([0.0, 0.5 * spacing], dtype=torch.float64)
    on, off = (one.log_density(p, 0.001)[:, 1] for p in (pairs, beside))
    assert float(on.min()) > math.log(1 / 0.001) - 40  # p_k N(0; 0, sigma^2)
    assert float(off.max()) < -1000  # 66 sigmas from any level


@pytest.mark.parametrize(("sizes", "says"), [({"cycles": 3}, "cycles"), ({"gate": 7}, "halves")])
def test_sizes_that_cannot_be(sizes, says):
    with pytest.raises(ValueError, match=says):
        PnfWaveNetConfig.from_dict({**SIZES.to_dict(), **sizes})


def test_the_curves_are_those_of_their_slopes():
    x = torch.tensor([-0.9, -0.1, 0.003, 0.5], dtype=torch.float64, requires_grad=True)
    for curve in (LINEAR, MU_LAW):
        (slope,) = torch.autograd.grad(curve.compress(x).sum(), x)
        torch.testing.assert_close(curve.slope(x.detach()), slope)
        if curve is MU_LAW:
            (bend,) = torch.autograd.grad(curve.slope(x).log().sum(), x)
            torch.testing.assert_close(curve.bend(x.detach()), bend)
        torch.testing.assert_close(curve.expand(curve.compress(x)), x)
