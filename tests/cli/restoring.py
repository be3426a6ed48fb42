"""What the tests of the restoring commands share: a stand-in for the sampling, and sounds with faults."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from audiofix.damages import Cut, Fault, LostSamples
from audiofix.preparing import checked
from audiofix.repair import Repair
from audiofix.settings import Settings
from audiofix.types import Audio

FILL = 0.125  # what the stand-in writes into gaps, on every integer grid
AGAINST_IT = ("--prior", "speech", "--quality", "fast")


def sound(rate: int = 16000, seconds: float = 0.25, channels: int = 1, peak: float = 0.5) -> np.ndarray:
    """(time, channel): a few tones that fade, and a little noise, so that no detector finds a fault."""
    t = np.arange(round(rate * seconds)) / rate
    noise = np.random.default_rng(0).standard_normal((len(t), channels))
    tones = np.stack(
        [
            sum(np.sin(2 * np.pi * f * (1 + 0.1 * c) * t + c) / k for k, f in enumerate((220, 447, 910), 1))
            for c in range(channels)
        ],
        axis=1,
    )
    x = tones * np.exp(-2 * t)[:, None] + 0.02 * noise
    return peak * x / np.abs(x).max()


class Restoring:
    """Stands in for `audiofix.repair.restore`: gaps get FILL, clipped samples go 10 % beyond, all else a factor.

    `calls` are the faults and settings that came, by file in order.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[list[Fault], dict[str, Any]]] = []
        self.gain = 0.5
        self.error: BaseException | None = None

    def restore(self, audio: Audio, faults: list[Fault], **settings: Any) -> Repair:
        self.calls.append((list(faults), settings))
        if self.error is not None:
            raise self.error
        draws = settings["draws"] or 1
        asked = Settings(settings.get("to_rate"), draws=draws, seed=settings["seed"])
        audio, faults = checked(audio, faults, asked)
        x = torch.nan_to_num(audio.samples).clone()
        for fault in faults:
            if isinstance(fault, LostSamples):
                for start, stop in fault.spans:
                    x[:, start:stop] = FILL
            elif isinstance(fault, Cut):
                x = torch.where((x <= fault.low) | (x >= fault.high), 1.1 * x, x)
            else:
                x = self.gain * x
        result = Audio(x, audio.sample_rate, audio.subtype, audio.container, audio.tags)
        report = {
            "faults": [{"kind": f.kind, "found": f.describe(audio.sample_rate)} for f in faults],
            "settings": {"seed": settings["seed"]},
            "models": [{"name": "no-model"}],
            "input": {"seconds": audio.seconds},
            "seconds_per_audio_second": 12.5,
            "change": {"samples": 1, "of": 2, "largest_outside": None, "level_db": 0.0},
            "notes": ["a remark"],
        }
        each = [
            Audio((1 + 2 * k) * x, audio.sample_rate, audio.subtype, audio.container) for k in range(draws)
        ]
        return Repair(result, each if draws > 1 else [], report)
