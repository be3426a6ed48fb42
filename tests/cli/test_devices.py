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
from pathlib import Path

import numpy as np
import pytest
import soundfile

COMMAND = [sys.executable, "-m", "audiofix"]
QUICK = ["--levels", "3", "--seed", "5"]
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
    run(separate(mixture, "alone", "--device", "cpu"))
    return hashes("alone")


def test_two_processes_and_torchruns_three_give_the_same_files(mixture: Path, alone: dict[str, str]) -> None:
    run(separate(mixture, "two", "--devices", "cpu:2"))
    assert hashes("two") == alone
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "3"]
    run([*torchrun, *separate(mixture, "three")[1:]])
    assert hashes("three") == alone
    # More processes than stretches: one has nothing to do.
    run(separate(mixture, "four", "--devices", "cpu:4"))
    assert hashes("four") == alone
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


LONG = ["--levels", "12", "--save-every", "0"]


def test_a_run_that_is_killed_goes_on_with_another_number_of_processes(
    mixture: Path, started: Callable[[list[str]], subprocess.Popen[str]]
) -> None:
    whole = [*COMMAND, "separate", str(mixture), "--seed", "5", *LONG]
    run([*whole, "-o", "alone"])
    process = started([*whole, "-o", "killed"])
    until(lambda: saved("killed"), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not Path("killed", "mix").exists()
    reached = json.loads(Path("killed", ".mix.audiofix-resume", "reached.json").read_text())
    assert reached["done"] > 0
    run([*whole, "-o", "killed", "--resume", "--devices", "cpu:2"])
    assert hashes("killed") == hashes("alone")
    report = json.loads(Path("killed", "mix", "report.json").read_text())
    assert report["resumed"] == [0, reached["done"]]
    assert not saved("killed")


def test_a_lost_process_ends_the_run_with_a_remedy_that_works(
    mixture: Path, started: Callable[[list[str]], subprocess.Popen[str]]
) -> None:
    whole = [*COMMAND, "separate", str(mixture), "--seed", "5", *LONG]
    process = started([*whole, "-o", "lost", "--devices", "cpu:2"])
    until(lambda: saved("lost"), process)
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    _, errors = process.communicate(timeout=LIMIT)
    assert process.returncode not in (0, None)
    assert "--resume" in errors
    assert len(errors.splitlines()) == 1
    assert not Path("lost", "mix").exists()
    run([*whole, "-o", "lost", "--resume"])
    run([*whole, "-o", "alone"])
    assert hashes("lost") == hashes("alone")


def test_ctrl_c_leaves_what_resume_needs_and_no_processes(
    mixture: Path, started: Callable[[list[str]], subprocess.Popen[str]]
) -> None:
    process = started([*COMMAND, "separate", str(mixture), *LONG, "-o", "stopped", "--devices", "cpu:2"])
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
def test_devices_that_are_not_there(mixture: Path, devices: str) -> None:
    message = run(separate(mixture, "none", "--devices", devices), status=6)
    assert "available" in message
    assert len(message.splitlines()) == 1
