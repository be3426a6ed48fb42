"""One file restored by several processes: real commands, and the files of one process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.cli.conftest import files_under
from tests.cli.restoring import sound
from tests.conftest import tiny_card
from tests.hub.tiny import tiny_mixer

COMMAND = [sys.executable, "-m", "audiofix"]
TORCHRUN = [
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc-per-node",
    "2",
    "-m",
    "audiofix",
]
FAST = ["--prior", "tiny-speech", "--quality", "fast"]
LIMIT = 300  # s: far more than any of these take


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from audiofix.hub.registry import export_model

    folder = tmp_path / "models"
    export_model(tiny_mixer(), tiny_card("tiny-speech", "score", "speech"), folder / "tiny-speech")
    monkeypatch.setenv("AUDIOFIX_MODELS", str(folder))


@pytest.fixture
def recording() -> Path:
    """Two units of 49152 samples, two gaps."""
    x = 0.5 * np.tile(sound(16000, 1.0, 2), (8, 1))[:60_000].clip(-0.3, 0.3)
    x[1000:1200] = x[50_000:50_300] = 0.0
    soundfile.write("x.wav", x, 16000, "PCM_24")
    return Path("x.wav")


def run(start: list[str], *more: str, status: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [*start, more[0], "x.wav", *more[1:]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=environment)
    assert done.returncode == status, done.stderr
    return done


def same_files(found: str, expected: str) -> None:
    assert files_under(Path(found)) == files_under(Path(expected))
    for name in files_under(Path(found)):
        if not name.endswith(".json"):
            assert Path(found, name).read_bytes() == Path(expected, name).read_bytes(), name


def test_two_processes_give_the_files_of_one_and_a_lost_one_is_made_up_for(recording, model):
    command = ["restore", "--ops", "clip:0.15 | gap:0.0625-0.075", "--draws", "2", *FAST]
    run(COMMAND, *command, "--memory", "4GB", "-o", "one")
    done = run(COMMAND, *command, "--devices", "cpu:2", "-o", "two")
    same_files("two", "one")
    assert Path("two/x.wav").read_bytes() != recording.read_bytes()
    assert done.stdout.count("models ") == 1
    reports = [json.loads(Path(out, "x.report.json").read_text(encoding="utf-8")) for out in ("one", "two")]
    for key in ("faults", "schedule", "change", "evidence"):
        assert reports[0][key] == reports[1][key]

    saved = Path("lost/.x.wav.audiofix-resume/chain/reached.json")
    running = subprocess.Popen(
        [*COMMAND, "restore", "x.wav", *command[1:], "--devices", "cpu:2", "-o", "lost", "--save-every", "0"],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        began = time.monotonic()
        while not saved.exists():
            assert running.poll() is None, running.communicate()
            assert time.monotonic() - began < LIMIT
            time.sleep(0.002)
        (child,) = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
        os.kill(int(child), signal.SIGKILL)
        _, errors = running.communicate(timeout=LIMIT)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 6
    assert "--resume" in errors
    assert len(errors.splitlines()) == 1
    assert [file.name for file in Path("lost").iterdir()] == [".x.wav.audiofix-resume"]
    run(COMMAND, *command, "--resume", "-o", "lost")
    same_files("lost", "one")


def test_torchruns_processes_share_gaps_and_the_first_alone_speaks(recording, model):
    command = ["inpaint", "--gap", "0.0625+12.5ms", "--gap", "3.125+18.75ms", "--plot", "--compare", *FAST]
    run(COMMAND, *command, "-o", "one", "--memory", "4GB")
    done = run(TORCHRUN, *command, "-o", "two")
    same_files("two", "one")
    assert done.stdout.count("models ") == 1


def test_what_cannot_be_shared_is_refused_before_anything_starts(recording, model, monkeypatch):
    result = run(COMMAND, "declip", "--devices", "cpu:2", "--jobs", "2", status=2)
    assert "--devices cpu:2 share one file and many are given; --jobs N works on N at a time" in result.stderr
    from audiofix.cli.repair import Job
    from audiofix.cli.together import together
    from audiofix.errors import SettingError

    job = Job("restore", None, {"device": "cpu:2"}, Path("out"), confirm=lambda _: True)
    monkeypatch.setattr(subprocess, "Popen", None)
    with pytest.raises(SettingError, match="add --yes"), together(job):
        pass
    with together(Job("restore", None, {"device": "cpu"}, Path("out"))) as alone:
        assert alone.scale.ranks is None
        assert not alone.scale.asked


@pytest.mark.usefixtures("model", "recording")
@pytest.mark.parametrize(
    "command", [("inpaint", "--gap", "0.1-0.2", *FAST), ("separate", "--quality", "fast")], ids=lambda c: c[0]
)
def test_a_dry_run_is_told_by_the_first_process_alone(
    command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, told in (("0", True), ("1", False)):
        monkeypatch.setenv("RANK", rank)
        said = run(COMMAND, *command, "--dry-run").stdout
        assert ("nothing was written" in said) == told
        assert bool(said) == told
