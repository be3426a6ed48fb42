"""Widened networks: shown more, they say what they said; what they are shown they can learn to use."""

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


def shown_more(small: TimeFrequencyMixer, recorded: int) -> tuple[TimeFrequencyMixer, Tensor, Tensor]:
    """A widened mixer; inputs of the small one and of the large one, which begin with other things recorded."""
    before = small.config
    added = recorded - before.recorded
    large = TimeFrequencyMixer(replace(before, recorded=recorded, inputs=before.inputs + added))
    large.load_state_dict(widened(small, large))
    x, more = noise(2, before.inputs, 200), noise(2, added, 200, seed=1, scale=10)
    own = before.recorded
    return large.double(), x, torch.cat([x[:, :own], more, x[:, own:]], dim=1)


@pytest.mark.parametrize(("sources", "recorded"), [(0, 1), (0, 3), (2, 2), (2, 4)])
def test_a_widened_mixer_answers_as_before_whatever_it_is_shown(sources: int, recorded: int) -> None:
    small = tiny_mixer(sources)
    large, x, longer = shown_more(small, recorded)
    sigma = at(0.1, 0.7)
    with torch.no_grad():
        before = small.double()(x, sigma)
        assert before.abs().max() > 0.1
        assert (large(longer, sigma) - before).abs().max() < TIE
        # Broken twin: with what is added in front of what there was, inputs are taken for each other.
        if sources:
            wrong = torch.cat([longer[:, 1:2], longer[:, :1], longer[:, 2:]], dim=1)
            assert (large(wrong, sigma) - before).abs().max() > 0.01


def test_a_widened_mixer_can_learn_from_what_is_added() -> None:
    large, _, longer = shown_more(tiny_mixer(), 3)
    large(longer, at(0.1, 0.7)).square().sum().backward()
    for index, (count, width) in enumerate(TINY_MIXER.bands):
        enter = large.enter[index].grad.view(count, width, 2, 4, 2, -1)
        leave = large.leave[index].grad.view(count, 8, width, 2, 1, 5, 2)
        for recorded in range(3):
            assert enter[:, :, :, recorded].abs().max() > 0
            assert leave[..., recorded, :].abs().max() > 0


def test_the_small_network_is_left_alone() -> None:
    small = tiny_mixer()
    before = {name: value.clone() for name, value in small.state_dict().items()}
    large, *_ = shown_more(small, 3)
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
        (SEPARATOR, replace(SEPARATOR, inputs=4, recorded=2)),
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
