"""Is a thread for each source faster than torch's own threads? Ratio of two ways in one run.

    python -m tests.benchmarks.threads

Prints the seconds of one score of two sources over 4 s: one source after the other on all torch threads, and both
at once on half of them each. Medians of five, alternating.
"""

from __future__ import annotations

import os
import statistics
import time

import torch

from audiofix.loading import prepare


def seconds(call: object) -> float:
    """Wall-clock seconds of one call."""
    began = time.perf_counter()
    call()  # type: ignore[operator]
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    setup = prepare(("speech", "piano"), None, None, None, None, "cpu", "consistent")
    x = 0.1 * torch.randn(1, 2, 4 * setup.sample_rate, generator=torch.Generator().manual_seed(0))
    cores = os.cpu_count() or 1

    def in_turn() -> None:
        torch.set_num_threads(cores)
        for index, prior in enumerate(setup.priors):
            setup.executor.spread(prior)(x[:, index], 0.1)

    def at_once() -> None:
        torch.set_num_threads(max(1, cores // 2))
        setup.score(x, 0.1)

    in_turn(), at_once()
    pairs = [(seconds(in_turn), seconds(at_once)) for _ in range(5)]
    first, second = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(f"{cores} cores: in turn {first:.2f} s, at once {second:.2f} s, ratio {first / second:.2f}")


if __name__ == "__main__":
    main()
