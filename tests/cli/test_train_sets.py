"""`audiofix train --data`: what the command says, what goes into the card, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from audiofix.training import batches, tasks
from audiofix.training.config import read_config
from audiofix.training.team import Team
from audiofix.training.trainer import Trainer
from tests.hub.tiny import TINY, TINY_MIXER
from tests.training.trees import make_musdb, make_vctk

CONFIG = """
name = "tiny"
source = "speech"
train = ["folder:nowhere"]
valid = ["folder:nowhere"]
licence = "CC0-1.0"
trained_on = [{source = "noise", licence = "CC0-1.0"}]
sample_rate = 22050
window = 256
batch = 2
compile = false
bf16 = false
log_steps = 1
"""


def table(sizes: dict) -> str:
    return "[network]\n" + "\n".join(f"{key} = {str(value).lower()}" for key, value in sizes.items()) + "\n"


@pytest.fixture
def config(monkeypatch) -> Path:
    for module, name, value in (
        (batches, "VALID_CLIPS", 2),
        (batches, "VALID_LENGTH", 512),
        (tasks, "VALID_MIXTURES", 2),
        (tasks, "MIXTURE_LENGTH", 512),
    ):
        monkeypatch.setattr(module, name, value)
    path = Path("tiny.toml")
    path.write_text(CONFIG + table(TINY.to_dict()))
    return path


def test_trains_on_vctk_and_the_card_says_so(run, config, monkeypatch):
    data = f"vctk:{make_vctk(Path('sets'))}"
    words = ("train", config, "--data", data, "--steps", 2)
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    assert "to 2 h or step 2" in result.stdout
    assert f"--data {data} --steps 2 --export models/tiny" in result.stdout
    assert torch.load("runs/tiny/checkpoint.pt", weights_only=True)["progress"]["step"] == 2
    result = run(*words, "--export", "models/mine")
    assert result.exit_code == 0, result.stderr
    monkeypatch.setenv("AUDIOFIX_MODELS", "models")
    card = json.loads(run("models", "show", "mine", "--json").stdout)
    assert card["licence"] == "CC-BY-4.0"
    assert "VCTK" in card["trained_on"][0]["source"]
    assert card["command"] == f"audiofix train tiny.toml -o runs/tiny --data {data} --steps 2"
    result = run("train", config, "--data", data, "--steps", 3)
    assert "from step 2" in result.stdout
    assert result.exit_code == 0


def test_a_separator_has_a_set_for_each_source(run, config):
    root = make_musdb(Path("musdb"))
    sizes = {**TINY_MIXER.to_dict(), "inputs": 3, "outputs": 2, "recorded": 1}
    text = CONFIG.replace('"speech"', '"vocals,rest"').replace('["folder:nowhere"]', '["a", "b"]')
    config.write_text('family = "separator"\n' + text + table(sizes))
    data = ("--data", f"musdb:{root}#vocals", "--data", f"musdb:{root}#drums+bass+other")
    result = run("train", config, *data, "--steps", 1)
    assert result.exit_code == 0, result.stderr
    assert "SI-SDR" in result.stdout
    assert run("train", config, *data[:2]).exit_code == 2


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        ("sets", 2, "give vctk:PATH, musdb:PATH#vocals"),
        ("musdb:sets", 2, "mixture, drums, bass, other, vocals"),
        ("musdb:sets#vocals", 3, "has no folder train"),
        ("vctk:nowhere", 3, "nowhere does not exist; check the name"),
        ("folder:sets", 3, "holds no audio"),
    ],
)
def test_what_is_refused(run, config, data, status, said):
    Path("sets").mkdir()
    result = run("train", config, "--data", data)
    assert result.exit_code == status
    assert said in result.stderr
    assert not Path("runs").exists()


def test_valid_can_be_named_apart(run, config, write):
    for name in ("train/a.wav", "train/b.wav", "other/c.wav"):
        write(name, length=4000)
    result = run("train", config, "--data", "folder:train", "--valid", "folder:other", "--steps", 1)
    assert result.exit_code == 0, result.stderr
    assert run("train", config, "--data", "folder:train", "--valid", "other").exit_code == 2


def test_a_gpu_that_is_not_there(run, config, write):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    write("train/a.wav", length=4000)
    result = run("train", config, "--data", "folder:train", "--device", "cuda")
    assert result.exit_code == 6
    assert "cpu" in result.stderr


@pytest.mark.parametrize(
    ("text", "half"),
    [
        ("bf16 = true", True),
        ("bf16 = false", False),
        ('precision = "fp32"', False),
        ('precision = "bf16"', True),
    ],
)
def test_precision(config, write, text, half):
    for name in "ab":
        write(f"corpus/{name}.wav", length=4000, rate=22050, channels=1)
    config.write_text(
        config.read_text().replace("bf16 = false", text).replace("folder:nowhere", "folder:corpus")
    )
    trainer = Trainer(read_config(config), Path("run"), Team())
    assert trainer.half is half
    seen = []
    real = trainer.task.error
    trainer._loss._error = lambda batch: (
        seen.append(torch.is_autocast_enabled("cpu")), real(trainer.config, trainer.forward, batch),
    )[1]  # fmt: skip
    trainer.step()
    assert seen == [half]
    # Weights, and what is averaged, stay in float32.
    assert {p.dtype for p in (*trainer.net.parameters(), *trainer.average.parameters())} == {torch.float32}
