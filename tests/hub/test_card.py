from __future__ import annotations

import re
from dataclasses import replace

import pytest

from audiofix.errors import ModelError
from audiofix.hub.card import ModelCard, read_card, write_card

SHA = "0" * 64


@pytest.fixture
def whole(card: ModelCard) -> ModelCard:
    return replace(card, files={"weights.safetensors": SHA}, network={"levels": 16, "fast_dilations": [1, 2]})


def test_round_trip(whole, tmp_path):
    write_card(whole, tmp_path)
    assert read_card(tmp_path) == read_card(tmp_path / "card.toml") == whole
    assert [p.name for p in tmp_path.iterdir()] == ["card.toml"]


@pytest.mark.parametrize("shown", [None, "speech-piano"])
def test_what_conditions_a_model_is_written_if_anything_does(whole, tmp_path, shown):
    write_card(replace(whole, shown=shown), tmp_path)
    assert ('shown = "speech-piano"\n' in (tmp_path / "card.toml").read_text()) == (shown is not None)
    assert read_card(tmp_path) == replace(whole, shown=shown)


@pytest.mark.parametrize("kind", [None, "even", "uneven", "gliding"])
def test_how_fills_are_made_is_written_if_it_is_said(whole, tmp_path, kind):
    card = replace(whole, fill_kind=kind)
    write_card(card, tmp_path)
    file = tmp_path / "card.toml"
    assert ("fill_kind" in file.read_text()) == (kind is not None)
    assert read_card(tmp_path) == card
    if kind:
        file.write_text(file.read_text().replace(f'"{kind}"', '"odd"'))
        with pytest.raises(ModelError, match="fill_kind: expected even or uneven or gliding, got 'odd'"):
            read_card(file)


@pytest.mark.parametrize("levels", [256, 100])
def test_quantiser_steps_become_amplitude(whole, tmp_path, levels):
    """The ancestor's ladder runs from 175.9 to 0.1 steps of a scale of 256 levels that spans -1 to 1."""
    write_card(replace(whole, sigma_units="quantiser-steps", levels=levels), tmp_path)
    file = tmp_path / "card.toml"
    stated = re.sub("sigmas = .*", "sigmas = [175.9, 0.1]", file.read_text())
    file.write_text(stated)
    card = read_card(file)
    assert card.sigmas == pytest.approx((175.9 * 2 / levels, 0.1 * 2 / levels), rel=1e-12)
    write_card(card, tmp_path)
    assert read_card(tmp_path).sigmas == pytest.approx(card.sigmas, rel=1e-12)


def test_spacings_of_levels_that_reach_both_ends_become_amplitude(whole, tmp_path):
    """Levels 0 to 255 of the published linear quantiser are -1 to 1."""
    card = replace(whole, sigma_units="level-spacings", levels=256, sigmas=(175.9 * 2 / 255, 0.1 * 2 / 255))
    write_card(card, tmp_path)
    file = tmp_path / "card.toml"
    file.write_text(re.sub("sigmas = .*", "sigmas = [175.9, 0.1]", file.read_text()))
    assert read_card(file).sigmas == pytest.approx((175.9 * 2 / 255, 0.1 * 2 / 255), rel=1e-12)
    file.write_text(file.read_text().replace("levels = 256", "levels = 1"))
    with pytest.raises(ModelError, match="levels: expected the quantiser's number of levels, two or more"):
        read_card(file)


@pytest.mark.parametrize(("axis", "noted"), [("linear", False), ("mu-law", True)])
def test_another_axis_is_noted(whole, tmp_path, axis, noted):
    write_card(replace(whole, smoothing_axis=axis), tmp_path)
    card = read_card(tmp_path)
    assert card.smoothing_axis == axis
    assert (card.axis_note is not None) == noted


def test_a_model_that_knows_no_noise_has_no_levels(whole, tmp_path):
    card = replace(whole, conditioning="none", sigmas=())
    write_card(card, tmp_path)
    file = tmp_path / "card.toml"
    text = file.read_text()
    assert "sigmas" not in text
    assert read_card(tmp_path) == card
    assert list(card.weights.values()) == ["weights.safetensors"]
    assert list(whole.weights) == [1.0]  # as ever
    with pytest.raises(ModelError, match="sigmas: expected no noise levels with conditioning none, got"):
        write_card(replace(card, sigmas=(1.0, 0.001)), tmp_path)
    assert file.read_text() == text
    file.write_text(text.replace("conditioning", "sigmas = [1.0, 0.001]\nconditioning"))
    with pytest.raises(ModelError, match="sigmas: expected no noise levels with conditioning none, got"):
        read_card(file)
    with pytest.raises(ModelError, match="files: expected one weights file, got 2"):
        write_card(replace(card, files={**card.files, "more.safetensors": SHA}), tmp_path)


@pytest.mark.parametrize("conditioning", ["sigma", "per-level"])
def test_any_other_model_has_levels(whole, tmp_path, conditioning):
    with pytest.raises(ModelError, match=r"sigmas: expected a decreasing list of positive .*, got nothing"):
        write_card(replace(whole, conditioning=conditioning, sigmas=()), tmp_path)


def test_per_level_files_are_named_in_the_units_of_the_file(whole, tmp_path):
    files = {"sigma_12.8.safetensors": SHA, "sigma_0.1.safetensors": SHA}
    card = replace(whole, conditioning="per-level", files=files)
    card = replace(card, sigma_units="quantiser-steps", levels=256, sigmas=(0.1, 0.1 * 2 / 256))
    write_card(card, tmp_path)
    weights = read_card(tmp_path).weights
    assert list(weights.values()) == list(files)
    assert list(weights) == pytest.approx([0.1, 0.1 * 2 / 256])


@pytest.mark.parametrize(
    ("old", "new", "key", "expected"),
    [
        ("sample_rate = 16000", "sample_rate = 16000.0", "sample_rate", "whole number"),
        ("sample_rate = 16000", "sample_rate = true", "sample_rate", "whole number"),
        ("sample_rate = 16000", "", "sample_rate", "nothing"),
        ("sample_rate = 16000", "sample_rte = 16000", "sample_rte", "did you mean sample_rate"),
        ("sample_rate = 16000", "sample_rate = 16000\nzz = 1", "zz", "possible keys: name"),
        ("sigmas = [1.0, 0.001]", "sigmas = [0.001, 1.0]", "sigmas", "decreasing"),
        ("sigmas = [1.0, 0.001]", "sigmas = [1.0, 0.0]", "sigmas", "positive"),
        ("sigmas = [1.0, 0.001]", "sigmas = [inf, 0.1]", "sigmas", "positive"),
        ("sigmas = [1.0, 0.001]", "sigmas = [1.0]", "sigmas", "two"),
        ("sigmas = [1.0, 0.001]", "sigmas = [1.0, 'a']", "sigmas", "positive"),
        ('"amplitude"', '"decibel"', "sigma_units", "quantiser-steps"),
        ('"amplitude"', '"quantiser-steps"', "levels", "number of levels"),
        ('conditioning = "sigma"', 'conditioning = "per-level"', "files", "sigma_1.safetensors"),
        ('smoothing_axis = "linear"', 'smoothing_axis = "companded"', "smoothing_axis", "linear"),
        ('name = "tiny"', 'name = "../tiny"', "name", "lower-case"),
        ('licence = "CC0-1.0"', 'licence = " "', "licence", "licence of the weights"),
        ('licence = "none"', "", "trained_on", "source and licence"),
        ('"weights.safetensors"', '"../weights.safetensors"', "files", "sha256"),
        ('"weights.safetensors"', '"weights.pt"', "files", "safetensors"),
        (SHA, "0", "files", "64 hex"),
        ("hours = ", "hours = -", "hours", "not negative"),
        ("hours = ", 'shown = " "\nhours = ', "shown", "the name of a separator"),
        ("hours = ", "shown = true\nhours = ", "shown", "the name of a separator"),
        ("version", "ver sion", "file", "TOML"),
    ],
)
def test_a_bad_card_names_file_key_expectation_and_remedy(whole, tmp_path, old, new, key, expected):
    write_card(whole, tmp_path)
    file = tmp_path / "card.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(ModelError) as caught:
        read_card(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: {key}: expected ")
    assert expected in message
    assert "; " in message


def test_near_equal_levels_are_refused(whole, tmp_path):
    with pytest.raises(ModelError, match="six digits"):
        write_card(replace(whole, conditioning="per-level", sigmas=(0.10000001, 0.1)), tmp_path)


def test_a_bad_card_is_not_written(whole, tmp_path):
    with pytest.raises(ModelError, match="files"):
        write_card(replace(whole, files={}), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"\xff\xfe", None])
def test_what_cannot_be_read_is_a_model_error(tmp_path, content):
    if content is not None:
        (tmp_path / "card.toml").write_bytes(content)
    with pytest.raises(ModelError, match=r"card\.toml: file: expected"):
        read_card(tmp_path)
