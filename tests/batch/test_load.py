"""500 short files through the real command, its workers and a tiny separator. What is counted is printed (-s)."""

from __future__ import annotations

import hashlib
import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from audiofix.cli.app import app
from audiofix.hub.registry import export_model
from tests.batch.conftest import finish, lines, litter, recording, records, start, statuses, until
from tests.conftest import tiny_card
from tests.hub.tiny import tiny_mixer

FILES = 500
SEPARATE = ("separate", "--quality", "fast", "--prior", "tiny-separator")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    card = tiny_card("tiny-separator", "separator", "speech,piano")
    export_model(tiny_mixer(2), card, folder / card.name)
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory, models):
    """(inputs, results, exit status): separated by two workers, one of which was killed on the way."""
    home = tmp_path_factory.mktemp("many")
    for number in range(FILES):
        recording(home / f"in/{number % 10}/{number}.wav", number)
    (home / "in/3/corrupt.wav").write_bytes((home / "in/3/3.wav").read_bytes()[:20])
    run = start(
        "audiofix",
        *SEPARATE,
        "in",
        "-o",
        "out",
        "-r",
        "-j",
        2,
        cwd=home,
        env={"AUDIOFIX_MODELS": str(models)},
    )
    out = home / "out"
    until(lambda: lines(out) >= FILES // 5)
    os.kill(int(records(out)[-1]["worker"].rpartition(":")[2]), signal.SIGKILL)
    return home / "in", out, finish(run)


def hashes(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*.wav")
    }


def test_each_is_done_once_though_a_worker_is_killed(many):
    inputs, out, result = many
    assert result.returncode == 3, result.stderr
    every = records(out)
    assert statuses(out) == {"done": FILES, "failed": 1}
    assert Counter(record["name"] for record in every).most_common(1)[0][1] == 1
    assert {record["name"] for record in every} == {
        p.relative_to(inputs).as_posix() for p in inputs.rglob("*.wav")
    }
    assert len({record["worker"] for record in every}) == 3  # two, and who came for the one that was killed
    whole = hashes(out)
    assert len(whole) == 2 * FILES
    for record in every:
        for output in record["outputs"]:
            assert (out / output["path"]).stat().st_size == output["bytes"]
            assert whole.get(output["path"], output["hash"])[:16] == output["hash"]
    assert litter(out) == []
    assert "1 of 501 files failed" in result.stderr
    length = (out / "manifest.jsonl").stat().st_size / len(every)
    print(f"\n{dict(statuses(out))}, {length:.0f} bytes a line; {result.stdout}")


def test_after_half_of_the_manifest_was_lost_nothing_is_done_again(many, models):
    inputs, out, _ = many
    manifest = out / "manifest.jsonl"
    data = manifest.read_bytes()
    manifest.write_bytes(data[: len(data) // 2])
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.wav")}
    again = finish(
        start(
            "audiofix",
            *SEPARATE,
            "in",
            "-o",
            "out",
            "-r",
            cwd=inputs.parent,
            env={"AUDIOFIX_MODELS": str(models)},
        )
    )
    assert again.returncode == 3
    assert "before, 1 failed" in again.stdout
    assert before == {p: p.stat().st_mtime_ns for p in out.rglob("*.wav")}
    manifest.write_bytes(
        manifest.read_bytes().replace(data[: len(data) // 2].rpartition(b"\n")[2] + b"\n", b"")
    )
    assert statuses(out) == {"done": FILES, "failed": 1}


def test_the_same_files_whatever_the_workers(many, models, tmp_path, monkeypatch):
    """One process with all threads, and one file by itself: bit for bit what two processes made."""
    inputs, out, _ = many
    environment = {"AUDIOFIX_MODELS": str(models)}
    one = finish(start("audiofix", *SEPARATE, inputs / "7", "-o", tmp_path / "one", "-j", 1, env=environment))
    assert one.returncode == 0, one.stderr
    expected = {name.removeprefix("7/"): text for name, text in hashes(out).items() if name.startswith("7/")}
    assert hashes(tmp_path / "one") == expected
    assert len(expected) == 2 * FILES // 10
    monkeypatch.setenv("AUDIOFIX_MODELS", str(models))
    alone = CliRunner().invoke(app, [*SEPARATE, str(inputs / "7/77.wav"), "-o", str(tmp_path / "alone")])
    assert alone.exit_code == 0, alone.stderr
    assert hashes(tmp_path / "alone") == {n: text for n, text in expected.items() if n.startswith("77/")}


def test_ray_makes_the_same(many, models, tmp_path):
    """An actor is killed on the way."""
    pytest.importorskip("ray")
    inputs, out, _ = many
    ray = tmp_path / "ray"
    environment = {"AUDIOFIX_MODELS": str(models), "RAY_USAGE_STATS_ENABLED": "0"}
    run = start("audiofix", *SEPARATE, inputs / "3", "-o", ray, "-j", 2, "--engine", "ray", env=environment)
    until(lambda: lines(ray) >= 5 or run.poll() is not None)
    victim = records(ray)[-1]["worker"]
    os.kill(int(victim.rpartition(":")[2]), signal.SIGKILL)
    result = finish(run)
    assert result.returncode == 3, result.stderr
    assert statuses(ray) == {"done": FILES // 10, "failed": 1}
    assert hashes(ray) == {
        n.removeprefix("3/"): text for n, text in hashes(out).items() if n.startswith("3/")
    }
    assert litter(ray) == []
    assert len({record["worker"] for record in records(ray)} - {victim}) == 2

    def told(record):
        return {
            key: record[key]
            for key in ("status", "sha256", "settings", "models", "exit_status", "audio_seconds")
        }

    local = {record["name"].removeprefix("3/"): told(record) for record in records(out)}
    assert all(told(record) == local[record["name"]] for record in records(ray))
