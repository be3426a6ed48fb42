"""`audiofix models` on real, tiny models."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from audiofix.hub.registry import export_model
from tests.conftest import tiny_card
from tests.hub.tiny import tiny_net


def test_list(run, tiny_models):
    result = run("models", "list")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == [
        "name",
        "source",
        "family",
        "Hz",
        "MB",
        "hours",
        "measured",
        "licence",
        "folder",
    ]
    [speech] = [line for line in lines if line.startswith("tiny-speech")]
    size = sum(f.stat().st_size for f in Path(tiny_models, "tiny-speech").glob("*.safetensors")) / 1e6
    assert speech.split()[3:6] == ["16000", f"{size:.1f}", "0.5"]
    assert "CC0-1.0" in speech
    assert speech.endswith("tiny models/tiny-speech")


def test_list_shows_the_figure_that_models_are_chosen_by(run, tiny_models):
    for name, figures, shown in (
        ("a", {"mean_snr_in_gaps_db": 5.678, "mean_highs_gain_db": 3.0}, "SNR in gaps 5.68 dB"),
        ("b", {"mean_envelope_error_db": 7.25}, "error 7.25 dB"),
        ("c", {"mean_highs_gain_db": 3.0}, " - "),
    ):
        export_model(
            tiny_net(), replace(tiny_card(name, "wavenet", "x"), validation=figures), tiny_models / name
        )
        [line] = [line for line in run("models", "list").stdout.splitlines() if line.startswith(f"{name} ")]
        assert shown in line


def test_list_as_json(run, tiny_models):
    models = {m["name"]: m for m in json.loads(run("models", "list", "--json").stdout)}
    assert {"tiny-speech", "tiny-piano"} <= set(models)
    assert models["tiny-piano"]["folder"] == str(tiny_models / "tiny-piano")
    assert models["tiny-piano"]["hash"] != models["tiny-speech"]["hash"]


def test_list_says_what_it_leaves_out(run, tiny_models):
    Path(tiny_models, "tiny-piano", "card.toml").write_text("name = ")
    result = run("models", "list")
    assert result.exit_code == 0
    assert "model left out: " in result.stderr
    assert "tiny-piano" not in result.stdout
    assert "tiny-speech" in result.stdout


def test_show(run, tiny_models):
    result = run("models", "show", "tiny-speech")
    assert result.exit_code == 0, result.stderr
    facts = dict(line.split("  ", 1) for line in result.stdout.splitlines())
    assert facts["trained on"].strip() == "nothing [at all] (none)"
    assert facts["validation"].strip() == "mean_denoise_gain_db 0.75, denoise_gain_db.0.1 1.5"
    assert json.loads(run("models", "show", "tiny-speech", "--json").stdout)["hours"] == 0.5


def test_show_unknown(run, tiny_models):
    result = run("models", "show", "tiny-speach")
    assert result.exit_code == 4
    assert "did you mean tiny-speech?" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_verify(run, tiny_models):
    result = run("models", "verify", "tiny-speech")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"tiny-speech: whole ({tiny_models / 'tiny-speech'})\n"
    assert "tiny-piano: whole" in run("models", "verify").stdout


def test_verify_finds_damage(run, tiny_models):
    weights = tiny_models / "tiny-piano" / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    result = run("models", "verify")
    assert result.exit_code == 4
    assert "weights.safetensors: sha256" in result.stderr
    assert "tiny-piano: not usable" in result.stdout
    assert "tiny-speech: whole" in result.stdout
    assert run("models", "verify", "tiny-speech").exit_code == 0


def test_verify_finds_broken_cards(run, tiny_models):
    Path(tiny_models, "tiny-piano", "card.toml").write_text("name = ")
    assert run("models", "verify").exit_code == 4
    assert run("models", "verify", "tiny-piano").exit_code == 4
