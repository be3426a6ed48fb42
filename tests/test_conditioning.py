"""Priors that see the mixture: what they are shown, whose estimate it is, and what a run says about it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import audiofix
from audiofix import api
from audiofix.hub.registry import export_model, load_prior
from audiofix.loading import prepare
from audiofix.operators.speeds import at_speed
from audiofix.separation import TWO
from audiofix.setup import Setup
from audiofix.types import Audio
from tests.conftest import tiny_card
from tests.hub.tiny import tiny_mixer

PAIR = ("speech", "piano")
SHOWN = ["shown-speech", "shown-piano"]
SIGMA = 0.1
LADDER = {"pnf": {"levels": 2, "steps": 3}, "balanced": {"levels": 3}}


def setup(
    sources: Sequence[str] = PAIR, prior: str | None = None, quality: str = "pnf", **options: Any
) -> Setup:
    return prepare(sources, prior, 4, 1, None, "cpu", "consistent", quality, **options)


def names(found: Setup) -> list[str]:
    return [card.name for card in found.cards]


def noise(*shape: int, seed: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


Y = noise(1, 600, seed=1)


def agree(found: Setup, priors: Sequence[str], places: Sequence[int | None], separator: str) -> bool:
    """Whether the chain's score is that of these priors, each shown the separator's estimate in its place.

    None: not shown anything.
    """
    x = noise(1, len(priors), 600, seed=2)
    posterior = load_prior(separator, bf16=found.bf16)
    said = []
    for speed, sign in zip(TWO, (1, -1), strict=True):
        played = sign * at_speed(Y, speed)
        blank = torch.zeros(1, 2, played.shape[1])
        said.append(at_speed(sign * posterior.denoise(blank, played, math.inf), 1 / speed)[..., :600])
    mean = (said[0] + said[1]) / 2
    estimate = mean + (Y - mean.sum(dim=1))[:, None] / 2
    expected = []
    for index, (name, place) in enumerate(zip(priors, places, strict=True)):
        given = None if place is None else torch.stack([Y, estimate[:, place]], dim=1)
        expected.append(load_prior(name, bf16=found.bf16).score(x[:, index], SIGMA, given))
    whole = torch.stack(expected, dim=1)
    # The same calls: equal but for what another number of threads does to float32 sums.
    return bool((found.score(Y, found.hint(Y))(x, SIGMA) - whole).abs().max() < 1e-5 * whole.abs().max())


@pytest.mark.usefixtures("shown_priors")
def test_each_prior_is_shown_the_mixture_and_the_estimate_of_its_own_source() -> None:
    found = setup()
    assert names(found) == ["tiny-separator", *SHOWN]
    assert [card.name for card in found.prior_cards] == SHOWN
    assert found.posterior is None
    assert agree(found, SHOWN, [0, 1], "tiny-separator")
    for places in ([1, 0], [0, 0], [None, 1], [0, None], [None, None]):
        assert not agree(found, SHOWN, places, "tiny-separator")


@pytest.mark.usefixtures("shown_priors")
def test_the_order_of_the_sources_is_the_callers() -> None:
    found = setup(("piano", "speech"))
    assert names(found) == ["tiny-separator", *SHOWN[::-1]]
    assert agree(found, SHOWN[::-1], [1, 0], "tiny-separator")
    assert not agree(found, SHOWN[::-1], [0, 1], "tiny-separator")


@pytest.mark.usefixtures("shown_priors")
def test_only_priors_that_can_see_are_shown_something() -> None:
    found = setup(prior="tiny-speech,shown-piano")
    assert names(found) == ["tiny-separator", "tiny-speech", "shown-piano"]
    assert agree(found, ["tiny-speech", "shown-piano"], [None, 1], "tiny-separator")
    blind = setup(prior="tiny-speech,tiny-piano")
    assert blind.shown is None
    assert names(blind) == ["tiny-speech", "tiny-piano"]


@pytest.mark.usefixtures("shown_priors")
def test_on_request_nobody_is_shown_anything() -> None:
    found = setup(condition=False)
    assert found.shown is None
    assert names(found) == SHOWN
    assert agree(found, SHOWN, [None, None], "tiny-separator")
    assert not agree(found, SHOWN, [0, 1], "tiny-separator")


def test_without_that_separator_priors_are_blind(shown_priors: Path) -> None:
    shutil.move(shown_priors / "tiny-separator", shown_priors.parent / "elsewhere")
    found = setup()
    assert found.shown is None
    assert names(found) == SHOWN
    assert agree(found, SHOWN, [None, None], str(shown_priors.parent / "elsewhere") + "/")


@pytest.mark.usefixtures("shown_priors")
def test_of_other_sources_priors_are_blind() -> None:
    found = setup(("speech", "speech-2"))
    assert found.shown is None
    assert names(found) == [SHOWN[0]] * 2
    assert agree(found, [SHOWN[0]] * 2, [None, None], "tiny-separator")


@pytest.mark.usefixtures("shown_priors")
def test_a_separator_that_estimates_too_is_there_once() -> None:
    found = setup(quality="balanced")
    assert names(found) == ["tiny-separator", *SHOWN]
    assert found.shown is found.posterior
    assert agree(found, SHOWN, [0, 1], "tiny-separator")
    # It still estimates for those who do not want their priors to see.
    blind = setup(quality="balanced", condition=False)
    assert names(blind) == names(found)
    assert blind.shown is None
    assert blind.posterior is not None


def test_a_better_separator_estimates_and_the_priors_own_is_shown(shown_priors: Path) -> None:
    card = replace(tiny_card("other", "separator", "piano,speech"), validation={"mean_si_sdr_db": 9.0})
    export_model(tiny_mixer(2, seed=7), card, shown_priors / "other")
    found = setup(quality="balanced")
    assert names(found) == ["other", "tiny-separator", *SHOWN]
    assert [card.name for card in found.prior_cards] == SHOWN
    assert agree(found, SHOWN, [0, 1], "tiny-separator")
    assert not agree(found, SHOWN, [1, 0], "other")


@pytest.mark.usefixtures("shown_priors")
def test_stems_to_begin_with_need_no_estimate_but_priors_see() -> None:
    found = setup(quality="balanced", begun=True)
    assert found.posterior is None
    assert names(found) == ["tiny-separator", *SHOWN]
    assert agree(found, SHOWN, [0, 1], "tiny-separator")


def mixture(channels: int = 1) -> Audio:
    return Audio(noise(channels, 900, seed=3), 16000)


def separate(quality: str, **options: Any) -> api.Separation:
    return audiofix.separate(mixture(), device="cpu", quality=quality, draws=1, **LADDER[quality], **options)


@pytest.mark.usefixtures("shown_priors")
@pytest.mark.parametrize("quality", LADDER)
def test_a_report_says_whether_priors_saw_the_mixture(quality: str) -> None:
    seeing, default, blind = (
        separate(quality, condition=True),
        separate(quality),
        separate(quality, condition=False),
    )
    assert [one.report["settings"]["condition"] for one in (seeing, default, blind)] == [True, True, False]
    listed = [[model["name"] for model in one.report["models"]] for one in (seeing, blind)]
    assert listed[0] == ["tiny-separator", *SHOWN]
    assert listed[1] == (SHOWN if quality == "pnf" else listed[0])
    first, same, other = (one.stems["speech"].samples for one in (seeing, default, blind))
    assert torch.equal(first, same)
    assert (first - other).abs().max() > 1e-4


@pytest.mark.usefixtures("shown_priors")
def test_priors_that_cannot_see_give_the_same_either_way() -> None:
    priors = "tiny-speech,tiny-piano"
    there, back = (separate("pnf", prior=priors, condition=condition) for condition in (True, False))
    assert there.report["settings"]["condition"] is False
    assert torch.equal(there.stems["speech"].samples, back.stems["speech"].samples)


@pytest.mark.usefixtures("shown_priors")
def test_plan_lists_the_separator_that_is_shown() -> None:
    for condition, expected in ((True, ["tiny-separator", *SHOWN]), (False, SHOWN)):
        planned = api.plan(mixture(2), quality="pnf", device="cpu", condition=condition, **LADDER["pnf"])
        assert [model["name"] for model in planned.models] == expected
