"""Stems unlike what their priors know are remarked upon; those that cannot be judged are not."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from audiofix.likeness import BLOCK, LEAST
from audiofix.reporting import SILENT, judge
from tests.conftest import tiny_card


class Expects:
    """A prior that expects white noise of RMS 0.1."""

    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        variance = 0.1**2 + sigma**2
        return -0.5 * x**2 / variance - 0.5 * math.log(2 * math.pi * variance)


class Nameless:
    """A prior without a density."""


def judging(*least: float | None, priors: tuple[Any, ...] | None = None) -> Any:
    """What a run has of priors of speech, piano and so on, whose cards have these figures."""
    cards = []
    for name, figure in zip(("speech", "piano", "drums"), least, strict=False):
        card = tiny_card(f"{name}-model", "wavenet", name)
        cards.append(card if figure is None else replace(card, validation={LEAST: figure}))
    return SimpleNamespace(
        prior_cards=tuple(cards),
        priors=priors or tuple(Expects() for _ in cards),
        executor=SimpleNamespace(device=torch.device("cpu")),
    )


def stems(*scales: float, channels: int = 1, time: int = BLOCK) -> Tensor:
    noise = torch.randn(channels, len(scales), time, generator=torch.Generator().manual_seed(0))
    return noise * torch.tensor(scales)[:, None]


def test_a_stem_below_its_card_s_figure_is_remarked_upon() -> None:
    # Of white noise a prior of white noise knows as much as linear prediction: likeness is about zero.
    found, remarks = judge(judging(0.3, -0.3), ["speech-1", "piano"], stems(0.1, 0.1))
    assert {name: one["least"] for name, one in found.items()} == {"speech-1": 0.3, "piano": -0.3}
    assert all(abs(one["bits"]) < 0.05 for one in found.values())
    (remark,) = remarks
    bits = found["speech-1"]["bits"]
    assert remark.startswith("what was found as speech-1 is unlike what speech-model was trained on")
    assert f"({bits:.2f} bits a sample" in remark
    assert "held-out speech has 0.30 or more" in remark
    assert "mistrust it, or name other --sources" in remark


def test_each_stem_is_judged_by_its_own_prior_and_card() -> None:
    # Three times too loud: log2(3) bits are lost by the width, 8 / 2 nats by the samples beyond it.
    sounds = stems(0.1, 0.3)
    found, remarks = judge(judging(-0.5, -0.5), ["speech", "piano"], sounds)
    assert found["speech"]["bits"] > -0.5 > found["piano"]["bits"]
    expected = math.log2(3) - 4 / math.log(2)
    # A mean square of n numbers is known to sqrt(2 / n) of itself, here 9 times the prior's: 5 of these in bits.
    assert found["piano"]["bits"] == pytest.approx(
        expected, abs=5 * math.sqrt(2 / BLOCK) * 9 / (2 * math.log(2))
    )
    assert len(remarks) == 1
    assert "what was found as piano is unlike what piano-model" in remarks[0]
    found, remarks = judge(judging(-0.5, -0.5), ["speech", "piano"], sounds.flip(1))
    assert "what was found as speech is unlike what speech-model" in remarks[0]


@pytest.mark.parametrize(
    ("setup", "sounds"),
    [
        pytest.param(judging(None), stems(0.1), id="a card without the figure"),
        pytest.param(judging(9.0, priors=(Nameless(),)), stems(0.1), id="a prior without a density"),
        pytest.param(judging(9.0), stems(0.1, time=BLOCK - 1), id="too short"),
        pytest.param(judging(9.0), stems(0.9 * SILENT), id="silent"),
        pytest.param(judging(9.0), stems(0.0), id="exactly silent"),
        pytest.param(judging(9.0), torch.cat([stems(0.1), -stems(0.1)]), id="channels that cancel"),
        pytest.param(judging(), stems(0.1), id="no priors"),
    ],
)
def test_what_cannot_be_judged_is_not(setup: Any, sounds: Tensor) -> None:
    assert judge(setup, ["speech"], sounds) == ({}, [])


def test_what_can_be_judged_is_beside_what_cannot() -> None:
    found, remarks = judge(judging(9.0, None, 9.0), ["speech", "piano", "drums"], stems(0.0, 0.1, 0.1))
    assert list(found) == ["drums"]
    assert "drums-model" in remarks[0]
    # Just above silence, at a level that the prior does not know.
    assert list(judge(judging(9.0), ["speech"], stems(1.1 * SILENT))[0]) == ["speech"]


def test_channels_are_judged_by_their_mean_and_alike_each_time() -> None:
    both = torch.cat([stems(0.1), torch.zeros(1, 1, BLOCK)])
    one = judge(judging(0.0), ["speech"], both.mean(dim=0, keepdim=True))
    assert judge(judging(0.0), ["speech"], both) == one == judge(judging(0.0), ["speech"], both)
    assert one != judge(judging(0.0), ["speech"], both[:1])
