"""Folders of short recordings, and commands as processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

import audiofix

ROOT = Path(audiofix.__file__).parent.parent
RATE = 16000


def recording(path: Path, seed: int, length: int = 960) -> Path:
    """60 ms and a little more of noise, no two of them alike."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = 0.1 * np.random.default_rng(seed).standard_normal(length + 8 * (seed % 80))
    soundfile.write(path, samples, RATE)
    return path


def recordings(folder: Path, names: list[str]) -> Path:
    for seed, name in enumerate(names):
        recording(folder / name, seed)
    return folder


def start(module: str, *arguments: object, **more: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **more.pop("env", {})}
    return subprocess.Popen(
        [sys.executable, "-m", module, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        **more,
    )


def finish(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    try:
        out, err = process.communicate(timeout=300)
    finally:
        process.kill()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def halve(*arguments: object, **more: Any) -> subprocess.CompletedProcess[str]:
    return finish(start("tests.batch.cheap", "halve", *arguments, **more))


def records(out: Path, name: str = "manifest.jsonl") -> list[dict[str, Any]]:
    """Every line of a manifest: each must be whole."""
    return [json.loads(line) for line in (out / name).read_text(encoding="utf-8").splitlines()]


def statuses(out: Path) -> Counter[str]:
    return Counter(record["status"] for record in records(out))


def times_done(out: Path) -> Counter[str]:
    """How often each file was worked on, whatever came of it."""
    log = out.with_name(f"{out.name}.log")
    return Counter(line.rpartition(" ")[0] for line in log.read_text().splitlines())


def until(true: Callable[[], Any], seconds: float = 120) -> Any:
    """Wait for something to be true."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)
    return found


def lines(out: Path, name: str = "manifest.jsonl") -> int:
    path = out / name
    return path.read_bytes().count(b"\n") if path.exists() else 0


def litter(folder: Path) -> list[str]:
    """What is neither a result nor the manifest."""
    return [p.name for p in folder.rglob("*") if p.name.startswith(".")]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
