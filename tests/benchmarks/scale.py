"""How time falls with processes, and what memory and time a recording takes by its length.

`python -m tests.benchmarks.scale ranks` and `python -m tests.benchmarks.scale memory`: real commands with the
shipped models on noise; results in benchmarks-out/scale-ranks.json and scale-memory.json. Files are compared:
they must be the same. Other commands than `separate`:

    python -m tests.benchmarks.scale memory --command 'denoise --noise-db 0' --memory 2GB --seconds 60 600 3600
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

OUT = Path("benchmarks-out")


def recording(path: Path, seconds: float, rate: int, channels: int) -> Path:
    """Noise in 16 bits, written block by block."""
    generator = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", rate, channels, "PCM_16") as file:
        for _ in range(0, round(seconds), 10):
            length = round(min(10.0, seconds) * rate)
            file.write(0.1 * generator.standard_normal((length, channels)))
    return path


def measured(arguments: list[str], threads: int | None = None) -> dict[str, float]:
    """Seconds by the clock and of the processor, greatest memory (anonymous and libraries, no page cache).

    Processes that the command starts and waits for count for the processor's seconds.
    """
    environment = dict(os.environ) if threads is None else {**os.environ, "OMP_NUM_THREADS": str(threads)}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "audiofix", *arguments], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"audiofix {' '.join(arguments)} failed")
    return {
        "seconds": time.perf_counter() - began,
        "peak_gb": usage.ru_maxrss * 1024 / 1e9,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
    }


def files(folder: Path) -> dict[str, str]:
    """Hashes of the stems."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.rglob("*.wav"))
    }


def at_once(command: list[str], folder: Path) -> float:
    """Seconds of work of the slower of two processes that do the same at once, a core each, nothing shared."""
    cores, running = sorted(os.sched_getaffinity(0))[:2], []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for core in cores:
        line = [sys.executable, "-m", "audiofix", *command, "-o", str(folder / str(core)), "--devices", "cpu"]
        running.append(subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL))
        os.sched_setaffinity(running[-1].pid, {core})
    statuses = [process.wait() for process in running]
    if any(statuses):
        raise SystemExit(f"audiofix {' '.join(command)} failed")
    reports = [json.loads((folder / str(core) / "mix" / "report.json").read_text()) for core in cores]
    return max(float(report["seconds"]) for report in reports)


def compared(length: float, quality: str) -> dict[str, object]:
    """One process on one core, two on two, and two on two that share nothing, in turn: seconds of work."""
    with tempfile.TemporaryDirectory() as folder:
        mix = recording(Path(folder, "mix.wav"), length, 16000, 1)
        line = ["separate", str(mix), "--quality", quality, "--save-every", "1e9"]
        found: dict[int, dict[str, float]] = {}
        for count in (1, 2):
            out = Path(folder, f"out{count}")
            # The cores are the machine's: one is taken off for the single process.
            cores = ["--devices", f"cpu:{count}"] if count > 1 else ["--devices", "cpu"]
            before = os.sched_getaffinity(0)
            os.sched_setaffinity(0, set(sorted(before)[:count]))
            try:
                found[count] = measured([*line, "-o", str(out), *cores], threads=1)
            finally:
                os.sched_setaffinity(0, before)
            report = json.loads((out / "mix" / "report.json").read_text(encoding="utf-8"))
            found[count]["work"] = report["seconds"]
        apart = at_once(line, Path(folder, "apart"))
        return {
            "seconds_1": round(found[1]["work"], 2),
            "seconds_2": round(found[2]["work"], 2),
            "efficiency": round(found[1]["work"] / (2 * found[2]["work"]), 3),
            "machine": round(found[1]["work"] / apart, 3),
            "cpu_seconds_1": round(found[1]["cpu_seconds"], 1),
            "cpu_seconds_2": round(found[2]["cpu_seconds"], 1),
            "with_loading": round(found[1]["seconds"] / (2 * found[2]["seconds"]), 3),
            "same_files": files(Path(folder, "out1")) == files(Path(folder, "out2")),
        }


def ranks(seconds: list[float], quality: str, repeats: int) -> list[dict[str, object]]:
    """For each length the median run by its efficiency, and what every run had.

    `machine`: what the cores leave each other of their speed, which no division of the work can mend.
    """
    rows: list[dict[str, object]] = []
    for length in seconds:
        runs = [compared(length, quality) for _ in range(repeats)]
        middle = sorted(runs, key=lambda run: float(str(run["efficiency"])))[(repeats - 1) // 2]
        every = {name: [run[name] for run in runs] for name in ("efficiency", "machine")}
        rows.append({"audio_seconds": length, **middle, "runs": every})
        print(rows[-1], flush=True)
    return rows


def memory(seconds: list[float], limit: str, options: list[str]) -> list[dict[str, object]]:
    """Stereo at 44.1 kHz by length: in memory where it is short, and from the disk; a command, its options."""
    rows: list[dict[str, object]] = []
    for length in seconds:
        with tempfile.TemporaryDirectory(dir=OUT) as folder:
            mix = recording(Path(folder, "mix.wav"), length, 44100, 2)
            out = Path(folder, "out")
            command = [options[0], str(mix), *options[1:], "-o", str(out)]
            row: dict[str, object] = {"audio_seconds": length}
            if length <= 600:
                row["whole"] = {k: round(v, 2) for k, v in measured(command).items()}
                expected = files(out)
            row["disk"] = {
                k: round(v, 2) for k, v in measured([*command, "--memory", limit, "--overwrite"]).items()
            }
            if length <= 600:
                row["same_files"] = files(out) == expected
        rows.append(row)
        print(row, flush=True)
    return rows


HALO, RATE = 35328, 16000  # samples: of the shipped networks
CALLS = (
    18  # steps of `balanced` with an exchange each: 16 levels, the last denoising, and one for good measure
)


def model(bandwidth: float, latency: float) -> None:
    """Time and efficiency of an hour and of a minute in mono by processes, from what is assumed of them.

    A process works on its share of the file, two halos or more, and anew on the halo of its edges; a step sends
    two edges of two sources, and two flags in log2(N) rounds. `speed`: seconds of audio that a device puts through
    one network in a second, chunks' own halos included; two sources are two networks.
    """
    print(f"{bandwidth / 1e9:g} GB/s, {latency * 1e6:g} us a message (assumed), {CALLS} steps of two sources")
    edge = HALO * 2 * 4
    print(f"bytes of an edge: {edge} a channel, both sides: {2 * edge} a step and process")
    print("audio s   speed   processes   seconds   efficiency")
    for audio in (60.0, 3600.0):
        most = max(1, int(audio * RATE / (2 * HALO)))
        for speed in (20.0, 1000.0, 10000.0):
            alone = CALLS * 2 * audio / speed
            for count in (2, 8, 64):
                busy = min(count, most)
                # Alike in size with the halos, two where processes meet: what is worked out twice at the edges.
                work = 2 * (audio + 2 * (busy - 1) * HALO / RATE) / busy / speed
                talk = 2 * (2 * edge / bandwidth + latency) + 2 * latency * math.ceil(math.log2(busy))
                total = CALLS * (work + talk)
                row = f"{audio:7.0f} {speed:7.0f} {count:11d} {total:9.2f} {alone / (count * total):12.2f}"
                print(row + ("" if busy == count else f"   ({busy} have something to do)"))


def main() -> None:
    """See the top."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["ranks", "memory", "model"])
    parser.add_argument("--seconds", type=float, nargs="+")
    parser.add_argument("--quality", default="balanced")
    parser.add_argument(
        "--repeats", type=int, default=3, help="of `ranks`: the median is kept, all are listed"
    )
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--levels", default="2", help="of the chain whose memory is measured")
    parser.add_argument("--command", help="whose memory is measured, in one word: 'denoise --noise-db -40'")
    parser.add_argument("--name", help="of the file that is written; default: scale-ranks or scale-memory")
    parser.add_argument("--bandwidth", type=float, default=1.25e9, help="bytes/s between processes, assumed")
    parser.add_argument("--latency", type=float, default=1e-4, help="s of a message, assumed")
    options = parser.parse_args()
    if options.what == "model":
        model(options.bandwidth, options.latency)
        return
    OUT.mkdir(exist_ok=True)
    if options.what == "ranks":
        rows = ranks(options.seconds or [15, 30, 60], options.quality, options.repeats)
    else:
        levels = ["--levels", options.levels] if options.quality != "fast" else []
        words = shlex.split(options.command or shlex.join(["separate", *levels]))
        words += ["--quality", options.quality]
        rows = memory(options.seconds or [10, 60, 600, 3600], options.memory, words)
    name = options.name or f"scale-{options.what}"
    (OUT / f"{name}.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
