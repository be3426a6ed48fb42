"""`audiofix models import-pnf`, and what the other commands do with its models at 22,050 Hz. All of it real."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiofix.hub import registry
from audiofix.hub.import_pnf import import_pnf
from tests.cli.conftest import files_under
from tests.cli.restoring import sound
from tests.hub.published import published_state, write_published

RATE = 22050
STEPS = (10.5, 2.56, 1.0, 0.39, 0.1)  # of 16 levels: 1.4 to 0.013 in amplitude


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder of models: pnf-piano and pnf-speech of linear amplitude and mu-piano of the other axis."""
    home = tmp_path_factory.mktemp("imported")
    for name, axis, folder in (
        ("pnf-piano", "linear", "a/supra_piano"),
        ("pnf-speech", "linear", "a/vctk"),
        ("mu-piano", "mu-law", "b/supra_piano"),
    ):
        states = {steps: published_state(seed) for seed, steps in enumerate(STEPS)}
        write_published(home / folder, axis, states)
        import_pnf(home / folder, name, home / "models" / name)
    return home / "models"


@pytest.fixture
def imported(written, tmp_path, monkeypatch):
    """A copy of `written`, in AUDIOFIX_MODELS and alone there."""
    monkeypatch.setattr(registry, "_packaged", list)
    home = shutil.copytree(written, tmp_path / "models")
    monkeypatch.setenv("AUDIOFIX_MODELS", str(home))
    return home


@pytest.fixture
def piano(write) -> Path:
    return write("in.wav", sound(RATE), rate=RATE)


def read(file: Path | str) -> np.ndarray:
    return soundfile.read(file, always_2d=True)[0]


def report_of(result) -> dict:
    assert result.exit_code == 0, (result.stdout, result.stderr)
    return json.loads(result.stdout.splitlines()[-1])


def test_imported_models_are_listed_shown_and_whole(run, imported):
    assert run("models", "verify").exit_code == 0
    listed = {one["name"]: one for one in json.loads(run("models", "list", "--json").stdout)}
    assert set(listed) == {"pnf-piano", "pnf-speech", "mu-piano"}
    assert {one["sample_rate"] for one in listed.values()} == {RATE}
    assert listed["mu-piano"]["source"] == "piano"
    shown = run("models", "show", "mu-piano").stdout
    assert "smoothing axis  mu-law" in shown
    assert "refused where sounds add or are filtered" in shown
    assert "axis note" not in run("models", "show", "pnf-piano").stdout


@pytest.mark.parametrize("model", ["pnf-piano", "mu-piano"])
def test_gaps_are_filled_with_the_prior_that_was_named(run, imported, piano, model):
    folder = imported / model
    result = run("inpaint", piano, "--gap", "0.1+20ms", "--prior", folder, "--quality", "fast", "--device", "cpu",
                 "--json")  # fmt: skip
    report = report_of(result)
    assert [one["name"] for one in report["models"]] == [model]
    before, after = read(piano), read("restored/in.wav")
    start, stop = round(0.1 * RATE), round(0.12 * RATE)
    assert (after[:start] == before[:start]).all()
    assert (after[stop:] == before[stop:]).all()
    assert (after[start:stop] != before[start:stop]).mean() > 0.9
    own = registry.load_prior(folder).sigmas
    assert set(report["schedule"]["sigmas"]) <= set(own)
    assert len(report["schedule"]["sigmas"]) >= 2


def test_the_upper_band_is_drawn_at_the_models_rate(run, imported, write):
    low = write("low.wav", sound(11025), rate=11025)
    result = run("upsample", low, "--to", RATE, "--prior", imported / "pnf-piano", "--quality", "fast",
                 "--device", "cpu", "--json")  # fmt: skip
    report = report_of(result)
    assert [one["name"] for one in report["models"]] == ["pnf-piano"]
    assert soundfile.info("restored/low.wav").samplerate == RATE


def test_clipping_and_rounding_on_the_other_axis(run, imported, write):
    loud = write("loud.wav", np.clip(sound(RATE), -0.3, 0.3), rate=RATE)
    for command in (("declip", loud, "--level", 0.3), ("dequantise", loud, "--bits", 4)):
        result = run(*command, "--prior", imported / "mu-piano", "--quality", "fast", "--device", "cpu", "--json",
                     "--overwrite")  # fmt: skip
        assert len(report_of(result)["schedule"]["sigmas"]) >= 2
    assert np.isfinite(read("restored/loud.wav")).all()


@pytest.mark.parametrize(
    "command",
    [
        ("upsample", "in.wav", "--to", 44100),
        ("denoise", "in.wav", "--noise-db", -20),
        ("separate", "in.wav", "--sources", "piano,speech", "--prior", "models/mu-piano,models/pnf-speech"),
    ],
)
def test_what_adds_or_filters_refuses_the_other_axis(run, imported, piano, command):
    more = () if "--prior" in command else ("--prior", imported / "mu-piano")
    before = files_under(Path())
    result = run(*command, *more, "--device", "cpu")
    assert result.exit_code == 2
    assert "mu-piano is smoothed on the mu-law axis" in result.stderr
    assert result.stderr.count("\n") == 1
    assert files_under(Path()) == before


def test_a_mixture_is_separated_down_the_models_own_ladder(run, imported, piano):
    priors = f"{imported / 'pnf-speech'},{imported / 'pnf-piano'}"
    result = run("separate", piano, "--prior", priors, "--device", "cpu", "--json")
    report = report_of(result)
    assert report["schedule"]["sigmas"] == list(registry.load_prior(imported / "pnf-piano").sigmas)
    assert [one["name"] for one in report["models"]] == ["pnf-speech", "pnf-piano"]
    stems = [read(f"separated/in/{name}.wav") for name in ("speech", "piano")]
    residual = Path("separated/in/residual.wav")
    total = sum(stems) + (read(residual) if residual.exists() else 0)
    np.testing.assert_allclose(total, read(piano), atol=2 / 32768)
    # A ladder of one's own is still possible, and so is the published dynamics.
    result = run(
        "separate", piano, "--prior", priors, "--device", "cpu", "--json", "--levels", 3, "--overwrite"
    )
    assert len(report_of(result)["schedule"]["sigmas"]) == 3
    result = run("separate", piano, "--prior", priors, "--device", "cpu", "--json", "--quality", "pnf",
                 "--steps", 1, "--overwrite")  # fmt: skip
    assert report_of(result)["schedule"]["sigmas"] == list(registry.load_prior(imported / "pnf-piano").sigmas)


def test_a_prior_of_the_other_axis_is_not_chosen_for_separation(run, imported, piano):
    for name in ("card.toml", *(p.name for p in (imported / "pnf-piano").glob("*.safetensors"))):
        (imported / "pnf-piano" / name).unlink()
    result = run("separate", piano, "--sources", "piano,speech", "--device", "cpu")
    assert result.exit_code == 2
    assert "no" in result.stderr
    assert "prior of piano" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("nowhere", "--name", "x"), 4, "folder of checkpoints"),
        (("in.wav", "--name", "x"), 4, "folder of checkpoints"),
        (("empty", "--name", "x"), 4, "checkpoints175pt9"),
        (("empty", "--name", "Bad Name"), 2, "lower-case"),
        (("empty", "--name", "x", "--quantiser", "a-law"), 2, "auto, linear, mu-law"),
    ],
)
def test_what_cannot_be_imported(run, piano, arguments, status, says):
    Path("empty").mkdir()
    result = run("models", "import-pnf", *arguments)
    assert result.exit_code == status
    assert says in result.stderr
    assert result.stderr.count("\n") == 1
    assert not Path("models").exists()


@pytest.mark.parametrize("axis", ["linear", "mu-law"])
def test_what_an_import_says(run, tmp_path, axis):
    write_published(tmp_path / "egs" / "vctk", axis)
    result = run("models", "import-pnf", "egs/vctk", "--name", "mine", "-o", "here", "--licence", "CC0-1.0")
    assert result.exit_code == 0, result.stderr
    assert "3, 8.29 to 0.39 steps of 16 levels" in result.stdout
    assert ("note: sigmas are amplitude on the mu-law axis" in result.stdout) == (axis == "mu-law")
    assert 'licence = "CC0-1.0"' in Path("here/mine/card.toml").read_text(encoding="utf-8")
    result = run("models", "import-pnf", "egs/vctk", "--name", "mine", "-o", "here")
    assert result.exit_code == 7
    assert "exists already" in result.stderr


def test_import_as_json(run, tmp_path):
    write_published(tmp_path / "egs" / "vctk")
    result = run("models", "import-pnf", "egs/vctk", "--name", "pnf-speech", "--json")
    described = json.loads(result.stdout)
    assert (described["folder"], described["source"], described["smoothing_axis"]) == (
        "models/pnf-speech", "speech", "linear",
    )  # fmt: skip
    assert described["sigmas"] == pytest.approx([8.29, 1.0, 0.39])
