"""Stems unlike what their priors know are remarked upon; those that cannot be judged are not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from audiofix import reporting
from audiofix.choosing import choose_critic
from audiofix.hub.card import ModelCard
from audiofix.hub.registry import export_model
from audiofix.likeness import BLOCK, LEAST
from audiofix.reporting import SILENT, judge
from tests.conftest import tiny_card
from tests.hub.tiny import tiny_mixer, tiny_net


class Expects:
    """A prior that expects white noise of RMS 0.1."""

    def log_density(self, x: Tensor, sigma: float) -> Tensor:
        variance = 0.1**2 + sigma**2
        return -0.5 * x**2 / variance - 0.5 * math.log(2 * math.pi * variance)


RATE = 16000
Judging = Callable[..., SimpleNamespace]


@pytest.fixture
def judging(monkeypatch: pytest.MonkeyPatch) -> Judging:
    """What a run has; there are judges of speech, piano and drums with these figures, None where there is none."""

    def make(*least: float | None, chain: bool = True, rate: int = RATE) -> SimpleNamespace:
        cards = {
            name: replace(tiny_card(f"{name}-model", "wavenet", name), validation={LEAST: figure})
            for name, figure in zip(("speech", "piano", "drums"), least, strict=False)
            if figure is not None
        }

        def choose(kind: str, figure: str) -> tuple[ModelCard, Path] | None:
            assert figure == LEAST
            return (cards[kind], Path(kind)) if kind in cards else None

        monkeypatch.setattr(reporting, "choose_critic", choose)
        monkeypatch.setattr(reporting, "load_prior", lambda *_, **__: Expects())
        executor = SimpleNamespace(device=torch.device("cpu"))
        schedule = object() if chain else None
        return SimpleNamespace(sample_rate=rate, schedule=schedule, executor=executor, bf16=False)

    return make


def stems(*scales: float, channels: int = 1, time: int = BLOCK) -> Tensor:
    noise = torch.randn(channels, len(scales), time, generator=torch.Generator().manual_seed(0))
    return noise * torch.tensor(scales)[:, None]


def test_a_stem_below_its_card_s_figure_is_remarked_upon(judging: Judging) -> None:
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


def test_each_stem_is_judged_by_its_own_prior_and_card(judging: Judging) -> None:
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
    ("least", "run", "sounds"),
    [
        pytest.param(None, {}, stems(0.1), id="no judge"),
        pytest.param(9.0, {"chain": False}, stems(0.1), id="no chain"),
        pytest.param(9.0, {"rate": 8000}, stems(0.1), id="another rate"),
        pytest.param(9.0, {}, stems(0.1, time=BLOCK - 1), id="too short"),
        pytest.param(9.0, {}, stems(0.9 * SILENT), id="silent"),
        pytest.param(9.0, {}, stems(0.0), id="exactly silent"),
        pytest.param(9.0, {}, torch.cat([stems(0.1), -stems(0.1)]), id="channels that cancel"),
    ],
)
def test_what_cannot_be_judged_is_not(
    judging: Judging, least: float | None, run: dict[str, Any], sounds: Tensor
) -> None:
    assert judge(judging(least, **run), ["speech"], sounds) == ({}, [])
    # Each time it was that alone: the same with nothing in the way.
    assert len(judge(judging(9.0), ["speech"], stems(0.1))[1]) == 1


def test_what_can_be_judged_is_beside_what_cannot(judging: Judging) -> None:
    found, remarks = judge(judging(9.0, None, 9.0), ["speech", "piano", "drums"], stems(0.0, 0.1, 0.1))
    assert list(found) == ["drums"]
    assert "drums-model" in remarks[0]
    # Just above silence, at a level that the prior does not know.
    assert list(judge(judging(9.0), ["speech"], stems(1.1 * SILENT))[0]) == ["speech"]


def test_channels_are_judged_by_their_mean_and_alike_each_time(judging: Judging) -> None:
    both = torch.cat([stems(0.1), torch.zeros(1, 1, BLOCK)])
    one = judge(judging(0.0), ["speech"], both.mean(dim=0, keepdim=True))
    assert judge(judging(0.0), ["speech"], both) == one == judge(judging(0.0), ["speech"], both)
    assert one != judge(judging(0.0), ["speech"], both[:1])


def test_judges_are_priors_of_the_kind_with_the_figure(tiny_models: Path) -> None:
    assert choose_critic("speech", LEAST) is None
    for name, family, net in (("a-separator", "separator", tiny_mixer(2)), ("judge", "wavenet", tiny_net())):
        source = "speech,piano" if family == "separator" else "speech"
        card = replace(tiny_card(name, family, source), validation={LEAST: -40.0})
        export_model(net, card, tiny_models / name)
    found = choose_critic("speech", LEAST)
    assert found is not None
    assert (found[0].name, found[1]) == ("judge", tiny_models / "judge")
    assert choose_critic("piano", LEAST) is None
    assert choose_critic("speech,piano", LEAST) is None
    # The model itself judges: one that knows nothing is below linear prediction, not below any figure.
    setup: Any = SimpleNamespace(
        sample_rate=RATE, schedule=object(), executor=SimpleNamespace(device=torch.device("cpu")), bf16=False
    )
    judged, remarks = judge(setup, ["speech-2", "piano"], stems(0.1, 0.1))
    assert list(judged) == ["speech-2"]
    assert -40 < judged["speech-2"]["bits"] < 1
    assert not remarks
