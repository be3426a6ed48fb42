"""What a restoration says about itself: enough to repeat it, and to trust it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

from audiofix.damages import Fault, LostBand, LostSamples
from audiofix.numerics.schedule import Schedule
from audiofix.settings import Settings
from audiofix.tools import Tools
from audiofix.types import Audio


class Work(Protocol):
    """How it was done: what a report tells of `repair.Work`."""

    @property
    def tools(self) -> Tools:
        """Models and effort."""

    @property
    def schedule(self) -> Schedule | None:
        """Of the chain; None where there was none."""

    @property
    def gain(self) -> float:
        """From the recording's level to the working level."""

    @property
    def settings(self) -> Settings:
        """As asked for."""


def report_of(
    audio: Audio, faults: Sequence[Fault], work: Work, change: dict[str, Any], judged: list[str],
    seconds: float,
) -> dict[str, Any]:  # fmt: skip
    """What a run says about itself; `audio` at the result's rate."""
    tools, schedule, settings = work.tools, work.schedule, work.settings
    return {
        "task": "restore",
        "faults": [{"kind": f.kind, "found": f.describe(audio.sample_rate)} for f in faults],
        "settings": {
            "source": tools.source, "quality": settings.quality, "draws": tools.draws,
            "mean": tools.mean, "typical": tools.typical, "seed": settings.seed,
            "device": settings.device, "prior": settings.prior,
        },
        "schedule": {
            "sigmas": list(schedule.sigmas) if schedule else [], "sampler": tools.sampler,
            "network_calls": tools.calls(schedule),
        },
        "models": tools.described(),
        "device": str(tools.executor.device),
        "input": {"seconds": audio.seconds, "sample_rate": audio.sample_rate, "channels": audio.channels},
        "working_gain_db": 20 * math.log10(work.gain),
        "seconds": seconds,
        "seconds_per_audio_second": seconds / audio.seconds,
        "change": change,
        "notes": [*tools.notes, *_notes(audio, faults, tools), *judged],
    }  # fmt: skip


def _notes(audio: Audio, faults: Sequence[Fault], tools: Tools) -> list[str]:
    notes = []
    limit = tools.sample_rate // 2
    if audio.sample_rate > tools.sample_rate:
        gaps = any(isinstance(f, LostSamples) for f in faults)
        above = "filled by autoregression" if gaps else "passed through"
        missing = any(isinstance(f, LostBand) for f in faults)
        what = "stays empty" if missing else f"was {above}"
        notes.append(f"the prior knows sound up to {limit} Hz: what lies above {what}")
    return notes
