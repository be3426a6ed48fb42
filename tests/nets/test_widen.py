"""Widened networks: what they take over, what they see of what they are shown, that they can learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from audiofix.nets.mixer import MixerConfig, TimeFrequencyMixer
from audiofix.nets.wavenet import TieredWaveNet, WaveNetConfig
from audiofix.nets.widen import can_widen, widened
from audiofix.numerics.companding import mu_law_levels
from tests.hub.tiny import TINY, TINY_MIXER, tiny_mixer, tiny_net

SEPARATOR = replace(TINY_MIXER, inputs=3, outputs=2, recorded=1)
# The trunk's numbers are rounded to float32, and sums with zeros between may be taken in another order: see
# tests/nets/test_mixer.py.
TIE = 3e-6


def noise(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def at(*sigmas: float) -> Tensor:
    return torch.tensor(sigmas, dtype=torch.float64)


def shown_more(recorded: int) -> tuple[TimeFrequencyMixer, TimeFrequencyMixer]:
    """A mixer without a zero among its weights, and one that is shown so many waves, begun with it."""
    small = tiny_mixer()
    large = TimeFrequencyMixer(replace(TINY_MIXER, recorded=recorded, inputs=recorded + 1))
    large.load_state_dict(widened(small, large))
    return small.double(), large.double()


def with_an_exit(small: TimeFrequencyMixer, large: TimeFrequencyMixer) -> None:
    """Let both answer with spectra of their own alone, of the same weights: what they see then decides."""
    with torch.no_grad():
        for index, (count, width) in enumerate(TINY_MIXER.bands):
            # Columns are (bin, frame, factor, part): the spectrum of its own is the last factor.
            one, two = (
                net.leave[index].view(count, 8, width, 2, net.config.factors, 2) for net in (small, large)
            )
            one[..., :-1, :] = 0
            two.zero_()
            two[..., -1, :] = one[..., -1, :]


@pytest.mark.parametrize("recorded", [1, 2, 3])
def test_a_widened_mixer_takes_over_all_but_its_exit_and_answers_zero(recorded: int) -> None:
    small, large = shown_more(recorded)
    before, state = small.state_dict(), large.state_dict()
    own = [name for name in before if not name.startswith(("enter.", "leave."))]
    assert len(own) > 20
    for name in own:
        assert torch.equal(state[name], before[name]), name
    with torch.no_grad():
        assert not large(noise(2, recorded + 1, 200, scale=10), at(0.1, 0.7)).any()
        assert small(noise(2, 1, 200), at(0.1, 0.7)).abs().max() > 0.1


@pytest.mark.parametrize("recorded", [1, 2, 3])
def test_it_looks_at_the_first_recorded_wave_as_at_its_input_and_not_yet_at_others(recorded: int) -> None:
    small, large = shown_more(recorded)
    with_an_exit(small, large)
    x, sigma = noise(2, 1, 200), at(0.1, 0.7)
    nothing, others = torch.zeros_like(x), noise(2, recorded - 1, 200, seed=1, scale=10)
    with torch.no_grad():
        expected = small(x, sigma)
        assert expected.abs().max() > 0.1
        assert (large(torch.cat([x, others, nothing], dim=1), sigma) - expected).abs().max() < TIE
        assert (large(torch.cat([nothing, others, x], dim=1), sigma) - expected).abs().max() < TIE
        # It sees both where there are both.
        assert (large(torch.cat([x, others, x], dim=1), sigma) - expected).abs().max() > 0.01
        assert (large(torch.cat([nothing, others, nothing], dim=1), sigma) - expected).abs().max() > 0.01


def test_a_widened_mixer_can_learn_from_what_is_added() -> None:
    small, large = shown_more(3)
    x, sigma = noise(2, 4, 200), at(0.1, 0.7)
    (large(x, sigma) - 1).square().sum().backward()
    for index, (count, width) in enumerate(TINY_MIXER.bands):
        # First the exit: a factor for every wave and a spectrum of its own.
        leave = large.leave[index].grad.view(count, 8, width, 2, 5, 2)
        for factor in range(5):
            assert leave[..., factor, :].abs().max() > 0
    with_an_exit(small, large)
    large.zero_grad()
    (large(x, sigma) - 1).square().sum().backward()
    for index, (count, width) in enumerate(TINY_MIXER.bands):
        enter = large.enter[index].grad.view(count, width, 2, 4, 2, -1)
        for wave in range(4):
            assert enter[:, :, :, wave].abs().max() > 0


def test_the_small_network_is_left_alone() -> None:
    small, large = shown_more(3)
    before = {name: value.clone() for name, value in small.state_dict().items()}
    with torch.no_grad():
        for parameter in large.parameters():
            parameter.zero_()
    for name, value in small.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize("given", [1, 3])
def test_a_widened_wavenet_answers_as_before_whatever_it_is_given(given: int) -> None:
    small = tiny_net()
    large = TieredWaveNet(
        replace(TINY, given=given, given_window=8, given_taps=4), mu_law_levels(TINY.levels)
    )
    large.load_state_dict(widened(small, large))
    x, sigma = noise(2, 100, scale=0.1).float(), torch.tensor([0.01, 0.3])
    with torch.no_grad():
        before = small(x, sigma)
        for waves in (None, torch.zeros(2, given, 100), noise(2, given, 100, seed=1).float()):
            # Zeros are added: exact.
            assert torch.equal(large(x, sigma, waves), before)
    # It would have seen them: with weights in the new layers it does.
    nn.init.normal_(large.given_filter.weight, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert not torch.equal(large(x, sigma, noise(2, given, 100, seed=1).float()), before)
        assert torch.equal(large(x, sigma), before)


def test_a_widened_wavenet_can_learn_from_what_is_added() -> None:
    small = tiny_net()
    large = TieredWaveNet(replace(TINY, given=2, given_window=8, given_taps=4), mu_law_levels(TINY.levels))
    large.load_state_dict(widened(small, large))
    given = noise(1, 2, 100, seed=1).float()
    large(noise(1, 100, scale=0.1).float(), torch.tensor([0.1]), given).square().sum().backward()
    for layer in (large.middle_given, large.fast_given, large.given_filter):
        assert layer.weight.grad.abs().max() > 0


SHOWN = replace(TINY_MIXER, inputs=4, recorded=3)
GIVEN = replace(TINY, given=2, given_window=8, given_taps=4)


@pytest.mark.parametrize(
    ("small", "large"),
    [
        (TINY_MIXER, SHOWN),
        (TINY, replace(TINY, given=1)),
        (TINY, GIVEN),
    ],
)
def test_what_can_be_widened(small: Any, large: Any) -> None:
    assert can_widen(small, large)
    assert not can_widen(large, small)
    assert not can_widen(small, small)
    assert not can_widen(large, large)


@pytest.mark.parametrize(
    ("small", "large"),
    [
        (TINY_MIXER, replace(SHOWN, features=16)),
        (TINY_MIXER, replace(SHOWN, sigma_data=0.2)),
        (TINY_MIXER, replace(SHOWN, dilations=(1, 4))),
        (TINY_MIXER, SEPARATOR),  # other outputs
        (SEPARATOR, replace(SEPARATOR, inputs=4, recorded=2)),  # it is shown something already
        (replace(TINY_MIXER, inputs=2, recorded=1), SHOWN),
        (TINY_MIXER, replace(TINY_MIXER, inputs=2, outputs=2)),
        (TINY, replace(GIVEN, levels=32)),
        (TINY, replace(GIVEN, sigma_data=0.2)),
        (TINY, replace(TINY, given_taps=4)),
        (replace(TINY, given=1), replace(TINY, given=2)),
        (TINY_MIXER, GIVEN),
        (TINY, SHOWN),
        (None, SHOWN),
        (TINY, None),
    ],
)
def test_what_cannot_be_widened(small: Any, large: Any) -> None:
    assert not can_widen(small, large)
    if small and large:
        with pytest.raises(ValueError, match="differ in more than what they are shown"):
            widened(network(small), network(large))


def network(config: MixerConfig | WaveNetConfig) -> nn.Module:
    if isinstance(config, MixerConfig):
        return TimeFrequencyMixer(config)
    return TieredWaveNet(config, mu_law_levels(config.levels))
