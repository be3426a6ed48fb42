"""Priors: the score is the gradient of the log-density, and the declared halo is true."""

from __future__ import annotations

import pytest
import torch

from audiofix.numerics.smoothing import smoothed_log_density
from audiofix.priors.gaussian import GaussianPrior
from audiofix.priors.wavenet import WaveNetPrior
from audiofix.runtime.executor import Executor
from tests.nets.test_wavenet import tiny_net

SIGMAS = (1.0, 0.01)


def wavenet_prior() -> WaveNetPrior:
    return WaveNetPrior({1.0: tiny_net()}, 16000, SIGMAS)


def signal(time: int, seed: int = 0, batch: int = 2) -> torch.Tensor:
    return 0.2 * torch.randn(batch, time, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_wavenet_score_is_the_gradient_by_differences() -> None:
    prior, x, sigma, step = wavenet_prior(), signal(70), 0.1, 1e-6
    score = prior.score(x, sigma)
    for sample in (0, 1, 15, 16, 40, 69):
        nudge = torch.zeros_like(x)
        nudge[:, sample] = step
        rise = (prior.log_density(x + nudge, sigma) - prior.log_density(x - nudge, sigma)).sum(dim=1) / (
            2 * step
        )
        # Central differences: error of order step^2 times the third derivative, and round-off over step.
        assert torch.allclose(rise, score[:, sample], rtol=1e-6, atol=1e-6)


def test_wavenet_density_is_that_of_its_logits() -> None:
    prior, x, sigma = wavenet_prior(), signal(50), 0.2
    net = tiny_net()
    logits = net(x, torch.full((2,), sigma, dtype=torch.float64))
    expected = smoothed_log_density(logits, net.level_values, x, sigma)
    assert torch.allclose(prior.log_density(x, sigma), expected, atol=1e-12)


def test_halo_is_enough_and_not_too_small() -> None:
    prior, time, at, sigma = wavenet_prior(), 700, 352, 0.1
    x = signal(time, batch=1)
    whole = prior.score(x, sigma)[0, at]
    far = x.clone()
    far[:, : at - prior.halo] += 0.1
    far[:, at + prior.halo + 1 :] -= 0.1
    assert torch.allclose(prior.score(far, sigma)[0, at], whole, atol=1e-12)
    near = x.clone()
    near[:, at + prior.receptive_field // 2] += 0.1
    assert not torch.allclose(prior.score(near, sigma)[0, at], whole, atol=1e-9)


@pytest.mark.parametrize("length", [1, 63, 64, 500, 1111])
@pytest.mark.parametrize("chunk", [1, 64, 100, 333, 5000])
def test_chunks_give_the_whole(length: int, chunk: int) -> None:
    if length // chunk > 60:
        chunk = length // 60
    prior, x = wavenet_prior(), signal(length)
    executor = Executor(torch.device("cpu"), chunk)
    # Different blocking of matrix products reorders sums of some tens of float64 terms.
    assert torch.allclose(executor.spread(prior)(x, 0.1), prior.score(x, 0.1), atol=1e-11, rtol=1e-10)


def test_half_the_halo_is_caught() -> None:
    """The chunk test is not vacuous: with half the halo the numbers differ."""
    prior, x = wavenet_prior(), signal(800)
    whole = prior.score(x, 0.1)
    prior.halo //= 2
    assert not torch.allclose(Executor(torch.device("cpu"), 64).spread(prior)(x, 0.1), whole, atol=1e-9)


def test_nearest_network_answers_when_there_is_one_for_each_level() -> None:
    first, second = tiny_net(0), tiny_net(5)
    bank = WaveNetPrior({1.0: first, 0.01: second}, 16000, SIGMAS)
    x = signal(40)
    for sigma, net in ((0.5, first), (0.02, second)):
        alone = WaveNetPrior({sigma: net}, 16000, SIGMAS)
        assert torch.equal(bank.score(x, sigma), alone.score(x, sigma))


def test_gaussian_score_is_the_gradient() -> None:
    lags = (torch.arange(6)[:, None] - torch.arange(6)).abs().double()
    prior = GaussianPrior(torch.linspace(0, 1, 6).double(), 0.5 * 0.8**lags, 16000)
    x = signal(6).requires_grad_(True)
    (gradient,) = torch.autograd.grad(prior.log_density(x, 0.3).sum(), x)
    assert torch.allclose(prior.score(x.detach(), 0.3), gradient, atol=1e-10)
