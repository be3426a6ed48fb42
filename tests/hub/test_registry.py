from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from audiofix.errors import ModelError
from audiofix.hub import registry
from audiofix.hub.card import read_card
from audiofix.hub.registry import (
    find_model,
    list_models,
    load_prior,
    model_folders,
    model_hash,
    models_for_source,
    scan_models,
    verify,
)


@pytest.fixture(autouse=True)
def _nothing_packaged(monkeypatch):
    monkeypatch.setattr(registry, "_packaged", list)


def copy_model(root: Path, name: str, into: Path, **changes: str) -> Path:
    """A second model: a copy of tiny under another name, with text of its card replaced."""
    shutil.copytree(root / "tiny", into / name)
    file = into / name / "card.toml"
    text = file.read_text().replace('name = "tiny"', f'name = "{name}"')
    for key, value in changes.items():
        old = next(line for line in text.splitlines() if line.startswith(f"{key} = "))
        text = text.replace(old, f'{key} = "{value}"')
    file.write_text(text)
    return into / name


def test_environment_comes_first_then_the_folder_given(conditioned, tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    copy_model(conditioned, "tiny", first, version="of the environment")
    copy_model(conditioned, "other", second)
    monkeypatch.setenv("AUDIOFIX_MODELS", os.pathsep.join([str(first), str(second)]))
    assert model_folders(conditioned) == [first, second, conditioned]
    assert [c.name for c in list_models(conditioned)] == ["other", "tiny"]
    assert find_model("tiny", conditioned)[1] == first / "tiny"
    assert find_model("tiny", conditioned)[0].version == "of the environment"


def test_a_model_itself_can_be_named(conditioned, monkeypatch):
    monkeypatch.setenv("AUDIOFIX_MODELS", str(conditioned / "tiny"))
    assert [c.name for c in list_models()] == ["tiny"]


def test_the_checkout_brings_its_own_models(monkeypatch):
    monkeypatch.undo()
    root = Path(registry.__file__).parents[2]
    if (root / "pyproject.toml").exists():
        assert model_folders() == [root / "models"]
    else:
        assert model_folders()[0].name == "_models"


def test_a_broken_card_is_reported_and_the_others_listed(conditioned):
    broken = copy_model(conditioned, "other", conditioned) / "card.toml"
    broken.write_text("family = ")
    with pytest.warns(UserWarning, match=r"model left out: .*other"):
        assert [c.name for c in list_models(conditioned)] == ["tiny"]
    assert list(scan_models(conditioned).problems) == [broken.parent]
    with pytest.raises(ModelError, match="TOML"):
        find_model("other", conditioned)
    with pytest.raises(ModelError, match="1 that cannot be used"):
        find_model("unheard", conditioned)


def test_a_folder_that_is_not_there_is_reported(tmp_path):
    (problem,) = scan_models(tmp_path / "none").problems.values()
    assert "expected a folder of models" in str(problem)


def test_unfinished_exports_are_not_seen(conditioned):
    (conditioned / "tiny").rename(conditioned / ".tiny.1.part")
    assert not scan_models(conditioned).models


def test_an_unknown_model_is_answered_with_what_there_is(conditioned):
    with pytest.raises(ModelError, match=r"no model 'tinny'; did you mean tiny\? models found: tiny; more"):
        find_model("tinny", conditioned)
    with pytest.raises(ModelError, match="models found: none"):
        load_prior("tiny")


def test_models_for_source(conditioned):
    copy_model(conditioned, "other", conditioned, source="piano")
    assert [c.name for c in models_for_source("piano", conditioned)] == ["other"]
    with pytest.raises(ModelError, match=r"'paino'; did you mean piano\? there are priors of piano, speech"):
        models_for_source("paino", conditioned)


@pytest.mark.parametrize("form", ["path", "text", "card", "name"])
def test_load_prior_by_name_or_folder(conditioned, form, monkeypatch):
    monkeypatch.chdir(conditioned)
    name = {"path": Path("tiny"), "text": "./tiny", "card": Path("tiny/card.toml"), "name": "tiny"}[form]
    prior = load_prior(name, folder=conditioned)
    assert (prior.sample_rate, prior.sigmas) == (16000, (1.0, 0.001))


def test_unknown_family(conditioned, edit_card):
    edit_card('family = "wavenet"', 'family = "wavelet"')
    with pytest.raises(
        ModelError,
        match="family: expected wavenet or score or separator or inpainter or upsampler or envelope or "
        "pnf-wavenet, got 'wavelet'",
    ):
        load_prior("tiny", folder=conditioned)


def test_verify_finds_nothing_wrong_with_a_whole_model(conditioned):
    assert verify(*find_model("tiny", conditioned)) == []


def test_verify_names_each_problem(conditioned):
    card, home = find_model("tiny", conditioned)
    weights = home / "weights.safetensors"
    (home / "stray.safetensors").write_bytes(b"")
    weights.write_bytes(weights.read_bytes()[:-1])
    wrong, stray = verify(card, home)
    assert "sha256: expected" in wrong
    assert "not in the card" in stray
    weights.unlink()
    assert "No such file" in verify(card, home)[0]


def test_verify_loads_what_the_hashes_let_pass(conditioned, edit_card):
    edit_card("fast_channels = 4", "fast_channels = 5")
    (problem,) = verify(*find_model("tiny", conditioned))
    assert "tensors: expected those of the card's network" in problem


def test_model_hash_follows_what_changes_the_numbers(conditioned):
    card = read_card(conditioned / "tiny")
    assert len(model_hash(card)) == 12
    assert model_hash(replace(card, hours=9.0, command="another")) == model_hash(card)
    changes = {"sigmas": (1.0, 0.01), "files": {"weights.safetensors": "0" * 64}, "network": {}}
    hashes = {model_hash(replace(card, **{key: value})) for key, value in changes.items()}
    assert len(hashes | {model_hash(card)}) == 4
