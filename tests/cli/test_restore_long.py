"""The restoring commands by way of the disk: real commands, the same files, and nothing half-written."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiofix.runtime.launch import Company
from audiofix.runtime.ranks import Ranks
from tests.cli.conftest import files_under
from tests.cli.restoring import sound
from tests.conftest import tiny_card
from tests.hub.tiny import tiny_mixer

LIMIT = 300  # s: far more than any of these take
# The command interrupts itself as soon as it has saved itself once: from outside the moment cannot be met.
INTERRUPTED = """
import runpy, signal, sys
saved = False
def stop(event, args):
    global saved
    if saved:
        saved = None
        signal.raise_signal(signal.SIGINT)
    elif saved is False:
        saved = event == "os.rename" and str(args[1]).endswith("reached.json")
sys.addaudithook(stop)
runpy.run_module("audiofix", run_name="__main__", alter_sys=True)
"""
FAST = ["--prior", "tiny-speech", "--quality", "fast", "--device", "cpu"]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from audiofix.hub.registry import export_model

    folder = tmp_path / "models"
    export_model(tiny_mixer(), tiny_card("tiny-speech", "score", "speech"), folder / "tiny-speech")
    monkeypatch.setenv("AUDIOFIX_MODELS", str(folder))
    return folder


@contextlib.contextmanager
def alone(*_: object):
    """Two processes are wanted, and this is the first."""
    yield Company(Ranks(0, 2), "cpu")


def file(
    name: str = "x.wav", seconds: float = 0.5, rate: int = 16000, subtype: str = "PCM_16", **more: str
) -> Path:
    x = sound(rate, seconds)
    x[200:240] = 0.0
    with soundfile.SoundFile(name, "w", rate, 1, subtype) as written:
        for tag, text in more.items():
            setattr(written, tag, text)
        written.write(x)
    return Path(name)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("declip", ["--level", "0.3"]),
        ("dequantise", ["--bits", "6"]),
        ("denoise", ["--noise-db", "20"]),
        ("inpaint", ["--gap", "0.0125-0.015", "--one"]),
        ("inpaint", ["--auto-gaps"]),
        ("restore", ["--ops", "clip:0.3 | gap:0.0125-0.015"]),
    ],
)
def test_the_files_are_those_of_memory(run, model, command, options):
    recording = file(title="a title")
    for out, more in (("mem", []), ("disk", ["--memory", "4GB"])):
        result = run(command, recording, *options, *FAST, *more, "-o", out)
        assert result.exit_code == 0, result.stderr
    assert Path("disk/x.wav").read_bytes() == Path("mem/x.wav").read_bytes()
    assert files_under(Path("disk")) == ["x.report.json", "x.wav"]
    reports = [json.loads(Path(out, "x.report.json").read_text(encoding="utf-8")) for out in ("mem", "disk")]
    for key in ("task", "faults", "settings", "schedule", "models", "evidence", "working_gain_db"):
        assert reports[0][key] == reports[1][key]
    assert reports[0]["input"] == reports[1]["input"]
    with soundfile.SoundFile("disk/x.wav") as written:
        assert written.copy_metadata().get("title") == "a title"


def test_another_rate_and_draws(run, model):
    """What was in the file's format stays so; draws are written beside the result."""
    file("x.flac", 0.3, 8000, "PCM_16")
    result = run("upsample", "x.flac", "--to", 16000, "--draws", 2, *FAST, "--memory", "4GB", "--json")
    assert result.exit_code == 0, result.stderr
    info = soundfile.info("restored/x.flac")
    assert (info.samplerate, info.frames, info.subtype) == (16000, 4800, "PCM_16")
    assert files_under(Path("restored")) == ["x.draw1.flac", "x.draw2.flac", "x.flac", "x.report.json"]
    first = soundfile.read("restored/x.draw1.flac")[0]
    assert np.array_equal(first, soundfile.read("restored/x.flac")[0])
    assert not np.array_equal(first, soundfile.read("restored/x.draw2.flac")[0])
    assert json.loads(result.stdout)["output"]["files"]["draw 2"].endswith("x.draw2.flac")


@pytest.mark.parametrize("options", [[], ["--compare"]])
def test_a_reference_gives_the_figures_of_memory(run, model, options):
    """Sums over parts in double precision: the figures of the whole to a part in a million."""
    samples, rate = soundfile.read(file())
    clean = 0.9 * samples + 0.01 * np.random.default_rng(0).standard_normal(len(samples))
    soundfile.write("clean.wav", clean, rate)
    command = ("declip", "x.wav", "--level", 0.3, *FAST, "--reference", "clean.wav", *options)
    reports = []
    for out, more in (("whole", []), ("disk", ["--memory", "4GB"])):
        result = run(*command, "-o", out, *more, "--json")
        assert result.exit_code == 0, result.stderr
        reports.append(json.loads(result.stdout))
    for name, pair in reports[0]["scores"].items():
        assert reports[1]["scores"][name] == pytest.approx(pair, rel=1e-6)
    if options:
        ours, theirs = (report["baseline"]["scores"] for report in reports)
        assert theirs.keys() == ours.keys() == {"snr_db", "si_sdr_db", "log_spectral_distance"}


@pytest.mark.parametrize(("other", "says"), [("short.wav", "length"), ("silent.wav", "silent")])
def test_a_bad_reference_is_found_before_the_work(run, model, other, says):
    file()
    length = soundfile.info("x.wav").frames
    soundfile.write("short.wav", np.ones(100), soundfile.info("x.wav").samplerate)
    soundfile.write("silent.wav", np.full((length, soundfile.info("x.wav").channels), 0.25), 16000)
    command = ("declip", "x.wav", "--level", 0.3, *FAST, "--memory", "4GB", "--reference", other)
    result = run(*command)
    assert result.exit_code == 3
    assert says in result.stderr
    assert not Path("restored").exists()


@pytest.mark.parametrize(
    ("command", "options", "method"),
    [
        ("declip", ["--level", "0.3"], "consistent sparsity (A-SPADE)"),
        ("inpaint", ["--gap", "0.0125-0.015"], "autoregression (Janssen)"),
    ],
)
def test_baseline_and_picture_are_those_of_memory(run, model, command, options, method):
    file()
    for out, more in (("mem", []), ("disk", ["--memory", "4GB"])):
        done = run(command, "x.wav", *options, *FAST, *more, "-o", out, "--plot", "--compare")
        assert done.exit_code == 0, done.stderr
        assert method in done.stdout
    files = ["x.baseline.wav", "x.png", "x.report.json", "x.wav"]
    assert files_under(Path("disk")) == files_under(Path("mem")) == files
    for name in ("x.wav", "x.baseline.wav", "x.png"):
        assert Path("disk", name).read_bytes() == Path("mem", name).read_bytes()
    assert Path("disk/x.wav").read_bytes() != Path("disk/x.baseline.wav").read_bytes()
    report = json.loads(Path("disk/x.report.json").read_text(encoding="utf-8"))
    assert report["baseline"] == {"method": method, "scores": None}
    assert report["output"]["files"]["picture"].endswith("x.png")
    assert not [note for note in report["notes"] if "baseline" in note]
    again = run(command, "x.wav", *options, *FAST, "--memory", "4GB", "-o", "disk", "--plot")
    assert again.exit_code == 7


def test_where_the_baseline_is_not_that_of_memory_the_report_says_so(run, model):
    file(rate=8000)
    done = run("upsample", "x.wav", "--to", 16000, *FAST, "--memory", "4GB", "--compare")
    assert done.exit_code == 0, done.stderr
    assert "note: the baseline's bands were joined by a local filter: within 16 Hz of 4000 Hz" in done.stdout
    assert soundfile.info("restored/x.baseline.wav").frames == soundfile.info("restored/x.wav").frames == 8000


def test_too_little_memory_says_how_much(run, model):
    file()
    result = run("declip", "x.wav", "--level", 0.3, *FAST, "--memory", "100MB")
    assert result.exit_code == 2
    assert "--memory 0.1GB does not suffice for these models; give " in result.stderr
    assert not Path("restored").exists()
    assert run("declip", "x.wav", "--memory", "much").exit_code == 2


def test_nothing_found_leaves_nothing(run, model):
    file()
    result = run("declip", "x.wav", *FAST, "--memory", "4GB")
    assert result.exit_code == 2
    assert "no clipping was found" in result.stderr
    assert not Path("restored").exists()


def test_interrupted_and_resumed(model):
    """Ctrl-C leaves what --resume goes on from and nothing else; in the end there are the files of one run."""
    file(seconds=2.0)
    options = ["upsample", "x.wav", "--cutoff", "3000", "--quality", "fast",
               "--prior", "tiny-speech", "--device", "cpu"]  # fmt: skip
    command = [sys.executable, "-m", "audiofix", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    stopped = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *options, "-o", "out", "--save-every", "0"],
        env=environment, capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    assert stopped.returncode == 130, stopped.stderr
    assert "--resume goes on from what was saved" in stopped.stderr
    assert [p.name for p in Path("out").iterdir()] == [".x.wav.audiofix-resume"]
    for out, more in (("out", ["--resume"]), ("alone", ["--memory", "4GB"])):
        done = subprocess.run([*command, "-o", out, *more], env=environment, timeout=LIMIT, check=False)
        assert done.returncode == 0
        assert sorted(p.name for p in Path(out).iterdir()) == ["x.report.json", "x.wav"]
    assert Path("out/x.wav").read_bytes() == Path("alone/x.wav").read_bytes()
