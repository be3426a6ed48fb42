"""Faults with real processes: nothing lost, nothing done twice, nothing half-written. The work is of tiny cost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import soundfile

from tests.batch.conftest import (
    ROOT,
    finish,
    halve,
    lines,
    litter,
    recording,
    recordings,
    records,
    start,
    statuses,
    times_done,
    until,
)

IN, OUT = Path("in"), Path("out")
posix = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")


def whole(out: Path, names: list[str]) -> None:
    """Every result is there once, complete, and nothing else."""
    made = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    wanted = {n for name in names for n in (name, name.replace(".wav", ".json"))}
    assert made == wanted | {"manifest.jsonl"}
    assert all(soundfile.info(out / name).frames == soundfile.info(IN / name).frames for name in names)
    assert litter(out) == []


@posix
def test_a_worker_that_dies_takes_only_its_own_file_along():
    good = [f"{i}.wav" for i in range(20)]
    recordings(IN, [*good, "killer.wav", "half written.wav", "fault.wav"])
    (IN / "corrupt.wav").write_bytes(b"RIFF no sound")
    result = halve(IN, "-o", OUT, "--jobs", 2)
    assert result.returncode == 3 or result.returncode == 1
    whole(OUT, good)
    assert statuses(OUT) == {"done": 20, "failed": 4}
    failed = {r["name"]: r["error"] for r in records(OUT) if r["status"] == "failed"}
    assert "3 worker processes died" in failed["killer.wav"]
    assert "status -9" in failed["half written.wav"]
    assert "unexpected ValueError: oh" in failed["fault.wav"]
    assert "cannot be read as audio" in failed["corrupt.wav"]
    tried = times_done(OUT)
    assert tried == Counter({**dict.fromkeys(good, 1), "corrupt.wav": 1, "fault.wav": 1}) + Counter(
        {"killer.wav": 3, "half written.wav": 3}
    )
    assert len(result.stderr.splitlines()) == 5
    assert "4 of 24 files failed" in result.stderr
    # What failed stays so until it is asked for, or until the file is another.
    again = halve(IN, "-o", OUT, "--jobs", 2)
    assert (again.returncode, times_done(OUT)) == (result.returncode, tried)
    recording(IN / "corrupt.wav", 99)
    assert halve(IN, "-o", OUT).returncode == 1
    assert times_done(OUT) - tried == Counter({"corrupt.wav": 1})
    assert halve(IN, "-o", OUT, "--retry-failed", "--jobs", 1).returncode == 1
    assert (times_done(OUT) - tried)["killer.wav"] == 3


@posix
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("jobs", [[], ["--jobs", 2]], ids=["here", "workers"])
def test_stopped_and_gone_on_with(stop, jobs):
    names = [f"{i}.wav" for i in range(12)]
    recordings(IN, names)
    slow = start("tests.batch.cheap", "halve", IN, "-o", OUT, *jobs, "--seconds", 0.2, start_new_session=True)
    until(lambda: lines(OUT) >= 3)
    os.killpg(slow.pid, stop)  # as a terminal or a cluster does: to all processes
    result = finish(slow)
    assert result.returncode == 130
    assert result.stderr.startswith("audiofix: stopped; ")
    assert len(result.stderr.splitlines()) == 1
    finished = [record["name"] for record in records(OUT)]
    assert 3 <= len(finished) < 12
    whole(OUT, finished)
    assert halve(IN, "-o", OUT, *jobs).returncode == 0
    whole(OUT, names)
    assert sorted(record["name"] for record in records(OUT)) == sorted(names)
    done = times_done(OUT)
    assert all(done[name] == 1 for name in finished)
    assert max(done.values()) <= 2


@posix
def test_workers_do_not_hear_an_interrupt_themselves():
    names = [f"{i}.wav" for i in range(12)]
    recordings(IN, names)
    slow = start(
        "tests.batch.cheap", "halve", IN, "-o", OUT, "--jobs", 2, "--seconds", 0.3, start_new_session=True
    )
    until(lambda: lines(OUT) >= 2 and len({record["worker"] for record in records(OUT)}) == 2)
    for worker in {int(record["worker"].rpartition(":")[2]) for record in records(OUT)}:
        os.kill(worker, signal.SIGINT)
    result = finish(slow)
    assert (result.returncode, result.stderr) == (0, "")
    whole(OUT, names)


@posix
def test_the_whole_run_is_killed_and_the_next_goes_on():
    names = [f"{i}.wav" for i in range(12)]
    recordings(IN, names)
    slow = start(
        "tests.batch.cheap", "halve", IN, "-o", OUT, "--jobs", 2, "--seconds", 0.3, start_new_session=True
    )
    until(lambda: lines(OUT) >= 3)
    os.killpg(slow.pid, signal.SIGKILL)
    finish(slow)
    assert litter(OUT)  # claims, and perhaps files half written under hidden names
    finished = {record["name"] for record in records(OUT)}
    assert halve(IN, "-o", OUT).returncode == 0
    whole(OUT, names)
    assert sorted(record["name"] for record in records(OUT)) == sorted(names)
    assert all(times_done(OUT)[name] == 1 for name in finished)


@posix
def test_workers_end_when_whoever_started_them_is_killed():
    recordings(IN, [f"{i}.wav" for i in range(8)])
    slow = start("tests.batch.cheap", "halve", IN, "-o", OUT, "--jobs", 2, "--seconds", 0.3)
    until(lambda: lines(OUT) >= 1)
    workers = {int(record["worker"].rpartition(":")[2]) for record in records(OUT)}
    slow.kill()
    finish(slow)
    until(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() and alive(pid) for pid in workers), 30)
    assert all(record["status"] == "done" for record in records(OUT))
    assert len(records(OUT)) < 8


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_two_runs_on_one_folder_share_the_files():
    names = [f"{i}.wav" for i in range(30)]
    recordings(IN, names)
    runs = [
        start("tests.batch.cheap", "halve", IN, "-o", OUT, *jobs, "--seconds", 0.05, "--json")
        for jobs in ([], ["--jobs", 2])
    ]
    results = [finish(run) for run in runs]
    assert [result.returncode for result in results] == [0, 0], [result.stderr for result in results]
    whole(OUT, names)
    assert times_done(OUT) == Counter(names)
    assert sorted(record["name"] for record in records(OUT)) == sorted(names)
    told = [Counter(json.loads(line)["status"] for line in result.stdout.splitlines()) for result in results]
    assert all(one.total() == 30 for one in told)
    assert sum(one["done"] for one in told) == 30
    assert all(one["done"] > 0 for one in told)


def test_two_runs_that_both_replace():
    names = [f"{i}.wav" for i in range(10)]
    recordings(IN, names)
    assert halve(IN, "-o", OUT).returncode == 0
    runs = [
        start(
            "tests.batch.cheap", "halve", IN, "-o", OUT, "--overwrite", "--seconds", 0.1, "--settings", "anew"
        )
        for _ in range(2)
    ]
    assert [finish(run).returncode for run in runs] == [0, 0]
    assert max(times_done(OUT).values()) <= 3
    whole(OUT, names)


def test_a_manifest_cut_in_half():
    names = [f"{i}.wav" for i in range(40)]
    recordings(IN, names)
    assert halve(IN, "-o", OUT).returncode == 0
    manifest = OUT / "manifest.jsonl"
    data = manifest.read_bytes()
    manifest.write_bytes(data[: len(data) // 2])
    left = data[: len(data) // 2].count(b"\n")
    before = {p.name: p.stat().st_mtime_ns for p in OUT.glob("*.wav")}
    assert halve(IN, "-o", OUT, "--jobs", 2).returncode == 0
    assert times_done(OUT) == Counter(names)  # found where they lie, by content and settings
    assert before == {p.name: p.stat().st_mtime_ns for p in OUT.glob("*.wav")}
    every = manifest.read_bytes().splitlines()
    assert len(every) == 40 + 1  # the line that was cut stays as it is
    known = [json.loads(line)["name"] for k, line in enumerate(every) if k != left]
    assert sorted(known) == sorted(names)


FULL = """
set -e
mount -t tmpfs -o size=64k none out
exec "$@"
"""


def limited(*arguments: object, tmpfs: bool) -> subprocess.CompletedProcess[str]:
    """The command where only so much can be written: on a small disk of its own."""
    own = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", FULL, "sh"]
    words = [
        *(own if tmpfs else []),
        sys.executable,
        "-m",
        "tests.batch.cheap",
        "halve",
        *map(str, arguments),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    keep = ["sh", "-c", '"$0" "$@"; code=$?; cp -a out kept; exit $code']
    words = [*words[:8], *keep, *words[8:]] if tmpfs else words
    return subprocess.run(words, capture_output=True, text=True, env=environment, timeout=300, check=False)


def test_a_full_disk():
    names = [f"{i}.wav" for i in range(60)]
    recordings(IN, names)
    OUT.mkdir()
    result = limited(IN, "-o", OUT, "--jobs", 2, tmpfs=True)
    if "unshare" in result.stderr or "mount:" in result.stderr:
        pytest.skip(f"no disk of our own here: {result.stderr.strip()}")
    assert result.returncode == 7, result.stderr
    OUT.rmdir()
    Path("kept").rename(OUT)
    kept = records(OUT)
    done = [record["name"] for record in kept if record["status"] == "done"]
    assert 0 < len(done) < 60
    whole_results = {p.name for p in OUT.glob("*.wav")}
    assert set(done) <= whole_results
    assert all(
        soundfile.info(OUT / name).frames == soundfile.info(IN / name).frames for name in whole_results
    )
    assert "no space left to write" in result.stderr
    # Room is made: the rest is done, and what is there is not done again.
    before = times_done(OUT)
    assert halve(IN, "-o", OUT, "--retry-failed").returncode == 0
    whole(OUT, names)
    assert (times_done(OUT) - before).keys().isdisjoint(whole_results)
    assert {r["name"] for r in records(OUT) if r["status"] == "done"} == set(names)
