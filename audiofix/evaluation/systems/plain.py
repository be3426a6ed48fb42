"""What takes no effort: the mixture as each source, the recording as it came, its samples between samples."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from audiofix.audio.resample import resample
from audiofix.evaluation.systems.base import RESTORED, Task
from audiofix.evaluation.systems.roles import answered


@dataclass(frozen=True)
class Mixture:
    """The mixture for every source: where separation begins."""

    name: str = "mixture"
    kinds: frozenset[str] = frozenset({"separate"})
    oracle: bool = False

    def run(self, task: Task) -> dict[str, Tensor]:
        """The same for each source; its scale does not matter to SI-SDR."""
        given = task.given
        return {
            name: answered(given.samples, given.sample_rate, truth, task.rate)
            for name, truth in task.clean.items()
        }


@dataclass(frozen=True)
class Unchanged:
    """The damaged recording at the rate of the result, lost samples silent: where restoration begins.

    To a higher rate that is band-limited ("sinc") interpolation, which adds nothing above the recording's band.
    """

    name: str
    kinds: frozenset[str]
    oracle: bool = False

    def run(self, task: Task) -> dict[str, Tensor]:
        """Resampled where the rates differ."""
        truth = task.clean[RESTORED]
        samples = torch.where(task.given.samples.isfinite(), task.given.samples, 0.0)
        found = resample(samples, task.given.sample_rate, task.rate, truth.shape[1])
        return {RESTORED: found.float()}


def unchanged() -> Unchanged:
    """Of a recording whose rate stays."""
    return Unchanged("unchanged", frozenset({"inpaint", "declip", "dequantise", "denoise"}))


def sinc() -> Unchanged:
    """Of a recording that is upsampled."""
    return Unchanged("sinc", frozenset({"upsample"}))


def mixture() -> Mixture:
    """The mixture for every source."""
    return Mixture()
