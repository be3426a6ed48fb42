"""Demucs (Défossez 2021; Rouard, Massa & Défossez 2023): drums, bass, other and vocals of songs, MIT.

The package fetches its weights itself, from the internet, when a model is first used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from audiofix.errors import ModelError
from audiofix.evaluation.systems.base import Task
from audiofix.evaluation.systems.installed import install, needed
from audiofix.evaluation.systems.roles import answered, heard, stems_of

MODEL = "htdemucs"
TINY = 1e-8


@dataclass(frozen=True)
class Demucs:
    """Its stems by name; a voice gets the vocals, one source of another name what no other source has."""

    separate: Callable[[Tensor], dict[str, Tensor]]  # (channel, time) to stems of that shape
    stems: tuple[str, ...]
    rate: int
    channels: int
    name: str = "demucs"
    kinds: frozenset[str] = frozenset({"separate"})
    oracle: bool = False

    def check(self, _kind: str, names: Sequence[str]) -> None:
        """Raises SettingError for sources that are not told by their names."""
        stems_of(self.stems, names, self.name)

    def run(self, task: Task) -> dict[str, Tensor]:
        """Every source of the task. Raises SettingError where the names do not tell which stem is which."""
        chosen = stems_of(self.stems, list(task.clean), self.name)
        stems = self.separate(heard(task.given, self.rate, self.channels))
        found = {
            name: torch.stack([stems[stem] for stem in some]).sum(dim=0) for name, some in chosen.items()
        }
        return {
            name: answered(found[name], self.rate, truth, task.rate) for name, truth in task.clean.items()
        }


def demucs(model: str = MODEL, device: str = "cpu") -> Demucs:
    """The system, without random shifts, so that it gives the same each time.

    `device`: as torch names it, or auto. Raises SettingError where the package is missing, ModelError where its
    weights cannot be had.
    """
    from audiofix.runtime.devices import pick_device

    pretrained = needed("demucs.pretrained", "demucs", install("demucs"))
    apply = needed("demucs.apply", "demucs", install("demucs"))
    place = pick_device(device)
    try:  # whatever a download can raise, and SystemExit for an unknown name
        net = pretrained.get_model(model)
    except (Exception, SystemExit) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"demucs could not load its model {model} ({reason}); it fetches its weights from the internet: run "
            "demucs once by itself where there is a connection"
        ) from error

    @torch.inference_mode()
    def separate(mixture: Tensor) -> dict[str, Tensor]:
        # As its own command does: at zero mean and unit deviation.
        mono = mixture.mean(dim=0)
        mean, deviation = mono.mean(), mono.std() + TINY
        stems = apply.apply_model(net, ((mixture - mean) / deviation)[None], shifts=0, device=place)[0]
        return dict(zip(net.sources, (stems.cpu() * deviation + mean).clone(), strict=True))

    return Demucs(separate, tuple(net.sources), int(net.samplerate), int(net.audio_channels))
