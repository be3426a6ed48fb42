"""Posteriors of upper bands: Wiener's without their network; in chunks the same numbers as on the whole file."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from audiofix.nets.mixer import TimeFrequencyMixer
from audiofix.priors.base import Posterior
from audiofix.priors.score_network import NOTHING_KNOWN
from audiofix.priors.upsampling import HIGHS, Upsampler, denoise_highs
from audiofix.runtime.executor import Executor
from tests.hub.tiny import TINY_MIXER, tiny_restorer

SIZES = replace(TINY_MIXER, inputs=2, recorded=1)
SIGMAS = (0.001, 0.01, 0.3)
# Float64 round-off, 1e-16, of numbers below 10 in a few operations.
EXACT = 1e-14
# The network's numbers are rounded to float32: next to a tie they move by 1e-6, times spectra of about 1 and the
# scale of what is added, HIGHS at most. See tests/runtime/test_executor.py.
TIE = 3e-8


class Stub:
    """Answers zero, or what it is told; remembers what it was asked."""

    config = SIZES

    def __init__(self, answer: Tensor | None = None) -> None:
        self.answer = answer

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.x, self.sigma = x, sigma
        return x.new_zeros(len(x), 1, x.shape[2]) if self.answer is None else self.answer


def noise(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def levels(*sigmas: float) -> Tensor:
    return torch.tensor(sigmas, dtype=torch.float64)


def test_without_network_what_lies_above_is_shrunk_as_wiener_does() -> None:
    """White highs of standard deviation HIGHS and noise of sigma: their variances' share remains."""
    x, low = noise(3, 200), noise(3, 200, seed=1)
    found = denoise_highs(Stub(), x, low, levels(*SIGMAS))
    for item, sigma in enumerate(SIGMAS):
        gain = HIGHS**2 / (HIGHS**2 + sigma**2)
        assert (found[item] - (low + gain * (x - low))[item]).abs().max() < EXACT
    assert torch.equal(denoise_highs(Stub(), x * math.nan, low, levels(*[math.inf] * 3)), low)


def test_the_network_adds_its_answer_at_the_scale_of_what_is_not_known() -> None:
    x, low, answer = noise(4, 200), noise(4, 200, seed=1), noise(4, 1, 200, seed=2)
    sigma = levels(*SIGMAS, math.inf)
    added = denoise_highs(Stub(answer), x, low, sigma) - denoise_highs(Stub(), x, low, sigma)
    for item, level in enumerate(SIGMAS):
        scale = (1 / level**2 + 1 / HIGHS**2) ** -0.5
        assert (added[item] - scale * answer[item, 0]).abs().max() < EXACT
    # Nothing known: the level is NOTHING_KNOWN in place of infinity.
    assert (added[3] - HIGHS * answer[3, 0]).abs().max() < 5 * HIGHS * (HIGHS / NOTHING_KNOWN) ** 2


def test_what_the_network_is_shown() -> None:
    count, sigma = 20_000, levels(*SIGMAS, math.inf)
    low, stub = noise(4, count, seed=1, scale=SIZES.sigma_data), Stub()
    finite = sigma.nan_to_num(posinf=1)
    x = low + noise(4, count, scale=HIGHS) + finite[:, None] * noise(4, count, seed=2)
    denoise_highs(stub, x, low, sigma)
    assert stub.sigma.tolist() == [*SIGMAS, NOTHING_KNOWN]
    assert torch.allclose(stub.x[:, 0] * SIZES.sigma_data, low, rtol=EXACT)
    # At unit scale: a mean square of n numbers is known to sqrt(2 / n) of itself; 5 of these.
    wide = 5 * math.sqrt(2 / count)
    assert stub.x[:3, 1].square().mean(dim=1).tolist() == pytest.approx([1] * 3, rel=wide)
    assert not stub.x[3, 1].any()


@pytest.mark.parametrize("nothing", [math.nan, math.inf, 1e30])
def test_without_a_level_the_state_is_not_looked_at(nothing: float) -> None:
    upsampler, x, low = (
        Upsampler(tiny_restorer(1), 16000, (1.0, 0.01)),
        noise(1, 1, 300),
        noise(1, 300, seed=1),
    )
    x, low = x.float(), low.float()
    found = upsampler.denoise(x, low, math.inf)
    assert found.shape == x.shape
    assert torch.isfinite(found).all()
    assert torch.equal(upsampler.denoise(torch.full_like(x, nothing), low, math.inf), found)
    assert not torch.equal(upsampler.denoise(x, low, 0.01), upsampler.denoise(-x, low, 0.01))
    assert not torch.equal(upsampler.denoise(x, -low, math.inf), -found)


def chunked() -> tuple[Upsampler, Tensor, Tensor]:
    upsampler = Upsampler(tiny_restorer(1).double(), 16000, (1.0, 0.001))
    low = noise(2, 1111, seed=1, scale=0.2)
    return upsampler, low[:, None] + noise(2, 1, 1111, scale=0.02), low


@pytest.mark.parametrize("chunk", [96, 333, 5000])
@pytest.mark.parametrize("sigma", [0.01, math.inf])
def test_chunks_give_the_whole(chunk: int, sigma: float) -> None:
    whole, x, low = chunked()
    found = Executor(torch.device("cpu"), chunk).jointly(whole, low)(x, sigma)
    assert (found - whole.denoise(x, low, sigma)).abs().max() < TIE


def test_too_small_a_halo_is_caught() -> None:
    whole, x, low = chunked()
    expected = whole.denoise(x, low, 0.01)
    whole.halo //= 4
    found = Executor(torch.device("cpu"), 96).jointly(whole, low)(x, 0.01)
    assert (found - expected).abs().max() > 100 * TIE


def test_what_it_says_about_itself() -> None:
    net = TimeFrequencyMixer(replace(SIZES, patch=3)).train()
    upsampler = Upsampler(net, 8000, (1.0, 0.01))
    assert isinstance(upsampler, Posterior)
    assert (upsampler.sample_rate, upsampler.sigmas, upsampler.grid) == (8000, (1.0, 0.01), net.grid)
    assert 0 <= upsampler.halo - net.receptive_field < upsampler.grid
    assert upsampler.halo % upsampler.grid == 0
    assert not net.training
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_bf16_is_near_and_not_the_same() -> None:
    x, low = noise(1, 1, 300, scale=0.1).float(), noise(1, 300, seed=1, scale=0.1).float()
    exact, rough = (
        Upsampler(tiny_restorer(1), 16000, (1.0, 0.01), bf16).denoise(x, low, 0.1) for bf16 in (False, True)
    )
    assert rough.dtype == torch.float32
    # Eight bits in a network of a few layers: some percent of its share, which is of the order of HIGHS.
    assert 0 < (rough - exact).abs().max() < 0.5 * HIGHS
