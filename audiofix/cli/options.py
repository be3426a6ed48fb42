"""Every option of the command line, once: its names, its help and its type."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEBUG = "audiofix.debug"
_SAMPLING, _OUTPUT = "Sampling", "Output"


def _remember_debug(context: typer.Context, value: bool) -> bool:
    # The context's meta is shared with the root command, which turns errors into exit statuses.
    context.meta[DEBUG] = value
    return value


Mixtures = Annotated[list[Path], typer.Argument(metavar="MIX", help="Mixtures, folders, quoted globs.")]
Bench = Annotated[bool, typer.Option("--bench", help="Measure the devices, and tell what to expect.")]
ModelName = Annotated[str, typer.Argument(metavar="NAME", help="As `audiofix models list` has it.")]
SomeModel = Annotated[
    str | None, typer.Argument(metavar="NAME", help="One model; without it, all.", show_default=False)
]
ConfigFile = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="Training settings in TOML.", show_default=False)
]

OutputFolder = Annotated[
    Path,
    typer.Option(
        "--output", "-o", metavar="DIR", help="Gets a folder for each mixture.", rich_help_panel=_OUTPUT
    ),
]
Residual = Annotated[
    bool | None,
    typer.Option(
        "--residual/--no-residual",
        help="Write what no stem holds. Default: when there is such content, such as above the priors' band.",
        show_default=False,
        rich_help_panel=_OUTPUT,
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite", help="Replace earlier results once the new are complete.", rich_help_panel=_OUTPUT
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one line of JSON for each file.", rich_help_panel=_OUTPUT)
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Check all, tell the cost, write nothing.", rich_help_panel=_OUTPUT),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug", callback=_remember_debug, help="Show an error's stack trace.", rich_help_panel=_OUTPUT
    ),
]

SourceNames = Annotated[
    str,
    typer.Option(
        "--sources",
        metavar="A,B",
        help="What the mixture is made of. Two speakers: speech,speech.",
        rich_help_panel=_SAMPLING,
    ),
]
Prior = Annotated[
    str | None,
    typer.Option(
        "--prior",
        metavar="NAME[,NAME]",
        help="Models, by name or folder, one for each source; or a family; or auto, the default: what the quality "
        "wants.",
        show_default=False,
        rich_help_panel=_SAMPLING,
    ),
]
Quality = Annotated[
    str | None,
    typer.Option(
        "--quality",
        metavar="NAME",
        help="fast: one call of a separator. balanced (default): a short chain from there. best: the priors' "
        "chain from there, mean of draws. pnf: Langevin dynamics on the priors alone, as published.",
        show_default=False,
        rich_help_panel=_SAMPLING,
    ),
]
Levels = Annotated[
    int | None,
    typer.Option(
        "--levels",
        metavar="N",
        min=1,
        help="Noise levels of the ladder.",
        show_default=False,
        rich_help_panel=_SAMPLING,
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(
        "--steps",
        metavar="N",
        min=1,
        help="Langevin steps at each level.",
        show_default=False,
        rich_help_panel=_SAMPLING,
    ),
]
StepScale = Annotated[
    float | None,
    typer.Option(
        "--step-scale",
        metavar="X",
        help="Step size relative to sigma squared, above 0 and below 2.",
        show_default=False,
        rich_help_panel=_SAMPLING,
    ),
]
Sampler = Annotated[
    str | None,
    typer.Option(
        "--sampler",
        metavar="NAME",
        help="consistent, langevin (24 levels of 256 steps), ncsn (10 of 100), heun or predictor-corrector. "
        "Default: the quality's; langevin where --steps is above 1.",
        show_default=False,
        rich_help_panel=_SAMPLING,
    ),
]
Draws = Annotated[
    int | None,
    typer.Option(
        "--draws",
        metavar="K",
        min=1,
        help="Posterior draws; the stem is their mean, blended with the estimate they began at. Default: the "
        "quality's.",
        show_default=False,
        rich_help_panel=_SAMPLING,
    ),
]
Spread = Annotated[
    bool,
    typer.Option(
        "--spread",
        help="Write how far the draws lie apart: a file of their standard deviation and a picture for each stem. "
        "Makes four draws unless --draws says how many.",
        rich_help_panel=_OUTPUT,
    ),
]
Init = Annotated[
    Path | None,
    typer.Option(
        "--init",
        metavar="DIR",
        help="Begin with stems that something else made, SOURCE.wav in DIR or in DIR/MIX. Default quality then: "
        "best.",
        show_default=False,
        rich_help_panel=_SAMPLING,
    ),
]
Condition = Annotated[
    bool,
    typer.Option(
        "--condition/--no-condition",
        help="Let priors see the mixture where they can.",
        rich_help_panel=_SAMPLING,
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", metavar="S", min=0, help="Same seed, same result.", rich_help_panel=_SAMPLING)
]
Device = Annotated[
    str,
    typer.Option(
        "--device", metavar="auto|cpu|cuda|cuda:1|mps", help="Where to compute.", rich_help_panel=_SAMPLING
    ),
]
References = Annotated[
    list[str] | None,
    typer.Option(
        "--reference",
        metavar="SOURCE=FILE",
        help="A clean source, to measure the SI-SDR of its stem. Can be given for each source.",
        show_default=False,
        rich_help_panel=_SAMPLING,
    ),
]

Files = Annotated[
    list[Path], typer.Argument(metavar="FILE", help="Recordings, folders, quoted globs.", show_default=False)
]
Restored = Annotated[
    Path,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR|FILE",
        help="Folder for the results, which keep their names; or a file, for one.",
        rich_help_panel=_OUTPUT,
    ),
]
OnePrior = Annotated[
    str,
    typer.Option(
        "--prior",
        metavar="NAME",
        help="A source (speech, piano), a model by name or folder, or auto: what the sound is like.",
        rich_help_panel=_SAMPLING,
    ),
]
Effort = Annotated[
    str,
    typer.Option(
        "--quality", metavar="NAME", help="fast, balanced or best: ever more network calls.",
        rich_help_panel=_SAMPLING,
    ),
]  # fmt: skip
RestoringDraws = Annotated[
    int | None,
    typer.Option(
        "--draws", metavar="K", min=1, help="Posterior draws; above 1 each is written too.", show_default=False,
        rich_help_panel=_SAMPLING,
    ),
]  # fmt: skip
Mean = Annotated[
    bool | None,
    typer.Option(
        "--mean/--one",
        help="Give the mean of the draws (least error, but dull where much is guessed), or one of them (full of "
        "life, with more error). Default: the mean, but one where a band is missing.",
        show_default=False,
        rich_help_panel=_SAMPLING,
    ),
]
Plot = Annotated[
    bool,
    typer.Option("--plot", help="Write a picture: before, after, what was changed.", rich_help_panel=_OUTPUT),
]
Compare = Annotated[
    bool,
    typer.Option(
        "--compare", help="Restore by the classical method too, beside the result.", rich_help_panel=_OUTPUT
    ),
]
Reference = Annotated[
    Path | None,
    typer.Option(
        "--reference", metavar="FILE", help="The clean recording, to measure by.", show_default=False,
        rich_help_panel=_OUTPUT,
    ),
]  # fmt: skip

RunFolder = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="DIR", help="Checkpoint and log. Default: runs/NAME.", show_default=False
    ),
]
Hours = Annotated[
    float | None,
    typer.Option(
        "--hours",
        metavar="H",
        min=0.0,
        help="Train so long in all, in processor hours; default: the config's.",
        show_default=False,
    ),
]
Resume = Annotated[bool, typer.Option("--resume/--fresh", help="Go on from the checkpoint, or set it aside.")]
Threads = Annotated[int, typer.Option("--threads", metavar="N", min=1, help="Processor threads.")]
StartFrom = Annotated[
    str | None,
    typer.Option(
        "--start-from",
        metavar="MODEL",
        help="Without a checkpoint, begin with this model's weights and hours.",
        show_default=False,
    ),
]
Export = Annotated[
    Path | None,
    typer.Option(
        "--export",
        metavar="DIR",
        help="Do not train: write the checkpoint's averaged weights as a model, such as models/NAME.",
        show_default=False,
    ),
]
