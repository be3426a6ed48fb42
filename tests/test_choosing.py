"""Which models are taken: what was named, else the best measured of those that fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audiofix.choosing import (
    DENOISING,
    SEPARATION,
    Chosen,
    choose_models,
    choose_separator,
    figure,
    shown_separator,
)
from audiofix.errors import ModelError, SettingError
from audiofix.hub import registry
from audiofix.hub.registry import export_model
from tests.conftest import tiny_card
from tests.hub.tiny import tiny_mixer, tiny_net

PAIR = ("speech", "piano")
Add = Callable[..., Path]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    """Export one more tiny model with the given figures; the shipped ones are out of sight."""
    monkeypatch.setattr(registry, "_packaged", list)
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("AUDIOFIX_MODELS", str(folder))

    def export(name: str, family: str, source: str, home: Path = folder, **figures: Any) -> Path:
        sources = source.count(",") + 1
        net = tiny_net() if family == "wavenet" else tiny_mixer(sources if family == "separator" else 0)
        export_model(net, replace(tiny_card(name, family, source), validation=figures), home / name)
        return home / name

    return export


@pytest.fixture
def priors(add: Add) -> None:
    """Of speech a good, a better and an unmeasured one; names and search order say nothing about which."""
    add("b-middling", "score", "speech", **{DENOISING: 9.4})
    add("c-good", "wavenet", "speech", **{DENOISING: 9.6})
    add("a-poor", "wavenet", "speech", **{DENOISING: -3.0, SEPARATION: 99.0})
    add("d-unmeasured", "score", "speech")
    add("e-piano", "wavenet", "piano", **{DENOISING: 1.0})
    add("z-piano", "score", "piano", **{DENOISING: 12.0})


def names(chosen: list[Chosen]) -> list[str]:
    """The cards' names, which are those of their folders."""
    assert [home.name for _, home in chosen] == [card.name for card, _ in chosen]
    return [card.name for card, _ in chosen]


@pytest.mark.usefixtures("priors")
@pytest.mark.parametrize("prior", [None, "auto"])
def test_the_best_measured_prior_of_each_source(prior: str | None) -> None:
    assert names(choose_models(PAIR, prior)) == ["c-good", "z-piano"]
    assert names(choose_models(("piano", "speech", "speech-2"), prior)) == ["z-piano", "c-good", "c-good"]


@pytest.mark.usefixtures("priors")
def test_a_family_restricts() -> None:
    assert names(choose_models(PAIR, "wavenet")) == ["c-good", "e-piano"]
    assert names(choose_models(PAIR, "score")) == ["b-middling", "z-piano"]
    with pytest.raises(SettingError, match=r"no separator prior of speech; there are a-poor, b-middling, c-"):
        choose_models(PAIR, "separator")


def test_an_unmeasured_prior_comes_last_even_behind_a_bad_one(add: Add) -> None:
    add("a-unmeasured", "score", "speech")
    assert names(choose_models(("speech",), None)) == ["a-unmeasured"]
    add("b-bad", "wavenet", "speech", **{DENOISING: -20.0})
    assert names(choose_models(("speech",), None)) == ["b-bad"]
    assert names(choose_models(("speech",), "score")) == ["a-unmeasured"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "9.9 dB", [9.9]])
def test_a_figure_that_is_no_number_counts_as_none(add: Add, value: object) -> None:
    add("a-odd", "wavenet", "speech", **{DENOISING: value})
    add("b-poor", "wavenet", "speech", **{DENOISING: -20.0})
    add("c-odd", "wavenet", "speech", **{DENOISING: value})
    assert names(choose_models(("speech",), None)) == ["b-poor"]


def test_figures() -> None:
    card = replace(tiny_card("x", "wavenet", "speech"), validation={"whole": 3, "mean": -1.5})
    assert [figure(card, name) for name in ("whole", "mean", "none")] == [3.0, -1.5, float("-inf")]


@pytest.mark.usefixtures("priors")
def test_names_win(add: Add, tmp_path: Path) -> None:
    assert names(choose_models(PAIR, "d-unmeasured, a-poor")) == ["d-unmeasured", "a-poor"]
    elsewhere = add("elsewhere", "wavenet", "speech", tmp_path / "other")
    assert names(choose_models(PAIR, f"{elsewhere},e-piano")) == ["elsewhere", "e-piano"]
    assert choose_models(PAIR, f"{elsewhere},e-piano")[0][1] == elsewhere
    with pytest.raises(SettingError, match="--prior names 1 models for 2 sources; give one for each"):
        choose_models(PAIR, "c-good")
    with pytest.raises(ModelError, match="there is no model 'nobody'"):
        choose_models(PAIR, "nobody,e-piano")


@pytest.mark.usefixtures("priors")
def test_a_source_without_a_prior() -> None:
    with pytest.raises(ModelError, match="there is no prior of 'drums'"):
        choose_models(("speech", "drums"), None)


@pytest.fixture
def separators(add: Add) -> None:
    add("b-middling", "separator", "speech,piano", **{SEPARATION: 8.0})
    add("c-good", "separator", "speech,piano", **{SEPARATION: 8.5})
    add("a-poor", "separator", "speech,piano", **{SEPARATION: 1.0, DENOISING: 99.0})
    add("d-unmeasured", "separator", "speech,piano")
    add("e-turned", "separator", "piano,speech", **{SEPARATION: 8.0})
    add("f-more", "separator", "speech,piano,drums", **{SEPARATION: 30.0})
    add("g-others", "separator", "speech,drums", **{SEPARATION: 30.0})
    add("h-prior", "wavenet", "speech", **{SEPARATION: 30.0})


def separator(sources: tuple[str, ...], prior: str | None) -> str | None:
    chosen = choose_separator(sources, prior)
    return None if chosen is None else names([chosen])[0]


@pytest.mark.usefixtures("separators")
@pytest.mark.parametrize("prior", [None, "auto", "separator"])
def test_the_best_measured_separator_of_these_sources_in_any_order(prior: str | None) -> None:
    assert separator(PAIR, prior) == "c-good"
    assert separator(("piano", "speech"), prior) == "c-good"
    assert separator(("speech", "piano", "drums"), prior) == "f-more"
    assert separator(("piano", "drums"), prior) is None
    assert separator(("speech", "speech-2"), prior) is None


@pytest.mark.parametrize("prior", [None, "auto", "separator"])
def test_an_unmeasured_separator_comes_last(add: Add, prior: str | None) -> None:
    assert separator(PAIR, prior) is None
    add("a-unmeasured", "separator", "speech,piano")
    assert separator(PAIR, prior) == "a-unmeasured"
    add("b-bad", "separator", "speech,piano", **{SEPARATION: -20.0})
    assert separator(PAIR, prior) == "b-bad"


@pytest.mark.usefixtures("separators")
def test_a_named_separator_wins(add: Add, tmp_path: Path) -> None:
    assert separator(PAIR, "a-poor") == "a-poor"
    assert separator(PAIR, "e-turned") == "e-turned"
    elsewhere = add("elsewhere", "separator", "speech,piano", tmp_path / "other")
    assert separator(PAIR, str(elsewhere)) == "elsewhere"


@pytest.mark.usefixtures("separators")
@pytest.mark.parametrize(
    ("sources", "name", "words"),
    [
        (PAIR, "g-others", "g-others separates speech,drums, not speech,piano"),
        (("speech", "speech-2"), "c-good", "c-good separates speech,piano, not speech,speech; give"),
    ],
)
def test_a_named_separator_of_other_sources(sources: tuple[str, ...], name: str, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        choose_separator(sources, name)


@pytest.mark.usefixtures("separators")
@pytest.mark.parametrize("prior", ["wavenet", "score", "h-prior", "h-prior,h-prior", "c-good,c-good"])
def test_named_priors_rule_out_a_separator(prior: str) -> None:
    assert choose_separator(PAIR, prior) is None


def test_a_separator_of_two_of_a_kind(add: Add) -> None:
    add("voices", "separator", "speech,speech", **{SEPARATION: 3.0})
    for prior in (None, "separator", "voices"):
        assert separator(("speech", "speech-2"), prior) == "voices"
    with pytest.raises(SettingError, match="voices separates speech,speech, not speech,piano"):
        choose_separator(PAIR, "voices")


def shown_to(*wanted: str | None, sources: tuple[str, ...] = PAIR) -> str | None:
    """The separator that is shown to priors whose cards name these."""
    cards = [replace(tiny_card(f"prior-{i}", "wavenet", "speech"), shown=n) for i, n in enumerate(wanted)]
    chosen = shown_separator(cards, sources)
    return None if chosen is None else names([chosen])[0]


@pytest.mark.usefixtures("separators")
def test_priors_are_shown_the_separator_that_they_were_trained_with() -> None:
    assert shown_to("b-middling", "b-middling") == "b-middling"  # whatever else is better measured
    assert shown_to("e-turned") == "e-turned"
    assert shown_to("c-good", None) == shown_to(None, "c-good") == "c-good"
    assert shown_to("c-good", sources=("piano", "speech")) == "c-good"
    assert shown_to("f-more", sources=("speech", "piano", "drums")) == "f-more"


@pytest.mark.usefixtures("separators")
def test_priors_are_shown_none_where_it_does_not_fit() -> None:
    assert shown_to(None, None) is None
    assert shown_to("nobody") is None
    for sources in (("speech", "speech-2"), ("speech", "piano", "drums"), ("speech",)):
        assert shown_to("c-good", sources=sources) is None
    assert shown_to("f-more") is None
    # One that is not there does not hide the other.
    assert shown_to("nobody", "c-good") == shown_to("f-more", "c-good") == "c-good"


def test_a_separator_of_two_of_a_kind_is_shown(add: Add) -> None:
    add("voices", "separator", "speech,speech")
    assert shown_to("voices", sources=("speech", "speech-2")) == "voices"
    assert shown_to("voices") is None
