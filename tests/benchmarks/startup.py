"""How long `audiofix --help` takes beyond Python's own start, and as a ratio to it. Least of ten, alternating.

python -m tests.benchmarks.startup
"""

from __future__ import annotations

import subprocess
import sys
import time


def seconds(*arguments: str) -> float:
    """Wall-clock seconds of one Python process."""
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    pairs = [(seconds("-c", "pass"), seconds("-m", "audiofix", "--help")) for _ in range(10)]
    empty, with_help = (min(times) for times in zip(*pairs, strict=True))
    print(f"python {empty:.3f} s, audiofix --help {with_help:.3f} s: {with_help - empty:.3f} s more")


if __name__ == "__main__":
    main()
