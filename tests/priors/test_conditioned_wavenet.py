"""A WaveNet prior that is given waves: score and density agree, and its halo knows how far ahead it looks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from audiofix.priors.wavenet import WaveNetPrior
from audiofix.runtime.executor import Executor
from tests.hub.tiny import TINY
from tests.nets.test_conditioned_wavenet import conditioned_net
from tests.nets.test_wavenet import tiny_net

SIGMA = 0.1
# Looks further ahead than the receptive field and a grid cell reach: a halo made for x alone does not do.
FAR = replace(TINY, given=2, given_window=160, given_taps=6)
# Different blocking of matrix products reorders sums of some hundreds of float64 terms, as in the chunk tests of
# priors without conditions.
CLOSE = {"atol": 1e-11, "rtol": 1e-10}


def prior() -> WaveNetPrior:
    return WaveNetPrior({1.0: conditioned_net(FAR)}, 16000, (1.0, 0.01))


def blind_halo(one: WaveNetPrior) -> int:
    """What the halo would be if only x had to fit in it."""
    return -(-one.receptive_field // one.grid) * one.grid + one.grid


def signals(time: int, batch: int = 2) -> tuple[Tensor, Tensor]:
    """x (batch, time), given (batch, 2, time)."""
    generator = torch.Generator().manual_seed(0)
    both = 0.1 * torch.randn(batch, 3, time, generator=generator, dtype=torch.float64)
    return both[:, 0], both[:, 1:]


def test_it_says_how_many_waves_condition_it() -> None:
    assert prior().given == 2
    assert WaveNetPrior({1.0: tiny_net()}, 16000, (1.0, 0.01)).given == 0


def test_score_is_the_gradient_of_the_density_of_x_given_the_waves() -> None:
    one, (x, given), step = prior(), signals(70), 1e-6
    score = one.score(x, SIGMA, given)
    leaf = x.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(one.log_density(leaf, SIGMA, given).sum(), leaf)
    assert torch.equal(score, gradient)
    for sample in (0, 15, 16, 69):
        nudge = torch.zeros_like(x)
        nudge[:, sample] = step
        there, back = (one.log_density(x + sign * nudge, SIGMA, given).sum(dim=1) for sign in (1, -1))
        # Central differences: error of order step^2 times the third derivative, and round-off over step.
        assert torch.allclose((there - back) / (2 * step), score[:, sample], rtol=1e-6, atol=1e-6)


def test_what_is_given_counts_and_silence_does_not() -> None:
    one, (x, given) = prior(), signals(70)
    for found in (one.score, one.log_density):
        assert torch.equal(found(x, SIGMA), found(x, SIGMA, 0 * given))
        assert not torch.allclose(found(x, SIGMA), found(x, SIGMA, given))
        assert not torch.allclose(found(x, SIGMA, given.flip(1)), found(x, SIGMA, given))


def test_halo_is_enough_for_both() -> None:
    one, at = prior(), 280
    x, given = signals(560, batch=1)
    whole = one.score(x, SIGMA, given)[0, at]
    far_x, far, near = x.clone(), given.clone(), given.clone()
    for signal in (far_x, far):
        signal[..., : at - one.halo] += 0.1
        signal[..., at + one.halo + 1 :] -= 0.1
    assert torch.allclose(one.score(far_x, SIGMA, far)[0, at], whole, atol=1e-12)
    near[..., at + blind_halo(one) + 1 :] += 0.1
    assert not torch.allclose(one.score(x, SIGMA, near)[0, at], whole, atol=1e-9)


@pytest.mark.parametrize("length", [1, 63, 500])
@pytest.mark.parametrize("chunk", [64, 200, 5000])
def test_chunks_give_the_whole(length: int, chunk: int) -> None:
    first, second = prior(), WaveNetPrior({1.0: tiny_net()}, 16000, (1.0, 0.01))
    x, given = signals(length)
    score = Executor(torch.device("cpu"), chunk).together([first, second], [given, None])
    expected = [first.score(x, SIGMA, given), second.score(-x, SIGMA)]
    assert torch.allclose(score(torch.stack([x, -x], dim=1), SIGMA), torch.stack(expected, dim=1), **CLOSE)


def test_a_halo_without_foresight_is_caught() -> None:
    one, (x, given) = prior(), signals(400)
    whole = one.score(x, SIGMA, given)
    one.halo = blind_halo(one)
    found = Executor(torch.device("cpu"), 64).together([one], [given])(x[:, None], SIGMA)[:, 0]
    assert not torch.allclose(found, whole, atol=1e-9)
