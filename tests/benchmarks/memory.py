"""Peak memory of one Langevin step of two priors on a mixture of 10 s, and of 100 s.

    python -m tests.benchmarks.memory

Each length runs in a process of its own. Printed is its peak resident set, and that of loading the priors alone.
"""

from __future__ import annotations

import resource
import subprocess
import sys

LENGTHS = (0, 10, 100)


def peak_mb(seconds: int) -> float:
    """Peak resident megabytes of a process that does one step on so many seconds; 0: only loads."""
    line = f"from tests.benchmarks.memory import step; step({seconds})"
    result = subprocess.run([sys.executable, "-c", line], check=True, capture_output=True, text=True)
    return float(result.stdout)


def step(seconds: int) -> None:
    """Do it and print this process's peak."""
    import torch

    from audiofix.loading import prepare
    from audiofix.numerics.schedule import Schedule
    from audiofix.separation import draw_sources

    setup = prepare(("speech", "piano"), "wavenet", None, None, None, "cpu", "consistent")
    if seconds:
        mixture = 0.1 * torch.randn(
            1, seconds * setup.sample_rate, generator=torch.Generator().manual_seed(0)
        )
        draw_sources(mixture, setup.score(mixture), 2, Schedule((0.1,), 1, 1.0), seed=0)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Measure and print."""
    for seconds in LENGTHS:
        what = f"one step of {seconds} s" if seconds else "loading alone"
        print(f"{what}: peak {peak_mb(seconds):.0f} MB", flush=True)


if __name__ == "__main__":
    main()
