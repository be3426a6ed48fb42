"""Posteriors of lost samples: exact means without their network, known samples untouched with any."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from audiofix.nets.mixer import TimeFrequencyMixer
from audiofix.priors.base import Posterior
from audiofix.priors.inpainting import AROUND, LEAST, MOST, Inpainter, denoise_gaps, disagreement
from audiofix.priors.score_network import NOTHING_KNOWN
from audiofix.runtime.executor import Executor
from tests.hub.tiny import TINY_MIXER, tiny_restorer

SIZES = replace(TINY_MIXER, inputs=3, recorded=2)
DATA = SIZES.sigma_data
SIGMAS = (0.003, 0.1, 0.5, 4.0)
# Float64 round-off, 1e-16, of numbers below 10, in a few operations and means of some hundred.
EXACT = 1e-12
# The network's numbers are rounded to float32: next to a tie they move by 1e-6, times spectra of about 1 and the
# scale of what is uncertain, 0.1 at most. See tests/runtime/test_executor.py.
TIE = 3e-7


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


def mask(time: int, *gaps: tuple[int, int]) -> Tensor:
    lost = torch.zeros(time, dtype=torch.float64)
    for start, stop in gaps:
        lost[start:stop] = 1
    return lost


def recording(batch: int, time: int, *gaps: tuple[int, int], apart: Tensor | float) -> Tensor:
    """(batch, 3, time): a fill, one that differs from it by `apart` where samples are lost, and where."""
    lost, first = mask(time, *gaps).expand(batch, time), noise(batch, time, seed=3, scale=0.2)
    return torch.stack([first, first - apart * lost, lost], dim=1)


# How far fills lie apart.


def test_disagreement_is_the_root_mean_square_over_lost_samples_nearby() -> None:
    gaps = (10, 11), (300, 700), (900, 905), (1900, 2000)
    y = recording(2, 2000, *gaps, apart=noise(2, 2000, seed=1, scale=0.1))
    found, lost = disagreement(y[:, :2], y[:, 2]), y[0, 2].bool()
    assert not found[:, ~lost].any()
    places = torch.arange(2000)
    near = ((places[:, None] - places).abs() <= AROUND // 2) & lost
    apart = (y[:, 0] - y[:, 1]).square()
    expected = ((apart @ near.double().T) / near.sum(dim=1).clamp(min=1)).sqrt()[:, lost]
    assert (found[:, lost] - expected).abs().max() < EXACT
    # Not the same everywhere, and not the difference at the place itself.
    assert expected[0].std() > 1e-3
    assert (expected - apart.sqrt()[:, lost]).abs().max() > 0.01


def test_fills_that_agree_leave_a_little_doubt() -> None:
    y = recording(1, 400, (100, 150), apart=0.0)
    assert torch.equal(disagreement(y[:, :2], y[:, 2]), LEAST * y[:, 2])


# Without the network.


@pytest.mark.parametrize("apart", [0.02, -0.3])
def test_without_network_it_is_the_mean_given_two_observations(apart: float) -> None:
    """A flat unknown, observed with noise of variance S^2 (the fill) and sigma^2 (x): weighted least squares."""
    y, x = recording(4, 500, (100, 150), (300, 301), apart=apart), noise(4, 500)
    found = denoise_gaps(Stub(), x, y, levels(*SIGMAS))
    lost = y[0, 2].bool()
    for item, sigma in enumerate(SIGMAS):
        weights = levels(1 / abs(apart), 1 / sigma)
        observed = torch.stack([y[item, 0], x[item]])[:, lost]
        expected = torch.linalg.lstsq(weights[:, None], weights[:, None] * observed).solution[0]
        assert (found[item, lost] - expected).abs().max() < EXACT, sigma
        # Neither observation alone would do.
        assert all((expected - one).abs().max() > 1e-6 for one in observed)
    assert torch.equal(found[:, ~lost], y[:, 0, ~lost])


def test_without_network_and_without_state_it_is_the_first_fill() -> None:
    y = recording(2, 500, (100, 150), apart=0.1)
    found = denoise_gaps(Stub(), torch.full((2, 500), math.nan).double(), y, levels(math.inf, math.inf))
    assert torch.equal(found, y[:, 0])


# With it.


@pytest.mark.parametrize("sigma", [*SIGMAS, math.inf])
def test_known_samples_come_back_bit_for_bit_whatever_the_network_says(sigma: float) -> None:
    y, x = recording(2, 500, (100, 150), apart=0.1).float(), noise(2, 1, 500).float()
    lost = y[0, 2].bool()
    found = Inpainter(tiny_restorer(2), 16000, (4.0, 0.001)).denoise(x, y, sigma)
    assert found.shape == x.shape
    assert torch.equal(found[:, 0, ~lost], y[:, 0, ~lost])
    without = denoise_gaps(Stub(), x[:, 0], y, torch.full((2,), sigma))
    assert (found[:, 0] - without)[:, lost].abs().max() > 1e-4
    loud = denoise_gaps(Stub(noise(2, 1, 500, scale=1e6).float()), x[:, 0], y, torch.full((2,), sigma))
    assert torch.equal(loud[:, ~lost], y[:, 0, ~lost])


def test_the_network_adds_its_answer_at_the_scale_of_what_is_not_known() -> None:
    """The standard deviation that two observations leave, 1 / sqrt(1 / sigma^2 + 1 / S^2)."""
    apart, answer = 0.05, noise(5, 1, 500, seed=2)
    y, x, sigma = recording(5, 500, (100, 150), apart=apart), noise(5, 500), levels(*SIGMAS, math.inf)
    added = denoise_gaps(Stub(answer), x, y, sigma) - denoise_gaps(Stub(), x, y, sigma)
    for item, level in enumerate(sigma.tolist()):
        scale = (1 / level**2 + 1 / apart**2) ** -0.5
        assert (added[item] - scale * answer[item, 0] * y[item, 2]).abs().max() < EXACT


@pytest.mark.parametrize("nothing", [math.nan, math.inf, 1e30])
def test_without_a_level_the_state_is_not_looked_at(nothing: float) -> None:
    inpainter, y = Inpainter(tiny_restorer(2), 16000, (1.0, 0.01)), recording(1, 300, (100, 150), apart=0.1)
    x, y = noise(1, 1, 300).float(), y.float()
    found = inpainter.denoise(x, y, math.inf)
    assert torch.isfinite(found).all()
    assert torch.equal(inpainter.denoise(torch.full_like(x, nothing), y, math.inf), found)
    assert not torch.equal(inpainter.denoise(x, y, 1.0), inpainter.denoise(-x, y, 1.0))


def test_what_the_network_is_shown() -> None:
    spike = torch.full((1500,), 0.02, dtype=torch.float64)
    spike[750] = 1
    y, x = recording(3, 1500, (400, 1100), apart=spike), noise(3, 1500)
    stub, sigma, lost = Stub(), levels(0.02, 0.3, math.inf), y[0, 2].bool()
    denoise_gaps(stub, x, y, sigma)
    assert stub.sigma.tolist() == [0.02, 0.3, NOTHING_KNOWN]
    assert stub.x.shape == (3, 3, 1500)
    assert torch.allclose(stub.x[:, 0] * DATA, y[:, 0], rtol=EXACT)
    assert not stub.x[:, 1:, ~lost].any()
    # The difference of the fills over its mean around: of 641 one is 1, the others 0.02.
    mean = math.sqrt((1 + 640 * 0.02**2) / 641)
    assert stub.x[:, 1, 740].tolist() == pytest.approx([0.02 / mean] * 3, rel=1e-9)
    assert 1 / mean > MOST
    assert stub.x[:, 1, 750].tolist() == [MOST] * 3
    scale = disagreement(y[:, :2], y[:, 2])[:2]
    total = (sigma[:2, None] ** 2 + scale**2).sqrt()
    assert torch.allclose(stub.x[:2, 2], (x - y[:, 0])[:2] * y[:2, 2] / total, rtol=EXACT)
    assert not stub.x[2, 2].any()


def test_the_noisy_wave_is_at_unit_scale_where_the_fill_errs_as_it_says() -> None:
    count, apart, sigma = 20_000, 0.05, levels(0.01, 0.05, 0.5)
    y = recording(3, count, (0, count), apart=apart)
    clean = y[:, 0] + noise(3, count, scale=apart)
    stub = Stub()
    denoise_gaps(stub, clean + sigma[:, None] * noise(3, count, seed=1), y, sigma)
    # A mean square of n numbers is known to sqrt(2 / n) of itself; 5 of these.
    assert stub.x[:, 2].square().mean(dim=1).tolist() == pytest.approx([1] * 3, rel=5 * math.sqrt(2 / count))


# In chunks.


def chunked() -> tuple[Inpainter, Tensor, Tensor]:
    y = recording(1, 3000, (100, 140), (900, 1700), (2960, 3000), apart=noise(1, 3000, seed=1, scale=0.1))
    return Inpainter(tiny_restorer(2).double(), 16000, (1.0, 0.01)), noise(1, 1, 3000, scale=0.2), y


@pytest.mark.parametrize("chunk", [333, 1000, 5000])
@pytest.mark.parametrize("sigma", [0.1, math.inf])
def test_chunks_give_the_whole(chunk: int, sigma: float) -> None:
    whole, x, y = chunked()
    found = Executor(torch.device("cpu"), chunk).jointly(whole, y)(x, sigma)
    assert (found - whole.denoise(x, y, sigma)).abs().max() < TIE


def test_too_small_a_halo_is_caught() -> None:
    whole, x, y = chunked()
    expected = whole.denoise(x, y, 0.1)
    whole.halo = AROUND // 4 // whole.grid * whole.grid
    found = Executor(torch.device("cpu"), 333).jointly(whole, y)(x, 0.1)
    assert (found - expected).abs().max() > 100 * TIE


def test_beyond_the_halo_nothing_is_seen_and_far_off_something_is() -> None:
    """One gap throughout: moving the fill at its end moves the disagreement, and what the network is shown."""
    inpainter = Inpainter(tiny_restorer(2).double(), 16000, (1.0, 0.01))
    time = inpainter.halo + 200
    x, y = noise(1, 1, time), recording(1, time, (0, time), apart=0.01)
    far = y.clone()
    far[:, 1, -1] += 1
    moved = (inpainter.denoise(x, far, 0.1) - inpainter.denoise(x, y, 0.1)).abs()[0, 0]
    # The network's numbers for a patch are the same, up to sums in another order.
    assert moved[: time - inpainter.halo].max() < TIE
    assert moved[time - AROUND // 2 - 50 :].max() > 100 * TIE
    assert moved[time - AROUND // 2 - 50 : time - AROUND // 2 - 1].max() > 10 * TIE


def test_what_it_says_about_itself() -> None:
    net = TimeFrequencyMixer(replace(SIZES, patch=3)).train()
    inpainter = Inpainter(net, 8000, (1.0, 0.01))
    assert isinstance(inpainter, Posterior)
    assert (inpainter.sample_rate, inpainter.sigmas, inpainter.grid) == (8000, (1.0, 0.01), net.grid)
    # Disagreement reaches half of AROUND, the network from there on.
    assert inpainter.halo >= net.receptive_field + AROUND // 2
    assert inpainter.halo % inpainter.grid == 0
    assert not net.training
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_bf16_is_near_and_not_the_same() -> None:
    x, y = noise(1, 1, 300).float(), recording(1, 300, (100, 200), apart=0.1).float()
    exact, rough = (
        Inpainter(tiny_restorer(2), 16000, (1.0, 0.01), bf16).denoise(x, y, 0.1) for bf16 in (False, True)
    )
    assert rough.dtype == torch.float32
    # Eight bits in a network of a few layers: some percent of its share, which is of the order of S.
    assert 0 < (rough - exact).abs().max() < 0.5 * 0.1
    lost = y[0, 2].bool()
    assert torch.equal(rough[..., ~lost], exact[..., ~lost])
