"""`audiofix models import-pnf`: published checkpoints to a model of ours."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from audiofix.cli import options, show
from audiofix.cli.output import dump_json

Checkpoints = Annotated[
    Path,
    typer.Argument(
        metavar="DIR", help="Folder of one prior: a folder such as checkpoints175pt9 a noise level."
    ),
]
Name = Annotated[str, typer.Option("--name", metavar="NAME", help="What the model is to be called.")]
Quantiser = Annotated[
    str,
    typer.Option(
        "--quantiser", metavar="NAME", help="linear or mu-law; auto: as settings or names of folders say."
    ),
]
Source = Annotated[
    str | None,
    typer.Option("--source", metavar="NAME", help="What it is a prior of.", show_default="as names say"),
]
Licence = Annotated[str, typer.Option("--licence", metavar="TEXT", help="The licence of the weights.")]
Cycles = Annotated[
    int | None,
    typer.Option(
        "--cycles", metavar="N", min=1, help="Cycles of dilations.", show_default="as settings say, or 3"
    ),
]
Home = Annotated[
    Path, typer.Option("--output", "-o", metavar="DIR", help="Folder of models that gets the model's folder.")
]


def import_pnf(
    checkpoints: Checkpoints,
    name: Name,
    quantiser: Quantiser = "auto",
    source: Source = None,
    licence: Licence = "not stated",
    cycles: Cycles = None,
    home: Home = Path("models"),
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    _debug: options.Debug = False,
) -> None:
    """Make a model of the checkpoints that the authors of PnF published (github.com/vivjay30/pnf-sampling)."""
    from audiofix.hub.import_pnf import import_pnf as run

    folder = home / name
    with _bar(name) as progress:
        card = run(
            checkpoints,
            name,
            folder,
            quantiser=quantiser,
            source=source,
            licence=licence,
            cycles=cycles,
            overwrite=overwrite,
            progress=progress,
        )
    if as_json:
        show.say(dump_json({"name": card.name, "folder": str(folder), **card.to_dict()}))
        return
    steps = [f"{sigma:g}" for sigma in card.to_dict()["sigmas"]]
    show.facts(
        {
            "model": card.name,
            "folder": f"{folder} (name it: --prior {_named(folder)}; or name {home} in AUDIOFIX_MODELS)",
            "source": card.source,
            "noise levels": f"{len(steps)}, {steps[0]} to {steps[-1]} steps of {card.levels} levels",
            "smoothing axis": card.smoothing_axis,
            "sample rate": f"{card.sample_rate} Hz",
        }
    )
    if card.axis_note:
        show.say(f"note: {card.axis_note}")


def _named(folder: Path) -> str:
    return str(folder) if "/" in str(folder) else f"./{folder}"


@contextlib.contextmanager
def _bar(name: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr with time left; None where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, levels: bar.update(task, completed=done, total=levels)
