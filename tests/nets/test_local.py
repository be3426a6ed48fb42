"""A mixer that estimates the clean variance of every bin: where it begins, what it means, what it learns."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from audiofix.nets.mixer import LOG_STEP, MixerConfig, TimeFrequencyMixer
from audiofix.nets.widen import can_widen, widened
from audiofix.priors.score_network import ScorePrior, denoise_alone
from audiofix.runtime.executor import Executor
from audiofix.training.objectives import QUIETEST_BIN, denoising_error, local_error
from tests.hub.tiny import TINY_MIXER

LOCAL = replace(TINY_MIXER, local=True)
LEVELS = (3e-5, 1e-3, 0.1, 2.0)
TIE = 1e-9  # of numbers around 1 in double precision, through a few hundred operations


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def filled(config: MixerConfig) -> TimeFrequencyMixer:
    net = TimeFrequencyMixer(config).double()
    for index, weight in enumerate(net.parameters()):
        torch.nn.init.normal_(weight, std=0.1, generator=torch.Generator().manual_seed(index))
    return net


def grown() -> tuple[TimeFrequencyMixer, TimeFrequencyMixer]:
    small = filled(TINY_MIXER)
    large = TimeFrequencyMixer(LOCAL).double()
    large.load_state_dict(widened(small, large))
    return small, large


@pytest.mark.parametrize("sigma", LEVELS)
def test_it_begins_as_the_network_it_grew_from(sigma: float) -> None:
    small, large = grown()
    x, level = noise(2, 1, 700), torch.full((2,), sigma, dtype=torch.float64)
    expected = small(x, level)
    assert expected.std() > 0.01
    assert (large(x, level) - expected).abs().max() < TIE * expected.abs().max()


def test_only_the_variances_may_be_new() -> None:
    assert can_widen(TINY_MIXER, LOCAL)
    assert not can_widen(LOCAL, TINY_MIXER)
    assert not can_widen(TINY_MIXER, replace(LOCAL, features=2 * LOCAL.features))
    with pytest.raises(ValueError, match="local"):
        replace(TINY_MIXER, inputs=3, recorded=1, outputs=2, local=True)


def test_a_network_that_is_shown_more_leaves_the_variances_behind() -> None:
    small, wide = filled(LOCAL), replace(TINY_MIXER, inputs=3, recorded=2)
    assert can_widen(LOCAL, wide)
    large = TimeFrequencyMixer(wide).double()
    state = widened(small, large)
    large.load_state_dict(state)
    rows = small.state_dict()["enter.0"].view(*state["enter.0"].shape[:1], -1, 3, wide.features)[:, :, :2]
    assert torch.equal(state["enter.0"].view(rows.shape[0], -1, 3, 2, wide.features)[:, :, 2], rows)


class Told(TimeFrequencyMixer):
    """Says nothing but that the clean variance of every bin is `above` times that of the noise, in nats."""

    above = 0.0

    def trunk(self, patches: Tensor, embedding: Tensor) -> Tensor:  # noqa: ARG002
        c = self.config
        batch, count, bins, _ = patches.shape
        numbers = patches.new_zeros(batch, count, bins, c.patch, c.leaving)
        numbers[..., -1] = (self.above - 2 * math.log(c.sigma_data / self.sigma)) / LOG_STEP
        return numbers.flatten(3)

    sigma = 0.1


@pytest.mark.parametrize("sigma", LEVELS)
@pytest.mark.parametrize("above", [-12.0, -3.0, 0.0, 3.0, 12.0])
def test_without_an_answer_it_is_the_wiener_filter_of_the_variance_it_gives(
    sigma: float, above: float
) -> None:
    net = Told(LOCAL).double()
    net.above, net.sigma = above, sigma
    # The mixer leaves the Nyquist bin alone, where the denoiser's own share of x stays: nothing there.
    spectrum = torch.fft.rfft(noise(1, 1, 900))
    spectrum[..., 270:] = 0
    x, level = sigma * torch.fft.irfft(spectrum, 900), torch.tensor([sigma], dtype=torch.float64)
    found, expected = denoise_alone(net, x, level), x / (1 + math.exp(-above))
    inner = slice(2 * LOCAL.window, -2 * LOCAL.window)  # x begins and ends abruptly, which is high as well
    assert (found - expected)[..., inner].abs().max() < 0.01 * x.abs().max()


def test_the_error_of_all_is_that_of_a_network_without_variances() -> None:
    small, large = grown()
    clean, unit = 0.1 * noise(3, 700), noise(3, 700, seed=1)
    level = torch.tensor([1e-3, 0.1, 1.0], dtype=torch.float64)
    error, fit = local_error(large, clean, level, unit)
    assert torch.allclose(error, denoising_error(small, clean, level, unit), rtol=1e-9)
    assert fit.shape == (3,)


def test_the_fit_is_best_at_the_true_variance() -> None:
    """Of white Gaussian sound the variance is the same in every bin, and known."""
    data, sigma = 0.05, 0.02
    clean, unit = data * noise(4, 6000), noise(4, 6000, seed=1)
    level = torch.full((4,), sigma, dtype=torch.float64)
    net, fits = Told(LOCAL).double(), {}
    net.sigma = sigma
    truth = 2 * math.log(data / sigma)
    for off in (-2.0, -0.5, 0.0, 0.5, 2.0):
        net.above = truth + off
        fits[off] = float(local_error(net, clean, level, unit)[1].mean())
    assert min(fits, key=lambda off: fits[off]) == 0.0
    # At the truth the error has variance g s^2, so the fit is ln g + 1 (and the floor counts for nothing).
    gain = data**2 / (data**2 + sigma**2)
    assert fits[0.0] == pytest.approx(math.log(gain + (QUIETEST_BIN / sigma) ** 2) + 1, abs=0.05)


def test_silence_has_a_floor() -> None:
    net = Told(LOCAL).double()
    net.above, net.sigma = -30.0, 1e-3
    silent = torch.zeros(1, 900, dtype=torch.float64)
    fit = local_error(net, silent, torch.tensor([1e-3], dtype=torch.float64), noise(1, 900))[1]
    assert fit.item() >= 2 * math.log(QUIETEST_BIN / 1e-3)


@pytest.mark.parametrize("chunk", [333, 1000])
def test_chunks_give_the_whole(chunk: int) -> None:
    prior = ScorePrior(filled(LOCAL), 16000, (2.0, 3e-5))
    x = noise(1, 3000)
    whole = prior.score(x, 0.1)
    found = Executor(torch.device("cpu"), chunk).spread(prior)(x, 0.1)
    assert (found - whole).abs().max() < 1e-7 * whole.abs().max()
