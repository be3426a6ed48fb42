"""The WaveNet that is given waves: they change nothing at first, and are seen so far ahead and no further."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from audiofix.nets.layers import centred_windows
from audiofix.nets.wavenet import TieredWaveNet, WaveNetConfig
from audiofix.nets.widen import widened
from audiofix.numerics.companding import mu_law_levels
from tests.nets.test_wavenet import TINY, tiny_net

SIZES = replace(TINY, given=2, given_window=24, given_taps=6)
SIGMA = torch.tensor([0.1, 0.5], dtype=torch.float64)
TIME = 200


def conditioned_net(sizes: WaveNetConfig = SIZES, seed: int = 0) -> TieredWaveNet:
    """Random weights everywhere, also in what starts as zero."""
    net = TieredWaveNet(sizes, mu_law_levels(sizes.levels)).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return net.eval()


def noise(*shape: int, seed: int = 1) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


X, GIVEN = noise(2, TIME), noise(2, 2, TIME, seed=2)


@pytest.mark.parametrize(
    ("length", "hop", "expected"),
    [
        (4, 4, [[1, 2, 3, 4], [5, 6, 7, 8]]),
        (6, 4, [[0, 1, 2, 3, 4, 5], [4, 5, 6, 7, 8, 0]]),
        (7, 4, [[0, 0, 1, 2, 3, 4, 5], [3, 4, 5, 6, 7, 8, 0]]),  # the odd one out is from the past
        (2, 4, [[2, 3], [6, 7]]),
        (3, 4, [[1, 2, 3], [5, 6, 7]]),
        (12, 4, [[0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0]]),
    ],
)
def test_centred_windows_hold_past_and_future(length: int, hop: int, expected: list) -> None:
    assert centred_windows(torch.arange(1.0, 9.0)[None], length, hop)[0].tolist() == expected


def test_centred_windows_of_every_sample() -> None:
    x = torch.arange(1.0, 5.0)[None]
    assert centred_windows(x, 3, 1)[0].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 0]]
    assert centred_windows(x, 4, 1)[0, 1:3].tolist() == [[0, 1, 2, 3], [1, 2, 3, 4]]


def test_new_layers_change_nothing() -> None:
    small, net = tiny_net(), TieredWaveNet(SIZES, mu_law_levels(SIZES.levels)).double().eval()
    net.load_state_dict(widened(small, net))
    assert torch.equal(net(X, SIGMA, GIVEN), small(X, SIGMA))
    assert torch.equal(net(X, SIGMA), small(X, SIGMA))


@pytest.mark.parametrize("layer", ["middle_given", "fast_given", "given_filter"])
def test_each_new_layer_changes_something_by_itself(layer: str) -> None:
    small, net = tiny_net(), TieredWaveNet(SIZES, mu_law_levels(SIZES.levels)).double().eval()
    net.load_state_dict({**widened(small, net), f"{layer}.weight": getattr(conditioned_net(), layer).weight})
    found = net(X, SIGMA, GIVEN) - small(X, SIGMA)
    assert found.abs().max() > 1e-3
    for wave in range(SIZES.given):
        alone = GIVEN.clone()
        alone[:, wave] = 0
        assert not torch.allclose(net(X, SIGMA, alone), net(X, SIGMA, GIVEN))


def test_a_filter_alone_moves_the_guess_by_the_given_amplitude_at_any_noise() -> None:
    """What was recorded is not scaled with the noise: a tap of one predicts the wave itself."""
    net = conditioned_net()
    with torch.no_grad():
        for layer in (net.slow_filter, net.middle_filter, net.given_filter):
            layer.weight.zero_()
            layer.bias.zero_()
        net.given_filter.bias[SIZES.given_taps + 1] = 1.0  # of the second wave, its sample t + 3 - 1 - 1
    for sigma in (0.01, 0.1, 1.0):
        _, guess, scale = net.features(X, torch.full((2,), sigma, dtype=torch.float64), GIVEN)
        # Two products and a quotient of float64 numbers below 1; the first samples have no whole filter yet.
        assert torch.allclose((guess * scale)[:, 3:-1], GIVEN[:, 1, 4:], rtol=0, atol=1e-14)


def test_nothing_given_is_silence_given() -> None:
    net = conditioned_net()
    assert torch.equal(net(X, SIGMA), net(X, SIGMA, torch.zeros_like(GIVEN)))
    assert not torch.allclose(net(X, SIGMA), net(X, SIGMA, GIVEN))


def test_training_and_scoring_agree() -> None:
    net = conditioned_net()
    expected = net(X, SIGMA, GIVEN)
    # Another order of sums of some tens of float64 terms, then squares of distances in small widths.
    assert torch.allclose(net.train()(X, SIGMA, GIVEN), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("length", [1, 5, 16, 33])
def test_any_length_agrees_with_a_longer_file_that_goes_on_in_silence(length: int) -> None:
    net, silent = conditioned_net(), GIVEN.clone()
    silent[..., length:] = 0
    found = net(X[:, :length], SIGMA, GIVEN[..., :length])
    assert torch.allclose(found, net(X, SIGMA, silent)[:, :length], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("output", [0, 1, 15, 16, 17, 64, 127])
def test_an_output_sees_the_past_of_x_and_a_little_of_the_future_of_what_is_given(output: int) -> None:
    net = conditioned_net()
    expected = net(X, SIGMA, GIVEN)[:, output]

    def moved(x_from: int, given_from: int) -> bool:
        """Whether other signals from there on change the output."""
        x, given = X.clone(), GIVEN.clone()
        x[:, x_from:] += noise(2, TIME - x_from, seed=3)
        given[..., given_from:] += noise(2, 2, TIME - given_from, seed=4)
        return not torch.allclose(net(x, SIGMA, given)[:, output], expected, rtol=1e-9, atol=1e-9)

    assert not moved(output, output + net.foresight + 1)
    assert moved(output, output + 1)
    assert moved(TIME, output)
    if output:
        assert moved(output - 1, TIME)


def foresight_measured(net: TieredWaveNet, frames: int = 2) -> int:
    """How far ahead the outputs of some frames look at most, by a backward pass each."""
    reach, start = 0, 4 * net.config.slow_hop
    for output in range(start, start + frames * net.config.middle_hop):
        given = GIVEN.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(net(X, SIGMA, given)[:, output].sum(), given)
        reach = max(reach, int(gradient.abs().amax(dim=(0, 1)).nonzero()[-1]) - output)
    return reach


@pytest.mark.parametrize(
    ("change", "reach"),
    [
        # From the first sample of a frame of 4 to the end of a window around it: (4 + 40) / 2 - 1.
        ({"given_window": 40}, 21),
        # Of an even window around a sample the larger half is past: 48 / 2 - 1.
        ({"fast_window": 48}, 23),
        # Half of the taps lie before the sample itself: 64 / 2 - 1.
        ({"given_taps": 64}, 31),
    ],
)
def test_each_path_looks_as_far_ahead_as_its_size_says(change: dict, reach: int) -> None:
    sizes = replace(TINY, **{"given": 2, "given_window": 4, "given_taps": 2, **change})
    net = conditioned_net(sizes)
    assert foresight_measured(net) == reach
    assert reach <= net.foresight


def test_without_conditions_there_is_no_foresight() -> None:
    assert tiny_net().foresight == 0
    assert TINY.given == 0
    assert WaveNetConfig.from_dict(SIZES.to_dict()) == SIZES
