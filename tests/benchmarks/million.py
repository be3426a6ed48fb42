"""What a million files of 30 s on 64 GPUs would take: pieces measured here, multiplied, with what is assumed said.

python -m tests.benchmarks.million [--files 1000000] [--workers 64] [--seconds 30]

Measured on this machine, in seconds of a core: listing, headers, claims, all work on a file but the network, a
line of the manifest, reading a manifest again; and how evenly a million names fall into shards. Assumed: how fast
a GPU separates (several values are shown) and how long a disk takes to confirm a write.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from audiofix import api
from audiofix.audio.resample import band_split, resample
from audiofix.batch import plan
from audiofix.batch.manifest import history, parse
from audiofix.batch.work import Run, Task, Worker, manifest_of
from audiofix.cli.scaling import Scale
from audiofix.cli.separate import Job
from audiofix.cli.works import Separating
from audiofix.types import Audio

RATE, MODELS_RATE = 48000, 16000
SPEEDS = (25, 100, 400, 1600)  # seconds of audio a second, of one worker
OPERATIONS = {
    "open",
    "os.rename",
    "os.mkdir",
    "os.remove",
    "os.rmdir",
    "os.listdir",
    "os.scandir",
    "os.utime",
}
SYNC = 0.005  # s
NAMES, LINES, CLIPS = 20_000, 20_000, 3


def shares(audio: Audio, sources: list[str], **_: Any) -> api.Separation:
    """In place of the network: part of the mixture for each source; what surrounds the network is real."""
    low, _ = band_split(audio, MODELS_RATE)
    stems = {}
    for k, name in enumerate(sources):
        whole = resample((0.3 + 0.4 * k) * low.samples, MODELS_RATE, audio.sample_rate, audio.length)
        stems[name] = Audio(whole, audio.sample_rate)
    report = {
        "settings": {},
        "input": {"seconds": audio.seconds},
        "models": [{"name": f"{'+'.join(sources)}-model", "hash": "0123456789ab"}],
        "schedule": {"sigmas": [0.1 / (k + 1) for k in range(16)]},
        "notes": [],
    }
    rest = audio.samples - sum(stem.samples for stem in stems.values())
    return api.Separation(stems, Audio(rest, audio.sample_rate), [], report)


def timed(call: Callable[[], Any]) -> float:
    """Seconds of a core, which do not depend on what else the machine does."""
    began = time.process_time()
    call()
    return time.process_time() - began


def worker_in(folder: Path) -> Worker:
    """Of a separation whose network costs nothing."""
    settings = dict.fromkeys(("quality", "prior", "levels", "steps", "step_scale", "sampler", "draws"))
    settings |= {"seed": 0, "device": "cpu", "condition": True}
    job = Job(
        ["speech", "piano"],
        settings,
        {},
        folder,
        None,
        False,
        False,
        False,
        False,
        None,
        Scale(False, 30.0, None),
    )
    (folder / ".audiofix").mkdir(parents=True, exist_ok=True)
    return Worker(Run(Separating(job), folder, "manifest.jsonl", {}))


def measure(folder: Path, seconds: float) -> dict[str, float]:
    """Seconds and bytes of each piece."""
    found: dict[str, float] = {}
    for number in range(NAMES):
        path = folder / f"names/{number // 500:03}/{number:06}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def listed() -> list[plan.Item]:
        items = plan.apart(plan.gather([folder / "names"], True, folder / "out"), folder / "out", True)
        return plan.share(items, (1, 64))

    found["list"] = timed(listed) / NAMES
    tracemalloc.start()
    items = plan.gather([folder / "names"], True, folder / "out")
    found["item bytes"] = tracemalloc.get_traced_memory()[0] / len(items)
    tracemalloc.stop()
    generator = np.random.default_rng(0)
    (folder / "clips").mkdir()
    clips = [folder / f"clips/{k}.wav" for k in range(CLIPS + 1)]
    for clip in clips:
        soundfile.write(clip, 0.1 * generator.standard_normal(round(seconds * RATE)), RATE, "PCM_16")
    found["clip bytes"] = clips[0].stat().st_size
    found["header"] = timed(lambda: [soundfile.info(clips[0]) for _ in range(50)]) / 50
    worker = worker_in(folder / "out")
    first, *others = (Task(plan.Item(clip.name, clip, seconds)) for clip in clips)
    worker.do(first)  # loads what is loaded once
    events: Counter[str] = Counter()
    sys.addaudithook(lambda name, _: events.update([name] * (name in OPERATIONS)))
    real = os.fsync
    os.fsync = lambda file: (events.update(["fsync"]), real(file))[1]
    found["file"] = timed(lambda: [worker.do(task) for task in others]) / CLIPS
    found["syncs"] = events.pop("fsync") / CLIPS
    found["operations"] = events.total() / CLIPS
    os.fsync = real
    lines = (folder / "out/manifest.jsonl").read_bytes().splitlines()
    records = [parse(line) for line in lines]
    assert [record.status for record in records if record] == ["done"] * (CLIPS + 1), lines
    found["line bytes"] = len(lines[0]) + 1
    found["result bytes"] = sum(p.stat().st_size for p in (folder / "out").rglob("*.*")) / (CLIPS + 1)
    record = records[1]
    assert record is not None
    found["hash"] = timed(lambda: worker.do(Task(others[0].item, record)))
    manifest = manifest_of(worker.run)
    found["append"] = timed(lambda: [manifest.append(record) for _ in range(200)]) / 200
    again = folder / "again"
    again.mkdir()
    names = [f"{k // 500:04}/{k:07}.wav" for k in range(LINES)]
    written = b"".join(record.line().replace(b'"1.wav"', f'"{name}"'.encode(), 1) for name in names)
    (again / "manifest.jsonl").write_bytes(written)
    found["read"] = timed(lambda: history(again, frozenset(names))) / LINES
    tracemalloc.start()
    kept = history(again, frozenset(names))
    assert len(kept[0]) == LINES
    found["kept bytes"] = tracemalloc.get_traced_memory()[0] / LINES
    tracemalloc.stop()
    return found


def in_words(seconds: float) -> str:
    """Days, hours, minutes or seconds."""
    for unit, length in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.2g} s"


def show(found: dict[str, float], files: int, workers: int, seconds: float) -> None:
    """Everything, times a million."""
    names = (f"{k // 500:04}/{k:07}.wav" for k in range(files))
    most = max(Counter(int(plan.key_of(name)[:15], 16) % workers for name in names).values())
    share, ms = files / workers, 1000.0
    everything = 1e-12 * files
    table(
        f"measured here ({os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}), of a core",
        {
            "list a name, plan and shard it": f"{ms * found['list']:.3f} ms, {found['item bytes']:.0f} bytes",
            "read a header": f"{ms * found['header']:.2f} ms",
            f"a file of {seconds:g} s without the network": f"{ms * found['file']:.0f} ms",
            "  operations on names in it": f"{found['operations']:.0f}",
            "  writes that the disk must confirm": f"{found['syncs']:.0f}",
            "  its line in the manifest": f"{ms * found['append']:.2f} ms, {found['line bytes']:.0f} bytes",
            "skip what is done": f"{ms * found['hash']:.1f} ms",
            "read a line again": f"{ms * found['read']:.3f} ms, {found['kept bytes']:.0f} bytes",
        },
    )
    table(
        f"{files:,} files of {seconds:g} s, mono, {RATE} Hz, 16 bits; {workers} workers, a shard each",
        {
            "recordings": f"{everything * found['clip bytes']:.2f} TB",
            "results": f"{everything * found['result bytes']:.2f} TB",
            "largest shard": f"{most:,}, {100 * (most / share - 1):.1f} % above the mean",
            "each worker lists all names": f"{in_words(files * found['list'])}, "
            f"{1e-9 * files * found['item bytes']:.2f} GB",
            "and reads its headers": in_words(share * found["header"]),
            "manifests": f"{1e-9 * files * found['line bytes']:.2f} GB in {workers} files",
            "to go on, each worker reads them": f"{in_words(files * found['read'])}, "
            f"keeps {1e-6 * share * found['kept bytes']:.0f} MB",
            "or one process for all of them keeps": f"{1e-9 * files * found['kept bytes']:.2f} GB",
            "and each hashes what is done": in_words(share * found["hash"]),
        },
    )
    print(
        f"by the speed of a worker's network (assumed), with {ms * SYNC:.0f} ms for a confirmed write (assumed)"
    )
    print("  s per s   network      rest    in all   files/s   GB/s   names/s   cores busy   network busy")
    for speed in SPEEDS:
        network = most * seconds / speed
        # A worker does one file from end to end: the network waits while the rest is done.
        rest = most * (found["file"] + found["syncs"] * SYNC)
        rate = files / (network + rest)
        moved = (
            2e-9 * rate * (found["clip bytes"] + found["result bytes"])
        )  # read and hashed, written and hashed
        print(
            f"  {speed:7} {in_words(network):>9} {in_words(rest):>9} {in_words(network + rest):>9} {rate:9.0f} "
            f"{moved:6.2f} {rate * found['operations']:9.0f} {rate * found['file']:12.1f} "
            f"{100 * network / (network + rest):12.0f} %"
        )


def table(heading: str, rows: dict[str, str]) -> None:
    """Names and values, one a line."""
    print(heading, *(f"  {name:<38} {value}" for name, value in rows.items()), "", sep="\n")


def main() -> None:
    """Measure, multiply, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    api.separate = shares  # type: ignore[assignment]
    with tempfile.TemporaryDirectory(dir=".") as folder:
        found = measure(Path(folder), given.seconds)
    show(found, given.files, given.workers, given.seconds)


if __name__ == "__main__":
    main()
