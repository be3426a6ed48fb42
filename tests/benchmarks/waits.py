"""Where two processes that share a file lose time: how long each step takes in each, and who waits for whom.

    python -m tests.benchmarks.waits                        30 s, `balanced`, two processes of one thread each
    python -m tests.benchmarks.waits --seconds 60 --runs 3

Each process meets its neighbour after every step. A step then takes as long as that of the slower one, so what
the machine does beside costs twice: that share is `uneven`, the sum over steps of the longer time over the mean of
both. `alone`: the same steps by one process on one core, over twice the mean of both: what each process is slower
by when the other works too. The product of both is the efficiency but for what lies outside of the steps. Writes
benchmarks-out/NAME.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.scale import recording

STEPS = "AUDIOFIX_STEPS"  # the folder that times of steps go to


def child(arguments: list[str]) -> None:
    """`audiofix` with these arguments; when each step began and ended is written at the end."""
    from audiofix.cli.app import main as app
    from audiofix.runtime.ranks import Ranks

    edges, agree = Ranks.edges, Ranks.agree
    times: list[float] = []
    began: float | None = None

    def met(ranks: Ranks, *inputs: Any) -> Any:
        nonlocal began
        found = edges(ranks, *inputs)
        began = time.perf_counter() if began is None else began  # a step may look at its edges twice
        return found

    def agreed(ranks: Ranks, *flags: bool) -> tuple[bool, ...]:
        nonlocal began
        if began is not None:
            times.append(time.perf_counter() - began)
        began = None
        return agree(ranks, *flags)

    Ranks.edges, Ranks.agree = met, agreed  # type: ignore[method-assign]
    sys.argv = ["audiofix", *arguments]
    try:
        app()
    finally:
        rank = os.environ.get("RANK", "0")
        Path(os.environ[STEPS], f"{rank}.json").write_text(json.dumps(times))


def run(mix: Path, quality: str, count: int, folder: Path) -> dict[str, Any]:
    """Seconds of work, and of the steps in each process."""
    out = folder / f"out{count}"
    steps = folder / f"steps{count}"
    steps.mkdir()
    line = [
        "separate",
        str(mix),
        "--quality",
        quality,
        "--save-every",
        "1e9",
        "-o",
        str(out),
        "--device",
        "cpu",
    ]
    start = [sys.executable, "-m"]
    if count > 1:
        start += ["torch.distributed.run", f"--nproc-per-node={count}", "--standalone", "-m"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", STEPS: str(steps)}
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(sorted(before)[:count]))
    try:
        subprocess.run([*start, "tests.benchmarks.waits", "--child", *line], env=environment, check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
    finally:
        os.sched_setaffinity(0, before)
    report = json.loads((out / "mix" / "report.json").read_text())
    worked = [json.loads(path.read_text()) for path in sorted(steps.glob("*.json"))]
    return {"seconds": report["seconds"], "steps": worked}


def summary(one: dict[str, Any], two: dict[str, Any]) -> dict[str, float]:
    """What the two runs say."""
    alone = one["steps"][0]
    # What comes after the chain, the last denoising and the collecting, is no step: nobody waits for it.
    first, second = (steps[: len(alone)] for steps in two["steps"])
    longer = sum(max(pair) for pair in zip(first, second, strict=True))
    mean = (sum(first) + sum(second)) / 2
    return {
        "seconds_1": round(one["seconds"], 2),
        "seconds_2": round(two["seconds"], 2),
        "efficiency": round(one["seconds"] / (2 * two["seconds"]), 3),
        "in_steps_1": round(sum(alone), 2),
        "in_steps_2": round(longer, 2),
        "outside_1": round(one["seconds"] - sum(alone), 2),
        "outside_2": round(two["seconds"] - longer, 2),
        "uneven": round(mean / longer, 3),
        "alone": round(sum(alone) / (2 * mean), 3),
    }


def main() -> None:
    """Run, print and write; or be one of the processes."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--quality", default="balanced")
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks-out"))
    parser.add_argument("--name", default="waits")
    options = parser.parse_args()
    rows = []
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            mix = recording(folder / "mix.wav", options.seconds, 16000, 1)
            one, two = (run(mix, options.quality, count, folder) for count in (1, 2))
        rows.append({"audio_seconds": options.seconds, **summary(one, two), "runs": [one, two]})
        print({key: value for key, value in rows[-1].items() if key != "runs"}, flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / f"{options.name}.json").write_text(json.dumps(rows) + "\n")


if __name__ == "__main__":
    main()
