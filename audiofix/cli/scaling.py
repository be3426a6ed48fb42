"""Options of where and in what pieces to compute."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from audiofix.runtime.ranks import Ranks

_SCALE = "Scale"

Devices = Annotated[
    str,
    typer.Option(
        "--device",
        "--devices",
        metavar="auto|cpu:4|cuda:0,cuda:1",
        help="Where to compute; several share the file. auto: the GPUs, else the CPU. Under torchrun or srun each "
        "process takes one.",
        rich_help_panel=_SCALE,
    ),
]
RestoringDevices = Annotated[
    str,
    typer.Option(
        "--device",
        "--devices",
        metavar="auto|cpu:4|cuda:0,cuda:1",
        help="Where to compute; several share the file, by way of the disk. auto: a GPU, else the CPU. Under "
        "torchrun or srun each process takes one.",
        rich_help_panel=_SCALE,
    ),
]
GoOn = Annotated[
    bool,
    typer.Option(
        "--resume", help="Go on where a run that was stopped had saved itself.", rich_help_panel=_SCALE
    ),
]
SaveEvery = Annotated[
    float,
    typer.Option(
        "--save-every", metavar="SECONDS", min=0, help="How often a run saves itself.", rich_help_panel=_SCALE
    ),
]
Memory = Annotated[
    str | None,
    typer.Option(
        "--memory",
        metavar="4GB",
        help="Work in sections, on disk, so that memory suffices for any length. Default: when it would not.",
        show_default=False,
        rich_help_panel=_SCALE,
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="auto|fp32|bf16",
        help="Of the networks. auto: bf16 where the hardware has it.",
        rich_help_panel=_SCALE,
    ),
]


SaveSometimes = Annotated[
    float | None,
    typer.Option(
        "--save-every",
        metavar="SECONDS",
        min=0,
        help="How often a run that works from the disk saves itself; 30 by default. Given: works from the disk.",
        show_default=False,
        rich_help_panel=_SCALE,
    ),
]
# Name: type and default, of the restoring commands.
FROM_DISK: Mapping[str, tuple[Any, Any]] = {
    "memory": (Memory, None),
    "resume": (GoOn, False),
    "save_every": (SaveSometimes, None),
}


@dataclass(frozen=True)
class Scale:
    """What was asked for with these options."""

    resume: bool = False
    save_every: float = 30.0  # s
    memory: float | None = None  # bytes
    ranks: Ranks | None = None  # the processes that share each file; None: this one
    asked: bool = False  # whether any of this was asked for
