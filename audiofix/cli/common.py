"""Options that all restoring commands have, written once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from audiofix.cli import options
from audiofix.cli.longfile import bytes_of
from audiofix.cli.many import MANY, Many
from audiofix.cli.repair import Job
from audiofix.cli.scaling import FROM_DISK, RestoringDevices, Scale
from audiofix.cli.shared import with_options
from audiofix.faultlist import AUTO, Wanted

# Name: type and default, in the order of the help.
COMMON: Mapping[str, tuple[Any, Any]] = {
    "output": (options.Restored, Path("restored")),
    "quality": (options.Effort, "balanced"),
    "prior": (options.OnePrior, AUTO),
    "draws": (options.RestoringDraws, None),
    "mean": (options.Mean, None),
    "seed": (options.Seed, 0),
    "device": (RestoringDevices, "auto"),
    **FROM_DISK,
    "reference": (options.Reference, None),
    "plot": (options.Plot, False),
    "compare": (options.Compare, False),
    "as_json": (options.Json, False),
    "dry_run": (options.DryRun, False),
    "overwrite": (options.Overwrite, False),
    "debug": (options.Debug, False),
    **MANY,
}
SAMPLING = ("quality", "prior", "draws", "mean", "seed", "device")


def restoring(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command whose last parameter is **common all the options of COMMON; those of MANY as one `wish`."""

    def call(**given: Any) -> None:
        wish = Many(**{name: given.pop(name) for name in MANY})
        command(**given, wish=wish)

    return with_options(command, COMMON, call)


def job_of(task: str, wanted: Sequence[Wanted] | None, common: Mapping[str, Any], **more: Any) -> Job:
    """The job that a command's options ask for; `more` are its own."""
    settings = {name: common[name] for name in SAMPLING}
    if "to_rate" in more:
        settings["to_rate"] = more.pop("to_rate")
    used = {*SAMPLING, *FROM_DISK, "output", "debug"}
    rest = {name: value for name, value in common.items() if name not in used}
    return Job(task, wanted, settings, common["output"], scale=scale_of(common), **rest, **more)


def scale_of(common: Mapping[str, Any]) -> Scale:
    """What was asked for with FROM_DISK. Raises SettingError."""
    memory, every = common["memory"], common["save_every"]
    asked = memory is not None or common["resume"] or every is not None
    bytes_ = None if memory is None else bytes_of(memory)
    return Scale(common["resume"], 30.0 if every is None else every, bytes_, asked=asked)
