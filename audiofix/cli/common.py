"""Options that all restoring commands have, written once."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from audiofix.cli import options
from audiofix.cli.many import MANY, Many
from audiofix.cli.repair import Job
from audiofix.faultlist import AUTO, Wanted

# Name: type and default, in the order of the help.
COMMON: Mapping[str, tuple[Any, Any]] = {
    "output": (options.Restored, Path("restored")),
    "quality": (options.Effort, "balanced"),
    "prior": (options.OnePrior, AUTO),
    "draws": (options.RestoringDraws, None),
    "mean": (options.Mean, None),
    "seed": (options.Seed, 0),
    "device": (options.Device, "auto"),
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
    """Give a command whose last parameter is **common all the options of COMMON, for Typer to see."""
    own = inspect.signature(command).parameters.values()
    hints = typing.get_type_hints(command, include_extras=True)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    shown = [p.replace(annotation=hints[p.name]) for p in own if p.kind is kind]
    added = [
        inspect.Parameter(name, kind, default=default, annotation=annotation)
        for name, (annotation, default) in COMMON.items()
    ]

    @functools.wraps(command)
    def wrapper(**given: Any) -> None:
        wish = Many(**{name: given.pop(name) for name in MANY})
        command(**given, wish=wish)

    wrapper.__signature__ = inspect.Signature([*shown, *added])  # type: ignore[attr-defined]
    wrapper.__annotations__ = {p.name: p.annotation for p in (*shown, *added)}
    del wrapper.__wrapped__  # Typer would look through it at the command itself
    return wrapper


def job_of(task: str, wanted: Sequence[Wanted] | None, common: Mapping[str, Any], **more: Any) -> Job:
    """The job that a command's options ask for; `more` are its own."""
    settings = {name: common[name] for name in SAMPLING}
    if "to_rate" in more:
        settings["to_rate"] = more.pop("to_rate")
    rest = {name: value for name, value in common.items() if name not in (*SAMPLING, "output", "debug")}
    return Job(task, wanted, settings, common["output"], **rest, **more)
