"""The root command: quick help, versions, and how errors come out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import audiofix
from audiofix.errors import DivergenceError

ROOT = Path(audiofix.__file__).parent.parent


def command(*arguments: object, code: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""
    start = ["-c", code] if code else ["-m", "audiofix"]
    return subprocess.run(
        [sys.executable, *start, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


HELP = """
import atexit, sys
heavy = {"torch", "torchaudio", "librosa", "museval", "scipy", "numpy", "soundfile"}
atexit.register(lambda: print("loaded:", sorted(heavy & set(sys.modules))))
from audiofix.cli.app import main
main()
"""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["separate", "--help"], ["train", "--help"], ["models", "--help"]]
)
def test_help_loads_nothing_heavy(arguments):
    result = command(*arguments, code=HELP)
    assert result.returncode == 0, result.stderr
    assert "Usage: audiofix" in result.stdout
    assert result.stdout.splitlines()[-1] == "loaded: []"


def test_version(run):
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout == f"audiofix {audiofix.__version__}\n"


def test_every_command_has_help(run):
    for words in (
        ["separate"],
        ["train"],
        ["doctor"],
        ["models"],
        *(["models", w] for w in ("list", "show", "verify")),
    ):
        result = run(*words, "-h")
        assert result.exit_code == 0
        assert "Usage: audiofix " + " ".join(words) in result.stdout


def test_doctor(run, tiny_models):
    weights = tiny_models / "tiny-piano" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    result = run("doctor")
    assert result.exit_code == 0, result.stderr
    facts = dict(line.split("  ", 1) for line in result.stdout.splitlines())
    assert facts["audiofix"].strip() == audiofix.__version__
    assert "libsndfile" in facts["soundfile"]
    assert "cores" in facts["threads"]
    assert "bf16" in facts["device cpu"]
    assert facts["model tiny-speech"].strip() == "whole, prior of speech"
    assert facts["model tiny-piano"].strip().startswith("not usable: ")


def test_errors_show_no_stack_unless_asked(run, write, sampling):
    sampling.error = DivergenceError("diverged at level 2\nof 24")
    mix = write()
    plain = run("separate", mix)
    assert plain.exit_code == 5
    assert plain.stderr == "audiofix: diverged at level 2 of 24\n"
    traced = run("separate", mix, "--debug")
    assert traced.exit_code == 5
    assert "Traceback" in traced.stderr
    assert traced.stderr.endswith(plain.stderr)


def test_faults_of_our_own_say_so(run, write, sampling):
    sampling.error = ValueError("oh")
    result = run("separate", write())
    assert result.exit_code == 1
    assert (
        result.stderr
        == "audiofix: unexpected ValueError: oh; a fault of audiofix, add --debug to see where\n"
    )


def test_as_a_process(tmp_path):
    missing = command("separate", tmp_path / "none.wav")
    assert (missing.returncode, missing.stdout) == (3, "")
    assert missing.stderr.startswith("audiofix: ")
    assert len(missing.stderr.splitlines()) == 1
    assert command("separate").returncode == 2


CTRL_C = """
import os, signal, sys
from audiofix import api
def stopped(*_args, **_named):
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
api.separate = stopped
from audiofix.cli.app import main
main()
"""


@pytest.mark.skipif(not hasattr(signal, "pause"), reason="needs POSIX signals")
def test_a_real_ctrl_c(write, tmp_path):
    mix = write()
    result = command("separate", mix, "-o", tmp_path / "out", code=CTRL_C)
    assert (result.returncode, result.stdout) == (130, "")
    assert result.stderr == "audiofix: stopped; nothing was written\n"
    assert [p.name for p in tmp_path.iterdir()] == ["mix.wav"]
