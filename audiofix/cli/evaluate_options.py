"""Options that all commands of `audiofix evaluate` have, written once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from audiofix.cli import options
from audiofix.cli.shared import with_options

_WHAT, _OUT = "What is evaluated", "Output"

Place = Annotated[Path, typer.Argument(metavar="PATH", help="Folder of the dataset.", show_default=False)]
Table = Annotated[
    Path,
    typer.Argument(metavar="PATH", help="Folder of TRACK/STEM.wav, or a .csv of files.", show_default=False),
]
Finished = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of an evaluation.")]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="DIR", rich_help_panel=_OUT,
                 help="Gets report.html, results.jsonl, summary.json, table.csv, audio/."),
]  # fmt: skip
Kind = Annotated[
    str,
    typer.Option("--task", metavar="NAME", help="separate, upsample, inpaint, declip, dequantise or denoise.",
                 rich_help_panel=_WHAT),
]  # fmt: skip
Values = Annotated[
    str | None,
    typer.Option("--values", metavar="A,B", show_default=False, rich_help_panel=_WHAT,
                 help="How much is damaged: upsample factors (2,4,8; vctk 4,8,16), inpaint ms (20,50,100), "
                 "declip dB SDR (3,7,15), dequantise bits (4,6,8), denoise dB SNR (5,10,20)."),
]  # fmt: skip
Sources = Annotated[
    str | None,
    typer.Option("--sources", metavar="MAP", show_default=False, rich_help_panel=_WHAT,
                 help="What to find, and by the models of what: SOURCE=STEM+STEM or STEM, with commas between "
                 "them, such as speech=vocals,piano=drums+bass+other."),
]  # fmt: skip
Systems = Annotated[
    list[str] | None,
    typer.Option("--system", metavar="NAME", show_default=False, rich_help_panel=_WHAT,
                 help="audiofix (default), a baseline or a peer, or module:factory of your own. Can be given "
                 "several times; `audiofix evaluate systems` lists them."),
]  # fmt: skip
CommandLine = Annotated[
    list[str] | None,
    typer.Option("--command", metavar="TEMPLATE", show_default=False, rich_help_panel=_WHAT,
                 help='Any program as a system, such as "tool {in} {outdir}"; NAME=TEMPLATE gives it a name. Can '
                 "be given several times."),
]  # fmt: skip
StemNames = Annotated[
    str | None,
    typer.Option("--stem-names", metavar="SOURCE=FILE,...", show_default=False, rich_help_panel=_WHAT,
                 help="What --command calls its files, where they have other names than the sources: "
                 "speech=vocals,piano=drums+bass+other."),
]  # fmt: skip
Timeout = Annotated[
    float | None,
    typer.Option("--timeout", metavar="S", show_default=False, rich_help_panel=_WHAT,
                 help="Seconds that --command may take for one track, 3600 unless given."),
]  # fmt: skip
Qualities = Annotated[
    str | None,
    typer.Option("--quality", metavar="A,B", show_default=False, rich_help_panel=_WHAT,
                 help="Of audiofix: fast, balanced, best; to separate pnf too. Several are several systems."),
]  # fmt: skip
Prior = Annotated[
    str | None,
    typer.Option("--prior", metavar="NAME", help="Of audiofix, as for its commands.", show_default=False,
                 rich_help_panel=_WHAT),
]  # fmt: skip
Draws = Annotated[
    int | None,
    typer.Option("--draws", metavar="K", min=1, help="Of audiofix: posterior draws.", show_default=False,
                 rich_help_panel=_WHAT),
]  # fmt: skip
Seconds = Annotated[
    float | None,
    typer.Option("--seconds", metavar="S", min=0.1, show_default=False, rich_help_panel=_WHAT,
                 help="Cut so much out of each track, from its centre."),
]  # fmt: skip
Rate = Annotated[
    int | None,
    typer.Option("--rate", metavar="HZ", min=1000, help="Resample all to this rate first.", show_default=False,
                 rich_help_panel=_WHAT),
]  # fmt: skip
Mono = Annotated[bool, typer.Option("--mono", help="Average the channels first.", rich_help_panel=_WHAT)]
Limit = Annotated[
    int | None,
    typer.Option("--limit", metavar="N", min=1, help="The first N tracks only.", show_default=False,
                 rich_help_panel=_WHAT),
]  # fmt: skip
Metrics = Annotated[
    str | None,
    typer.Option("--metrics", metavar="A,B", show_default=False, rich_help_panel=_WHAT,
                 help="Of si_sdr, sdr, isr, sir, sar, snr, snr_damaged, psnr, lsd, pesq, stoi. Default: all that "
                 "fit the task and are installed."),
]  # fmt: skip
Jobs = Annotated[int, typer.Option("--jobs", metavar="N", min=1, help="Processes.", rich_help_panel=_WHAT)]
Shard = Annotated[
    str | None,
    typer.Option("--shard", metavar="I/N", show_default=False, rich_help_panel=_WHAT,
                 help="Part I of N of the tracks, for several machines with one output folder."),
]  # fmt: skip
KeepAudio = Annotated[
    bool,
    typer.Option("--keep-audio", help="Keep the audio of all tracks, not of the two best and worst only.",
                 rich_help_panel=_OUT),
]  # fmt: skip
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        rich_help_panel=_OUT,
        help="Throw earlier results in the folder away; with --shard those of its part alone, unless the "
        "others are of other settings.",
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="Print the summary, or what would be run, as one line.", rich_help_panel=_OUT
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be run.", rich_help_panel=_OUT)]

Subset = Annotated[
    str, typer.Option("--subset", metavar="NAME", help="test or train.", rich_help_panel=_WHAT)
]
Piano = Annotated[
    Path | None,
    typer.Option("--piano", metavar="DIR", help="Piano recordings to mix the voices with.", show_default=False,
                 rich_help_panel=_WHAT),
]  # fmt: skip
Clips = Annotated[
    int, typer.Option("--clips", metavar="N", min=1, help="Of each speaker.", rich_help_panel=_WHAT)
]
Microphone = Annotated[
    str, typer.Option("--mic", metavar="NAME", help="mic1 or mic2.", rich_help_panel=_WHAT)
]
LowPass = Annotated[
    bool,
    typer.Option("--low-pass", rich_help_panel=_WHAT,
                 help="To upsample, give what a recorder at the lower rate would have made, not every k-th sample "
                 "as it is."),
]  # fmt: skip

# Name: type and default, in the order of the help.
COMMON: Mapping[str, tuple[Any, Any]] = {
    "output": (Output, Path("evaluation")),
    "kind": (Kind, "separate"),
    "values": (Values, None),
    "sources": (Sources, None),
    "systems": (Systems, None),
    "command": (CommandLine, None),
    "stem_names": (StemNames, None),
    "timeout": (Timeout, None),
    "quality": (Qualities, None),
    "prior": (Prior, None),
    "draws": (Draws, None),
    "seed": (options.Seed, 0),
    "device": (options.Device, "auto"),
    "seconds": (Seconds, None),
    "rate": (Rate, None),
    "mono": (Mono, False),
    "limit": (Limit, None),
    "metrics": (Metrics, None),
    "jobs": (Jobs, 1),
    "shard": (Shard, None),
    "keep_audio": (KeepAudio, False),
    "as_json": (Json, False),
    "dry_run": (DryRun, False),
    "overwrite": (Overwrite, False),
    "debug": (options.Debug, False),
}


def evaluating(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command whose last parameter is **common all the options of COMMON."""
    return with_options(command, COMMON)
