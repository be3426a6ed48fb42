"""Options of where and in what pieces to compute."""

from __future__ import annotations

from typing import Annotated

import typer

_SCALE = "Scale"

Devices = Annotated[
    str,
    typer.Option(
        "--device",
        "--devices",
        metavar="auto|cpu:4|cuda:0,cuda:1",
        help="Where to compute; several share the file. auto: all GPUs, else the CPU. Under torchrun or srun each "
        "process takes one.",
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
