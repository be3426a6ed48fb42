"""What restoring a file would take, before it is started."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from audiofix.damages import Fault, LostSamples
from audiofix.preparing import prepared
from audiofix.repair import CONTEXT_SECONDS
from audiofix.settings import Settings
from audiofix.types import Audio

BYTES_IN_FLIGHT = 3000  # a sample of a chunk in the mixer: measured (tests/benchmarks/memory.py)
BYTES_HELD = 200  # a sample of the file: state, noise, estimates and spectra in double precision


@dataclass(frozen=True)
class Cost:
    """What a run would take, and with what."""

    faults: list[str]
    models: list[str]
    network_calls: int
    seconds: float
    bytes: int


def cost(audio: Audio, faults: Sequence[Fault], settings: Settings) -> Cost:
    """Check everything that `restore` would check; the time is estimated from one short network call."""
    ready = prepared(audio, faults, settings)
    audio, faults, tools, schedule = ready.audio, ready.faults, ready.tools, ready.schedule
    probe = torch.zeros(1, 1, min(tools.sample_rate, 1 + int(audio.seconds * tools.sample_rate)))
    call: Any = tools.score()
    call(probe, 0.1)
    began = time.perf_counter()
    call(probe, 0.1)
    each = (time.perf_counter() - began) / probe.shape[-1] * tools.sample_rate
    worked = audio.seconds
    if all(isinstance(fault, LostSamples) for fault in faults):
        spans = [span for fault in faults if isinstance(fault, LostSamples) for span in fault.spans]
        around = sum((b - a) / audio.sample_rate + 2 * CONTEXT_SECONDS for a, b in spans)
        worked = min(worked, around)
    calls = tools.calls(schedule)
    length = round(worked * tools.sample_rate)
    held = BYTES_HELD * length * audio.channels + 4 * audio.samples.numel() * (3 + tools.draws)
    chunk = min(tools.executor.chunk, getattr(tools.prior, "chunk", tools.executor.chunk))
    flight = getattr(tools.prior, "bytes_in_flight", BYTES_IN_FLIGHT) * audio.channels * min(length, chunk)
    return Cost(
        [fault.describe(audio.sample_rate) for fault in faults],
        [card.name for card in tools.cards],
        calls,
        calls * each * worked * audio.channels,
        held + flight,
    )
