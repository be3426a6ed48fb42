"""One file by several processes, killed and resumed: real commands, and the same samples in the end."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from audiofix.errors import DeviceError
from audiofix.hub.registry import export_model
from audiofix.runtime.launch import devices_of
from tests.conftest import tiny_card
from tests.hub.tiny import TINY_MIXER, drawn_mixer

COMMAND = [sys.executable, "-m", "audiofix"]
QUICK = ["--levels", "12", "--seed", "5", "--prior", "tiny-speech,tiny-piano"]
LIMIT = 120  # s: far more than any of these take


@pytest.fixture
def mixture(tmp_path: Path, tiny_separator: Path) -> Path:
    """Three stretches, the last one short."""
    sound = 0.1 * np.random.default_rng(1).standard_normal((110_000, 1))
    soundfile.write(tmp_path / "mix.wav", sound, 16000, "PCM_24")
    return tmp_path / "mix.wav"


def separate(mixture: Path, out: str, *more: str) -> list[str]:
    return [*COMMAND, "separate", str(mixture), "-o", out, *QUICK, *more]


def run(command: list[str], status: int = 0) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, env=environment)
    assert done.returncode == status, done.stderr
    return done.stderr


def hashes(out: str) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in Path(out, "mix").glob("*.wav")
    }


@pytest.fixture
def alone(mixture: Path) -> dict[str, str]:
    """What one process makes of it."""
    run(separate(mixture, "alone"))
    return hashes("alone")


@pytest.fixture
def free_separator(tiny_separator: Path) -> str:
    """The name of a separator whose bits do not depend on chunks, so that it is cut anywhere on its grid."""
    sizes = replace(TINY_MIXER, features=32, hidden=32, band_features=16, band_hidden=32)
    card = tiny_card("free-separator", "separator", "speech,piano")
    net = drawn_mixer(replace(sizes, inputs=3, outputs=2, recorded=1))
    export_model(net, card, tiny_separator / card.name)
    return card.name


@pytest.mark.parametrize("anywhere", [False, True], ids=["units", "anywhere"])
def test_torchruns_processes_give_the_same_files(mixture: Path, free_separator: str, anywhere: bool) -> None:
    """Four processes: one has nothing to do where there are three units, all have a part on the grid."""
    follow = ("--prior", free_separator if anywhere else "tiny-separator")
    run(separate(mixture, "alone", *follow))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "4"]
    run([*torchrun, *separate(mixture, "four", *follow)[1:]])
    assert hashes("four") == hashes("alone")
    assert not list(Path().glob("*/.mix*"))


def until(condition: Callable[[], bool], running: subprocess.Popen[str]) -> None:
    began = time.monotonic()
    while not condition():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() - began < LIMIT
        time.sleep(0.002)


def saved(out: str) -> bool:
    return Path(out, ".mix.audiofix-resume", "reached.json").exists()


@pytest.fixture
def started() -> Iterator[Callable[[list[str]], subprocess.Popen[str]]]:
    processes: list[subprocess.Popen[str]] = []

    def start(command: list[str]) -> subprocess.Popen[str]:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        processes.append(
            subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
                start_new_session=True,
            )
        )  # fmt: skip
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_a_run_that_is_killed_goes_on_with_another_number_of_processes(
    mixture: Path, alone: dict[str, str], started: Callable[[list[str]], subprocess.Popen[str]]
) -> None:
    process = started(separate(mixture, "killed", "--save-every", "0"))
    until(lambda: saved("killed"), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not Path("killed", "mix").exists()
    reached = json.loads(Path("killed", ".mix.audiofix-resume", "reached.json").read_text())
    assert reached["done"] > 0
    run(separate(mixture, "killed", "--resume", "--devices", "cpu:2"))
    assert hashes("killed") == alone
    unbroken = json.loads(Path("alone", "mix", "report.json").read_text())
    report = json.loads(Path("killed", "mix", "report.json").read_text())
    assert report["resumed"] == [0, reached["done"]]
    assert report["likeness"] == unbroken["likeness"]
    assert not saved("killed")


def test_a_lost_process_ends_the_run_with_a_remedy_that_works(
    mixture: Path, alone: dict[str, str], started: Callable[[list[str]], subprocess.Popen[str]]
) -> None:
    process = started(separate(mixture, "lost", "--save-every", "0", "--devices", "cpu:2"))
    until(lambda: saved("lost"), process)
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode not in (0, None)
    assert "--resume" in errors
    assert len(errors.splitlines()) == 1
    assert not Path("lost", "mix").exists()
    run(separate(mixture, "lost", "--resume"))
    assert hashes("lost") == alone


def test_ctrl_c_leaves_what_resume_needs_and_no_processes(
    mixture: Path, started: Callable[[list[str]], subprocess.Popen[str]]
) -> None:
    process = started(separate(mixture, "stopped", "--save-every", "0", "--devices", "cpu:2"))
    until(lambda: saved("stopped"), process)
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode == 130
    assert "nothing was written" in errors
    assert "--resume" in errors
    assert not Path("stopped", "mix").exists()
    assert not Path(f"/proc/{child}").exists()


@pytest.mark.parametrize("devices", ["cuda:99", "cpu:0", "gpu", "cpu,,cpu"])
def test_devices_that_are_not_there(devices: str) -> None:
    with pytest.raises(DeviceError, match="available"):
        devices_of(devices)


def test_names_of_devices() -> None:
    assert devices_of("cpu") == ["cpu"]
    assert devices_of("cpu:3") == ["cpu"] * 3
    assert devices_of("cpu,cpu:2") == ["cpu"] * 3
