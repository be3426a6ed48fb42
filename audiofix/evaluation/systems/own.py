"""audiofix itself, as a system to evaluate: the library's two front doors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from torch import Tensor

from audiofix.api import separate
from audiofix.audio.resample import resample
from audiofix.choosing import choose_models, choose_separator
from audiofix.damages import Fault
from audiofix.errors import ModelError, SettingError
from audiofix.evaluation.systems.base import KINDS, RESTORED, Task
from audiofix.faultlist import Wanted
from audiofix.hub.registry import Kept, keeping_models
from audiofix.repair import restore
from audiofix.resolve import resolve
from audiofix.separation import QUALITIES
from audiofix.tools import EFFORTS

# What to look for in a recording whose faults are not known.
MEASURED = {
    "upsample": "lowpass", "inpaint": "gap", "declip": "clip", "dequantise": "quantise", "denoise": "noise",
}  # fmt: skip


class Own:
    """`audiofix.api.separate` and `audiofix.repair.restore`."""

    kinds = frozenset(KINDS)
    oracle = False

    def __init__(
        self,
        quality: str | None,
        prior: str | None,
        draws: int | None,
        device: str,
        sources: Mapping[str, str],
        kept: Kept | None = None,
    ) -> None:
        self.quality, self.prior, self.draws, self.device = quality, prior, draws, device
        self.sources, self.kept = sources, kept or Kept()
        self.name = f"audiofix {quality}" if quality else "audiofix"

    @property
    def loading(self) -> float:
        """Seconds that were spent on reading models so far, each once: no part of the time that a track takes."""
        return self.kept.seconds

    def check(self, kind: str, names: Sequence[str]) -> None:
        """Refuse before any computing what no model is there for, or a quality that there is not."""
        qualities: Mapping[str, object] = QUALITIES if kind == "separate" else EFFORTS
        if self.quality is not None and self.quality not in qualities:
            raise SettingError(
                f"there is no quality {self.quality!r} to {kind}; choose one of {', '.join(qualities)}"
            )
        if kind != "separate":
            return
        wanted = distinct([self.sources.get(name, name) for name in names])
        try:
            if choose_separator(wanted, self.prior) is None:
                choose_models(wanted, self.prior)
        except ModelError as error:
            raise SettingError(
                f"{error}; say which of them to ask for what, such as --sources speech={names[0]}"
            ) from error

    def run(self, task: Task) -> dict[str, Tensor]:
        """As the commands do it, with the task's seed."""
        with keeping_models(self.kept):
            return self._separated(task) if task.kind == "separate" else self._restored(task)

    def _separated(self, task: Task) -> dict[str, Tensor]:
        named = distinct([self.sources.get(name, name) for name in task.clean])
        found = separate(
            task.given, named, quality=self.quality, prior=self.prior, draws=self.draws, seed=task.seed,
            device=self.device,
        ).stems  # fmt: skip
        return {name: found[source].samples for name, source in zip(task.clean, named, strict=True)}

    def _restored(self, task: Task) -> dict[str, Tensor]:
        higher = task.rate if task.rate != task.given.sample_rate else None
        faults: list[Fault] = list(task.faults)
        if not faults and higher is None:
            faults = resolve([Wanted(MEASURED[task.kind])], task.given).faults
        done = restore(
            task.given, faults, to_rate=higher, prior=self.prior, quality=self.quality or "balanced",
            draws=self.draws, seed=task.seed, device=self.device,
        )  # fmt: skip
        (clean,) = task.clean.values()
        return {RESTORED: resample(done.audio.samples, task.rate, task.rate, clean.shape[-1])}


def own(
    quality: str | None = None,
    prior: str | None = None,
    draws: int | None = None,
    device: str = "auto",
    sources: Mapping[str, str] | None = None,
    kept: Kept | None = None,
) -> Own:
    """Used by SYSTEMS. `sources`: the model's source for each name in a task; without it, the name itself."""
    return Own(quality, prior, draws, device, sources or {}, kept)


def distinct(names: list[str]) -> list[str]:
    """speech, speech to speech, speech-2."""
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return found
