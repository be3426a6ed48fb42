"""What making an estimate explain a recording costs beside a network call: plain against as it is done.

    OMP_NUM_THREADS=1 python -m tests.benchmarks.bands [SECONDS]

Plain: the faults' operators one after the other at the file's rate, a projection as x + A+(y - A x), and a length
that is only a multiple of what both rates share. Medians of three, alternating, stereo at 44.1 and 48 kHz.
One score of the same sound by the shipped prior is timed as well.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from audiofix.choosing import choose_models
from audiofix.damages import Cut, Fault, LostBand, explained, operator_of
from audiofix.frame import framed
from audiofix.hub.registry import load_prior
from audiofix.operators.band import Band
from audiofix.operators.chain import Added, Chain
from audiofix.runtime.executor import Executor
from audiofix.tools import CHUNK

PRIOR_RATE, LEVEL = 16000, 0.2
CASES: dict[str, list[Fault]] = {
    "low-pass": [LostBand(4000.0)],
    "clip": [Cut(-LEVEL, LEVEL)],
    "low-pass, clip": [LostBand(4000.0), Cut(-LEVEL, LEVEL)],
}


class Plain(Band):
    """The band as its definition says."""

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """Four transforms."""
        return x + self.invert(y - self.forward(x))


def plainly(wave: Tensor, rate: int, faults: Sequence[Fault]) -> Callable[[], Tensor]:
    """Projection of (channel, time), mirrored ends and all, on what explains it."""
    margin, block = rate // 10, Band(rate, PRIOR_RATE).block
    y = pad(wave[:, None], (margin, margin), mode="reflect")
    y = pad(y, (0, -y.shape[-1] % block))
    down, up = Plain(rate, PRIOR_RATE), Plain(PRIOR_RATE, rate)
    x = down.forward(y)
    each = [operator_of(fault, rate, y.shape[-1]) for fault in faults]
    each = [Plain(rate, rate, one.cutoff) if isinstance(one, Band) else one for one in each]
    chain = Chain([up, Added(y - up.forward(x)), *each])
    return lambda: chain.project(x, y)


def as_done(wave: Tensor, rate: int, faults: Sequence[Fault]) -> Callable[[], Tensor]:
    """The same as `audiofix.repair` does it."""
    down, up = Band(rate, PRIOR_RATE), Band(PRIOR_RATE, rate)
    y = framed(wave, wave, rate, down.block).y
    x = down.forward(y)
    found = explained(y, faults, rate, PRIOR_RATE, y - up.forward(x))
    assert found is not None
    operator, wanted = found
    return lambda: operator.project(x, wanted)


def seconds(call: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    length = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    executor = Executor(torch.device("cpu"), CHUNK)
    prior = load_prior(choose_models(["speech"], None)[0][1], executor.device)
    x = 0.1 * torch.randn(2, 1, round(length * PRIOR_RATE), generator=torch.Generator().manual_seed(0))
    call = seconds(lambda: executor.together([prior])(x, 0.1))
    print(f"{length:g} s of stereo, {torch.get_num_threads()} thread(s); one network call takes {call:.2f} s")
    for rate in (44100, 48000):
        wave = 0.1 * torch.randn(2, round(length * rate) + 37, generator=torch.Generator().manual_seed(0))
        wave = wave.clamp(-LEVEL, LEVEL)
        for name, faults in CASES.items():
            before, after = plainly(wave, rate, faults), as_done(wave, rate, faults)
            pairs = [(seconds(before), seconds(after)) for _ in range(3)]
            slow, fast = (statistics.median(times) for times in zip(*pairs, strict=True))
            print(
                f"{rate} Hz, {name}: {slow:.3f} s before, {fast:.3f} s now, {slow / fast:.0f} times as fast"
            )


if __name__ == "__main__":
    main()
