"""How time falls with processes, and what memory and time a recording takes by its length.

`python -m tests.benchmarks.scale ranks` and `python -m tests.benchmarks.scale memory`: real commands with the
shipped models on noise; results in benchmarks-out/scale-ranks.json and scale-memory.json. All files are
compared: they must be the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
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
    """Seconds by the clock and greatest memory (anonymous and shared libraries, no page cache) of a command."""
    environment = dict(os.environ) if threads is None else {**os.environ, "OMP_NUM_THREADS": str(threads)}
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "audiofix", *arguments], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"audiofix {' '.join(arguments)} failed")
    return {"seconds": time.perf_counter() - began, "peak_gb": usage.ru_maxrss * 1024 / 1e9}


def files(folder: Path) -> dict[str, str]:
    """Hashes of the stems."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(folder.rglob("*.wav"))
    }


def ranks(seconds: list[float], quality: str) -> list[dict[str, object]]:
    """One process on one core, and two on two: seconds a step of the chain, and their ratio."""
    rows: list[dict[str, object]] = []
    for length in seconds:
        with tempfile.TemporaryDirectory() as folder:
            mix = recording(Path(folder, "mix.wav"), length, 16000, 1)
            found = {}
            for count in (1, 2):
                out = Path(folder, f"out{count}")
                command = ["separate", str(mix), "-o", str(out), "--quality", quality, "--save-every", "1e9"]
                # The cores are the machine's: one is taken off for the single process.
                cores = ["--devices", f"cpu:{count}"] if count > 1 else ["--devices", "cpu"]
                before = os.sched_getaffinity(0)
                os.sched_setaffinity(0, set(sorted(before)[:count]))
                try:
                    found[count] = measured([*command, *cores], threads=1)["seconds"]
                finally:
                    os.sched_setaffinity(0, before)
                report = json.loads((out / "mix" / "report.json").read_text(encoding="utf-8"))
                found[count, "work"] = report["seconds"]
            same = files(Path(folder, "out1")) == files(Path(folder, "out2"))
        rows.append(
            {
                "audio_seconds": length,
                "seconds_1": round(found[1, "work"], 2),
                "seconds_2": round(found[2, "work"], 2),
                "efficiency": round(found[1, "work"] / (2 * found[2, "work"]), 3),
                "with_loading": round(found[1] / (2 * found[2]), 3),
                "same_files": same,
            }
        )
        print(rows[-1], flush=True)
    return rows


def memory(seconds: list[float], limit: str, options: list[str]) -> list[dict[str, object]]:
    """Stereo at 44.1 kHz by length: in memory where it is short, and from the disk."""
    rows: list[dict[str, object]] = []
    for length in seconds:
        with tempfile.TemporaryDirectory(dir=".") as folder:
            mix = recording(Path(folder, "mix.wav"), length, 44100, 2)
            out = Path(folder, "out")
            command = ["separate", str(mix), *options, "-o", str(out)]
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


def main() -> None:
    """See the top."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["ranks", "memory"])
    parser.add_argument("--seconds", type=float, nargs="+")
    parser.add_argument("--quality", default="balanced")
    parser.add_argument("--memory", default="4GB")
    parser.add_argument("--levels", default="2", help="of the chain whose memory is measured")
    options = parser.parse_args()
    if options.what == "ranks":
        rows = ranks(options.seconds or [15, 30, 60], options.quality)
    else:
        chain = [
            "--quality",
            options.quality,
            *(["--levels", options.levels] if options.quality != "fast" else []),
        ]
        rows = memory(options.seconds or [10, 60, 600, 3600], options.memory, chain)
    OUT.mkdir(exist_ok=True)
    (OUT / f"scale-{options.what}.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
