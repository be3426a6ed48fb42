"""The network that tells levels: how far it looks, where it begins, and its sizes."""

from __future__ import annotations

import pytest
import torch

from audiofix.nets.envelope import EnvelopeConfig, EnvelopeNet

SIZES = EnvelopeConfig(inputs=6, bands=3, width=8, hidden=10, dilations=(1, 3, 2))
REACH = 2 * (1 + 3 + 2)  # five taps look two to each side


def shown(frames: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, frames, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def filled(config: EnvelopeConfig = SIZES) -> EnvelopeNet:
    net = EnvelopeNet(config).double().requires_grad_(False)
    for index, weight in enumerate(net.parameters()):
        torch.nn.init.normal_(weight, std=0.3, generator=torch.Generator().manual_seed(index))
    return net


def test_it_looks_as_far_as_it_says_to_each_side_and_no_further() -> None:
    net, x, place = filled(), shown(50), 23
    assert net.receptive_field == REACH
    before = net(x)
    assert before.shape == (2, 50, 3)
    x[:, place] += 1
    moved = (net(x) != before).any(dim=2).nonzero()[:, 1]
    # Within it frames are looked at by taps, between which there are gaps: its ends alone are sure.
    assert (int(moved.min()), int(moved.max())) == (place - REACH, place + REACH)


def test_items_of_a_batch_do_not_see_each_other() -> None:
    net, x = filled(), shown(20)
    before = net(x)
    x[1] += 1
    assert torch.equal(net(x)[0], before[0])
    assert not torch.equal(net(x)[1], before[1])


def test_blocks_of_a_fresh_network_add_nothing() -> None:
    net, x = EnvelopeNet(SIZES).double(), shown(20)
    assert torch.equal(net(x), net.leave(net.norm(net.enter(x))))
    for block in net.blocks:
        before = net(x)
        torch.nn.init.ones_(block.down.bias[:4])
        assert not torch.equal(net(x), before)


def test_sizes_go_to_a_card_and_back() -> None:
    for sizes in (EnvelopeConfig(), SIZES):
        kept = sizes.to_dict()
        assert kept["dilations"] == list(sizes.dilations)  # a list, as TOML has them
        assert EnvelopeConfig.from_dict(kept) == sizes
    assert EnvelopeConfig.from_dict({}) == EnvelopeConfig() != SIZES


@pytest.mark.parametrize(
    "wrong",
    [
        {"inputs": 0},
        {"bands": -1},
        {"width": 8.0},
        {"hidden": "many"},
        {"dilations": []},
        {"dilations": [1, 0]},
        {"dilations": [1, 1.5]},
    ],
)
def test_sizes_that_make_no_network_are_refused(wrong: dict) -> None:
    with pytest.raises(ValueError, match="sizes must be whole numbers of 1 or more, got"):
        EnvelopeConfig.from_dict(wrong)


def test_keys_that_are_none_are_refused() -> None:
    with pytest.raises(TypeError, match="depth"):
        EnvelopeConfig.from_dict({"depth": 3})
