"""`audiofix train` on a tiny network and a corpus of noise: train, stop, go on, export, separate."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from audiofix.hub.registry import export_model, load_prior
from audiofix.training import batches, envelope_task, inpainting_task, tasks, upsampling_task
from audiofix.training import trainer as training
from tests.conftest import tiny_card
from tests.hub.tiny import TINY, TINY_ENVELOPE, TINY_MIXER, tiny_envelope, tiny_mixer, tiny_restorer

CONFIG = """
name = "speech-tiny"
source = "speech"
train = ["corpus"]
valid = ["corpus"]
licence = "CC0-1.0"
trained_on = [{source = "noise", licence = "CC0-1.0"}]
window = 256
batch = 2
compile = false
bf16 = false
hours = 1.0
log_steps = 1
[network]
"""
RESTORERS = ("inpainter", "upsampler")


@pytest.fixture
def config(write, monkeypatch) -> Path:
    for module, name, value in (
        (batches, "VALID_CLIPS", 2),
        (batches, "VALID_LENGTH", 512),
        (tasks, "VALID_MIXTURES", 2),
        (tasks, "MIXTURE_LENGTH", 512),
        (inpainting_task, "VALID_WINDOWS", 2),
        (inpainting_task, "VALID_LENGTH", 512),
        (inpainting_task, "VALID_MS", (2, 5)),
        (upsampling_task, "VALID_WINDOWS", 2),
        (upsampling_task, "VALID_LENGTH", 512),
        (envelope_task, "VALID_WINDOWS", 2),
        (envelope_task, "VALID_LENGTH", 2048),
    ):
        monkeypatch.setattr(module, name, value)
    write("corpus/noise.wav", rate=16000, channels=1, length=4000)
    return config_file("tiny.toml", CONFIG, TINY.to_dict())


def config_file(name: str, text: str, sizes: dict) -> Path:
    path = Path(name)
    path.write_text(text + "\n".join(f"{key} = {str(value).lower()}" for key, value in sizes.items()) + "\n")
    return path


@pytest.fixture
def mixer_config(config, request) -> Path:
    """Of the family that the test is told."""
    text = f'family = "{request.param}"\n' + CONFIG
    sizes = TINY_MIXER.to_dict()
    if request.param == "separator":
        text = text.replace('"speech"', '"speech,piano"').replace('["corpus"]', '["corpus", "corpus"]')
        sizes.update(inputs=3, outputs=2, recorded=1)
    if request.param in RESTORERS:
        # What it is shown need not be said.
        del sizes["inputs"], sizes["recorded"]
    if request.param == "inpainter":
        text = text.replace("[network]", '[gaps]\norders = [60, 24]\nkind = "uneven"\n[network]')
    return config_file("mixer.toml", text, sizes)


MIXERS = pytest.mark.parametrize(
    ("mixer_config", "figure"),
    [("score", "mean denoise gain db"), ("separator", "mean si sdr db")],
    indirect=["mixer_config"],
)


@pytest.fixture
def stop_in_step(monkeypatch):
    """Ctrl-C in the middle of the n-th step from here."""
    real = training.Trainer.step
    left = []

    def step(self):
        if left:
            left[0] -= 1
            if not left[0]:
                left.clear()
                os.kill(os.getpid(), signal.SIGINT)
        return real(self)

    monkeypatch.setattr(training.Trainer, "step", step)
    return left.append


HOURS = ["--hours", 1e-7]  # over after one step


def test_trains_and_reports(run, config):
    result = run("train", config, *HOURS)
    assert result.exit_code == 0, result.stderr
    first, *records, last = result.stdout.splitlines()
    assert first.startswith("training speech-tiny on 0.0 h of audio, from the beginning")
    assert records[0].split()[:2] == ["step", "1"]
    assert "bits" in records[0]
    assert "s of audio a second" in records[0]
    assert "denoise gain" in records[-1]
    assert "--export models/speech-tiny" in last
    assert Path("runs/speech-tiny/checkpoint.pt").exists()


def test_ctrl_c_saves_and_the_same_command_goes_on(run, config, stop_in_step):
    stop_in_step(3)
    before = signal.getsignal(signal.SIGINT)
    result = run("train", config, "-o", "here")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == (
        "audiofix: stopped, saved at step 3; go on with: audiofix train tiny.toml -o here"
    )
    assert signal.getsignal(signal.SIGINT) is before
    stop_in_step(2)
    result = run("train", config, "-o", "here")
    assert "from step 3" in result.stdout
    assert "saved at step 5" in result.stderr


def test_fresh_keeps_the_earlier_run(run, config):
    assert run("train", config, *HOURS).exit_code == 0
    old = Path("runs/speech-tiny/checkpoint.pt").read_bytes()
    result = run("train", config, *HOURS, "--fresh")
    assert "from the beginning" in result.stdout
    assert Path("runs/speech-tiny/checkpoint.previous.pt").read_bytes() == old


def test_export_makes_a_model_that_verifies(run, config, monkeypatch):
    assert run("train", config, *HOURS).exit_code == 0
    result = run("train", config, *HOURS, "--export", "models/mine")
    assert result.exit_code == 0, result.stderr
    monkeypatch.setenv("AUDIOFIX_MODELS", "models")
    assert run("models", "verify", "mine").exit_code == 0
    card = json.loads(run("models", "show", "mine", "--json").stdout)
    assert (card["source"], card["licence"]) == ("speech", "CC0-1.0")
    assert card["trained_on"] == [{"source": "noise", "licence": "CC0-1.0"}]
    assert card["command"] == "audiofix train tiny.toml -o runs/speech-tiny --hours 1e-07"
    assert card["sigmas"] == [1.0, 0.001]
    logged = json.loads(Path("runs/speech-tiny/log.jsonl").read_text().splitlines()[-1])
    assert card["validation"] == logged
    assert run("train", config, "--export", "models/mine").exit_code == 7
    assert run("train", config, "--export", "models/mine", "--overwrite").exit_code == 0


def test_export_validates_weights_that_the_log_does_not_know(run, config, stop_in_step):
    stop_in_step(2)
    assert run("train", config).exit_code == 130
    result = run("train", config, "--export", "models/mine")
    assert result.exit_code == 0, result.stderr
    assert "validating now" in result.stderr


@pytest.mark.parametrize("options", [["--export", "models/m"], ["--export", "models/m", "--fresh"]])
def test_nothing_to_export(run, config, options):
    result = run("train", config, *options)
    assert result.exit_code == 2
    assert not Path("models").exists()


def test_bad_configs(run, config):
    assert run("train", "none.toml").exit_code == 2
    config.write_text(config.read_text().replace("window =", "windows ="))
    result = run("train", config)
    assert result.exit_code == 2
    assert "windows" in result.stderr
    config.write_text(CONFIG.replace("corpus", "elsewhere"))
    assert run("train", config).exit_code == 3


@pytest.mark.usefixtures("tiny_models")
def test_starts_from_a_model_with_its_hours(run, config):
    result = run("train", config, "--start-from", "tiny-speech", "--hours", 0.5, "-o", "runs/next")
    assert result.exit_code == 0, result.stderr
    # The model brought 0.5 h, all that was asked for: nothing is trained, its weights are kept.
    assert "starting from tiny-speech: 0.5 h" in result.stdout
    state = torch.load("runs/next/checkpoint.pt", weights_only=True)
    assert state["progress"]["step"] == 0
    assert state["progress"]["core_hours"] == 0.5
    kept = load_prior("tiny-speech").nets
    for name, value in next(iter(kept.values())).state_dict().items():
        assert torch.equal(state["average"][name], value)


@pytest.mark.usefixtures("tiny_models")
def test_a_model_of_other_sizes_is_no_start(run, config):
    config.write_text(config.read_text().replace("slow_channels = 8", "slow_channels = 16"))
    result = run("train", config, "--start-from", "tiny-speech")
    assert result.exit_code == 4
    assert "other sizes" in result.stderr


@MIXERS
def test_mixers_train_and_become_models(run, mixer_config, figure, monkeypatch):
    result = run("train", mixer_config, *HOURS)
    assert result.exit_code == 0, result.stderr
    _, first, last, _ = result.stdout.splitlines()
    assert " loss  " in first
    assert "s of audio a second" in first
    assert ("held out: denoise gain" if "denoise" in figure else "held out: SI-SDR") in last
    result = run("train", mixer_config, *HOURS, "--export", "models/mine")
    assert result.exit_code == 0, result.stderr
    assert figure in result.stdout
    monkeypatch.setenv("AUDIOFIX_MODELS", "models")
    assert run("models", "verify", "mine").exit_code == 0
    card = json.loads(run("models", "show", "mine", "--json").stdout)
    assert card["source"] == ("speech" if "denoise" in figure else "speech,piano")
    result = run("train", mixer_config, "--start-from", "mine", *HOURS, "-o", "runs/next")
    assert result.exit_code == 0, result.stderr
    assert "starting from mine" in result.stdout


@MIXERS
@pytest.mark.usefixtures("tiny_models")
def test_a_model_of_another_family_is_no_start(run, mixer_config, figure):
    result = run("train", mixer_config, "--start-from", "tiny-speech")
    assert result.exit_code == 2
    assert "tiny-speech is a wavenet model" in result.stderr


@pytest.fixture
def tiny_score(tiny_models):
    """The folder of `tiny_models` with one more, tiny-score."""
    card = tiny_card("tiny-score", "score", "speech")
    export_model(tiny_mixer(), card, tiny_models / card.name)
    return tiny_models


@pytest.mark.usefixtures("tiny_score")
@pytest.mark.parametrize(
    ("mixer_config", "figure"),
    [("inpainter", "mean snr in gaps db"), ("upsampler", "mean highs gain db")],
    indirect=["mixer_config"],
)
def test_restorers_start_from_a_score_prior_and_become_models(run, mixer_config, figure, monkeypatch):
    result = run("train", mixer_config, "--start-from", "tiny-score", "--hours", 0.5)
    assert result.exit_code == 0, result.stderr
    # The prior brought 0.5 h, all that was asked for: nothing is trained.
    assert "starting from tiny-score: 0.5 h" in result.stdout
    state = torch.load("runs/speech-tiny/checkpoint.pt", weights_only=True)
    assert (state["progress"]["step"], state["progress"]["core_hours"]) == (0, 0.5)
    kept = load_prior("tiny-score").net.state_dict()
    for name, value in state["average"].items():
        if name.startswith("leave."):
            assert not value.any()
        elif not name.startswith("enter."):
            assert torch.equal(value, kept[name])
    result = run("train", mixer_config, "--hours", 0.5000001)
    assert result.exit_code == 0, result.stderr
    state = torch.load("runs/speech-tiny/checkpoint.pt", weights_only=True)
    assert state["progress"]["step"] >= 1
    assert all(torch.isfinite(value).all() for value in state["net"].values())
    assert any(state["net"][f"leave.{i}"].any() for i in range(len(TINY_MIXER.bands)))
    result = run("train", mixer_config, "--export", "models/mine")
    assert result.exit_code == 0, result.stderr
    assert figure in result.stdout
    monkeypatch.setenv("AUDIOFIX_MODELS", "models")
    assert run("models", "verify", "mine").exit_code == 0
    card = json.loads(run("models", "show", "mine", "--json").stdout)
    assert card["family"] in RESTORERS
    if card["family"] == "inpainter":
        assert (card["fill_orders"], card["fill_kind"]) == ([60, 24], "uneven")
    # A model of its own family is a start, too.
    result = run("train", mixer_config, "--start-from", "mine", "--hours", 0.5, "-o", "runs/next")
    assert result.exit_code == 0, result.stderr
    assert "starting from mine" in result.stdout


@pytest.mark.usefixtures("tiny_score")
@pytest.mark.parametrize("mixer_config", RESTORERS, indirect=True)
def test_restorers_start_from_no_other_family(run, mixer_config, tiny_models):
    other = RESTORERS[mixer_config.read_text().startswith('family = "inpainter"')]
    for family, net in (
        ("separator", tiny_mixer(2)),
        (other, tiny_restorer(1 if other == "upsampler" else 2)),
    ):
        card = tiny_card(f"tiny-{family}", family, "speech,piano" if family == "separator" else "speech")
        export_model(net, card, tiny_models / card.name)
    for name, family in (("speech", "wavenet"), ("separator", "separator"), (other, other)):
        result = run("train", mixer_config, "--start-from", f"tiny-{name}")
        assert result.exit_code == 2
        assert f"tiny-{name} is a {family} model" in result.stderr
        assert "from a score prior" in " ".join(result.stderr.split())
        assert not Path("runs").exists()


@pytest.mark.usefixtures("tiny_score")
@pytest.mark.parametrize("mixer_config", ["separator"], indirect=True)
def test_a_score_prior_is_no_start_for_others(run, config, mixer_config):
    for chosen in (config, mixer_config):
        result = run("train", chosen, "--start-from", "tiny-score")
        assert result.exit_code == 2
        assert "tiny-score is a score model" in result.stderr


@pytest.mark.usefixtures("tiny_score")
@pytest.mark.parametrize("mixer_config", RESTORERS, indirect=True)
def test_a_score_prior_of_other_sizes_is_no_start(run, mixer_config):
    mixer_config.write_text(mixer_config.read_text().replace("features = 8", "features = 16", 1))
    result = run("train", mixer_config, "--start-from", "tiny-score")
    assert result.exit_code == 4
    assert "other sizes" in result.stderr


@MIXERS
def test_mixers_go_on_where_they_were_stopped(run, mixer_config, figure, stop_in_step):
    stop_in_step(2)
    assert run("train", mixer_config).exit_code == 130
    stop_in_step(2)
    result = run("train", mixer_config)
    assert "from step 2" in result.stdout
    assert "saved at step 4" in result.stderr


@pytest.fixture
def envelope_config(config):
    text = 'family = "envelope"\n' + CONFIG.replace("window = 256", "window = 2048")
    return config_file("envelope.toml", text, TINY_ENVELOPE.to_dict())


def test_envelopes_train_and_become_models(run, envelope_config, monkeypatch):
    result = run("train", envelope_config, *HOURS)
    assert result.exit_code == 0, result.stderr
    *_, last, _ = result.stdout.splitlines()
    assert "held out: error of levels" in last
    assert "(3949 Hz:" in last
    result = run("train", envelope_config, *HOURS, "--export", "models/mine")
    assert result.exit_code == 0, result.stderr
    assert "mean envelope error db" in result.stdout
    monkeypatch.setenv("AUDIOFIX_MODELS", "models")
    assert run("models", "verify", "mine").exit_code == 0
    card = json.loads(run("models", "show", "mine", "--json").stdout)
    assert (card["family"], card["conditioning"], card["sigmas"]) == ("envelope", "none", [])
    shown = run("models", "show", "mine")
    assert shown.exit_code == 0, shown.stderr
    assert not any(line.startswith("sigmas") for line in shown.stdout.splitlines())
    figure = card["validation"]["mean_envelope_error_db"]
    assert f"error {figure:.2f} dB" in run("models", "list").stdout
    # A model of its own family is a start.
    result = run("train", envelope_config, "--start-from", "mine", *HOURS, "-o", "runs/next")
    assert result.exit_code == 0, result.stderr
    assert "starting from mine" in result.stdout


@pytest.mark.usefixtures("tiny_score")
def test_an_envelope_and_a_score_prior_are_no_start_for_each_other(run, envelope_config, config, tiny_models):
    card = replace(tiny_card("tiny-envelope", "envelope", "speech"), sigmas=())
    export_model(tiny_envelope(), card, tiny_models / card.name)
    for path, start in ((envelope_config, "score"), (config, "envelope")):
        result = run("train", path, "--start-from", f"tiny-{start}")
        assert result.exit_code == 2
        assert f"tiny-{start} is a {start} model" in " ".join(result.stderr.split())
