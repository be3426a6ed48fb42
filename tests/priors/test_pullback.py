"""Pullbacks of denoisers: the transposed Jacobian, in chunks too, and how far it looks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jvp, vjp

from audiofix.priors.base import PullsBack
from audiofix.priors.gaussian import GaussianPrior
from audiofix.priors.score_network import ScorePrior, denoise_alone
from audiofix.priors.wavenet import WaveNetPrior
from audiofix.runtime.executor import Executor
from tests.hub.tiny import TINY_MIXER, tiny_mixer, tiny_net

SIGMAS = (1.0, 0.003)
SIGMA = 0.1
# The mixer goes to float32 once on its way: 6e-8 of each of the numbers that it makes, which are below 10, and of
# their gradients; times TINY_MIXER.sigma_data = 0.1 and a residual of about 1.
ROUNDING = 1e-6


def prior() -> ScorePrior:
    return ScorePrior(tiny_mixer().double(), 16000, SIGMAS)


def noise(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def denoiser(sigma: float):  # type: ignore[no-untyped-def]
    """The denoiser as a differentiable function of (batch, time), written down anew."""
    net, level = tiny_mixer().double(), torch.full((2,), sigma, dtype=torch.float64)
    return lambda x: denoise_alone(net, x[:, None], level)[:, 0]


@pytest.mark.parametrize("sigma", [0.003, 0.1, 1.0])
def test_it_is_the_transposed_jacobian(sigma: float) -> None:
    x, residual, along = noise(2, 300, scale=0.2), noise(2, 300, seed=1), noise(2, 300, seed=2)
    found = prior().pullback(x, sigma, residual)
    _, expected = vjp(denoiser(sigma), x, residual)
    assert (found - expected).abs().max() <= ROUNDING
    _, forward = jvp(denoiser(sigma), x, along)
    # <J^T u, v> = <u, J v>: sums of 600 products, each off by some roundings either way.
    assert (found * along).sum().item() == pytest.approx(
        (residual * forward).sum().item(), abs=600**0.5 * ROUNDING
    )
    # Broken twins: the Jacobian itself, and that of a white Gaussian source, which no network would change.
    assert ((residual - found) * along).sum().abs() > 100 * ROUNDING
    white = TINY_MIXER.sigma_data**2 / (TINY_MIXER.sigma_data**2 + sigma**2)
    assert (found - white * residual).abs().max() > 100 * ROUNDING
    assert (prior().pullback(x, sigma, along) - forward).abs().max() > 100 * ROUNDING


def test_it_is_the_slope_of_what_denoise_says() -> None:
    one, x, along, residual = prior(), noise(2, 200, scale=0.2), noise(2, 200, seed=1), noise(2, 200, seed=2)
    step = 1e-4
    rise = (one.denoise(x + step * along, SIGMA) - one.denoise(x - step * along, SIGMA)) / (2 * step)
    slope = (one.pullback(x, SIGMA, residual) * along).sum().item()
    # Float32 on the way: 1e-7 of 0.1 over the step for each sample; the third derivative over step^2 is less.
    assert (rise * residual).sum().item() == pytest.approx(slope, abs=400**0.5 * 1e-8 / step + 1e-3)
    assert abs(slope) > 1


def test_of_a_gaussian_it_is_exact() -> None:
    root = noise(8, 8)
    one = GaussianPrior(noise(8, seed=1), root @ root.T, 16000)
    x, residual = noise(3, 8, seed=2), noise(3, 8, seed=3)
    _, expected = vjp(lambda v: v + SIGMA**2 * one.score(v, SIGMA), x, residual)
    # sigma^2 P has no eigenvalue above 1.
    assert (one.pullback(x, SIGMA, residual) - expected).abs().max() <= 1e-13


def test_who_can_and_who_cannot() -> None:
    assert isinstance(prior(), PullsBack)
    assert isinstance(GaussianPrior(torch.zeros(2), torch.eye(2), 16000), PullsBack)
    # Its density is worked out in blocks that have first derivatives only.
    assert not isinstance(WaveNetPrior({1.0: tiny_net()}, 16000, SIGMAS), PullsBack)


def test_nothing_is_kept_and_no_gradient_gets_out() -> None:
    one, x, residual = prior(), noise(1, 100, scale=0.2), noise(1, 100, seed=1)
    with torch.no_grad():
        found = one.pullback(x, SIGMA, residual)
    assert not found.requires_grad
    assert not x.requires_grad
    assert not one.denoise(x.requires_grad_(True), SIGMA).requires_grad
    assert all(parameter.grad is None for parameter in one.net.parameters())


def executor(chunk: int) -> Executor:
    return Executor(torch.device("cpu"), chunk)


@pytest.mark.parametrize("length", [1, 33, 500, 2100])
@pytest.mark.parametrize("chunk", [32, 333, 5000])
def test_chunks_give_the_whole(length: int, chunk: int) -> None:
    one, x, residual = prior(), noise(2, 1, length, scale=0.2), noise(2, 1, length, seed=1)
    found = executor(chunk).pulled(one)(x, SIGMA, residual)
    assert found.shape == x.shape
    assert (found[:, 0] - one.pullback(x[:, 0], SIGMA, residual[:, 0])).abs().max() <= ROUNDING


def test_one_halo_is_caught() -> None:
    one, x, residual = prior(), noise(1, 1, 2100, scale=0.2), noise(1, 1, 2100, seed=1)
    whole = one.pullback(x[:, 0], SIGMA, residual[:, 0])
    one.halo //= 2  # two of these are one
    assert (executor(32).pulled(one)(x, SIGMA, residual)[:, 0] - whole).abs().max() > 1000 * ROUNDING


def test_it_looks_two_halos_far_in_x_and_one_in_the_residual() -> None:
    one, time = prior(), 2000
    at = time // 2
    x, residual, other = noise(1, time, scale=0.2), noise(1, time, seed=1), noise(1, time, seed=2)
    whole = one.pullback(x, SIGMA, residual)[0, at]

    def moved(in_x: int, in_residual: int) -> float:
        """By how much the sample `at` moves where all beyond so many samples is another."""
        far = (torch.arange(time) - at).abs()
        found = one.pullback(
            torch.where(far > in_x, 0.2 * other, x), SIGMA, torch.where(far > in_residual, other, residual)
        )
        return float((found[0, at] - whole).abs())

    assert moved(2 * one.halo, one.halo) <= ROUNDING
    assert moved(one.halo * 5 // 4, time) > 100 * ROUNDING
    assert moved(time, one.halo * 3 // 4) > 100 * ROUNDING
