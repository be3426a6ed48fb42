"""`audiofix separate --no-condition`, and a prior that is shown a separator's estimate from recipe to model."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from audiofix.training import batches, wavenet_task
from tests.hub.tiny import TINY

QUICK = ("--quality", "pnf", "--levels", 2, "--steps", 3, "--device", "cpu")
SHOWN = ["shown-speech", "shown-piano"]


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ([], ["tiny-separator", *SHOWN]),
        (["--condition"], ["tiny-separator", *SHOWN]),
        (["--no-condition"], SHOWN),
    ],
)
def test_a_dry_run_lists_what_priors_are_shown(run, write, shown_priors, option, expected):
    result = run(
        "separate", write(length=900, rate=16000, channels=1), *QUICK, *option, "--dry-run", "--json"
    )
    assert result.exit_code == 0, result.stderr
    assert [model["name"] for model in json.loads(result.stdout)["models"]] == expected
    assert not Path("separated").exists()


@pytest.mark.parametrize(("option", "expected"), [([], True), (["--no-condition"], False)])
def test_the_library_is_told(run, write, sampling, option, expected):
    result = run("separate", write(), *option)
    assert result.exit_code == 0, result.stderr
    assert [call["condition"] for call in sampling.calls] == [expected]


CONFIG = """
name = "seeing"
source = "speech"
train = ["speech"]
valid = ["speech"]
shown = "tiny-separator"
mixed_train = ["piano"]
mixed_valid = ["piano"]
licence = "CC0-1.0"
trained_on = [{source = "noise", licence = "CC0-1.0"}]
sigma_min = 0.1
window = 256
batch = 2
compile = false
bf16 = false
hours = 1e-7
[simulation]
reverberate = 0.0
[network]
"""


def test_a_recipe_becomes_a_model_that_says_what_it_is_shown(run, write, tiny_separator, monkeypatch):
    for module, name, value in (
        (batches, "VALID_CLIPS", 2),
        (batches, "VALID_LENGTH", 512),
        (wavenet_task, "VALID_MIXTURES", 2),
        (wavenet_task, "MIXTURE_LENGTH", 512),
    ):
        monkeypatch.setattr(module, name, value)
    for seed, name in enumerate(("speech", "piano")):
        write(f"{name}/noise.wav", rate=16000, channels=1, length=4000, seed=seed)
    sizes = {**TINY.to_dict(), "given": 2, "given_window": 8, "given_taps": 4}
    lines = [f"{key} = {value}" for key, value in sizes.items()]
    Path("seeing.toml").write_text(CONFIG + "\n".join(lines) + "\n")
    result = run("train", "seeing.toml", "--start-from", "tiny-speech", "--hours", 0.5)
    assert result.exit_code == 0, result.stderr
    # The model brought 0.5 h: nothing is trained, the weights are exported with layers for conditions.
    assert "starting from tiny-speech: 0.5 h" in result.stdout
    result = run("train", "seeing.toml", "--hours", 0.5, "--export", "models/seeing")
    assert result.exit_code == 0, result.stderr
    monkeypatch.setenv("AUDIOFIX_MODELS", f"models{os.pathsep}{tiny_separator}")
    card = json.loads(run("models", "show", "seeing", "--json").stdout)
    assert card["shown"] == "tiny-separator"
    assert card["network"]["given"] == 2
    assert list(card["validation"]["given_gain_db"]) == ["0.1", "0.3", "1"]
    assert run("models", "verify", "seeing").exit_code == 0
