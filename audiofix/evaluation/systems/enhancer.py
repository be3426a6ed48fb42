"""Networks that enhance speech, as systems: of a mixture with a voice all else is what they took out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from audiofix.evaluation.systems.base import Task
from audiofix.evaluation.systems.installed import install, needed
from audiofix.evaluation.systems.roles import answered, heard, voice_and_rest

RATE = 16000
Enhance = Callable[[Tensor], Tensor]
"""(time,) at 16 kHz to the speech in it, (time,), not late."""


@dataclass(frozen=True)
class Enhancer:
    """Each channel by itself, at 16 kHz: nothing above 8 kHz is speech to it."""

    name: str
    enhance: Enhance
    kinds: frozenset[str] = frozenset({"separate", "denoise"})
    oracle: bool = False

    def check(self, kind: str, names: Sequence[str]) -> None:
        """Raises SettingError for sources that it cannot tell apart."""
        if kind == "separate":
            voice_and_rest(names, self.name)

    def run(self, task: Task) -> dict[str, Tensor]:
        """The speech; of two sources the other is the mixture less the speech. Raises SettingError for others."""
        speech = torch.stack([self.enhance(row) for row in heard(task.given, RATE)])
        if task.kind == "denoise":
            return {name: answered(speech, RATE, truth, task.rate) for name, truth in task.clean.items()}
        voice, rest = voice_and_rest(list(task.clean), self.name)
        like = task.clean[voice]
        found = {voice: answered(speech, RATE, like, task.rate)}
        mixture = answered(task.given.samples, task.given.sample_rate, like, task.rate)
        found[rest] = mixture - found[voice]
        return {name: found[name] for name in task.clean}


def onnx_session(model: bytes, system: str) -> Any:
    """A session on as many threads as torch has. Raises SettingError without onnxruntime."""
    runtime = needed("onnxruntime", system, install("onnxruntime"))
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
