"""`audiofix upsample`, `inpaint`, `declip`, `dequantise`, `denoise` and `restore`: one file of faults each."""

from __future__ import annotations

import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from audiofix.cli import options
from audiofix.cli.common import job_of, restoring
from audiofix.cli.repair import run
from audiofix.errors import SettingError
from audiofix.faultlist import AUTO, Wanted, parse_chain

_FAULT = "What is wrong"
_HIGHEST = 768_000  # Hz


@restoring
def upsample(
    files: options.Files,
    to: Annotated[
        int | None,
        typer.Option(
            "--to",
            metavar="HZ",
            help="Rate of the result.",
            show_default=False,
            rich_help_panel=_FAULT,
        ),
    ] = None,
    cutoff: Annotated[
        str | None,
        typer.Option(
            "--cutoff",
            metavar="HZ|auto",
            help="The file has the rate already but nothing above this; auto finds it.",
            show_default=False,
            rich_help_panel=_FAULT,
        ),
    ] = None,
    **common: Any,
) -> None:
    """Fill the missing upper band of a low rate, a telephone, an MP3. The known band comes back unchanged."""
    if (to is None) == (cutoff is None):
        raise SettingError(
            "give either --to HZ, the rate of the result, or --cutoff HZ|auto, above which nothing is left"
        )
    if to is not None and not 1 <= to <= _HIGHEST:
        raise SettingError(f"--to {to} is no sample rate; give 1 to {_HIGHEST} Hz")
    wanted = [] if cutoff is None else [Wanted("lowpass", cutoff, "--cutoff")]
    run(files, job_of("upsample", wanted, common, to_rate=to))


@restoring
def inpaint(
    files: options.Files,
    gap: Annotated[
        list[str] | None,
        typer.Option(
            "--gap",
            metavar="A-B|A+L",
            help="A gap, such as 1.10-1.30 or 4.2s+50ms. Can be given again.",
            show_default=False,
            rich_help_panel=_FAULT,
        ),
    ] = None,
    gaps: Annotated[
        Path | None,
        typer.Option(
            "--gaps",
            metavar="FILE",
            help="Gaps from a CSV (start,end in s) or an Audacity label track.",
            show_default=False,
            rich_help_panel=_FAULT,
        ),
    ] = None,
    auto_gaps: Annotated[
        bool,
        typer.Option(
            "--auto-gaps",
            help="Find drop-outs, clicks and not-a-numbers; they are listed first.",
            rich_help_panel=_FAULT,
        ),
    ] = False,
    **common: Any,
) -> None:
    """Fill gaps and drop-outs. Samples outside them come back bit for bit."""
    wanted = [Wanted("gap", text) for text in gap or []] + ([Wanted("gap")] if auto_gaps else [])
    if not wanted and gaps is None:
        raise SettingError("no gap was named; give --gap 1.10-1.30, --gaps FILE or --auto-gaps")
    run(files, job_of("inpaint", wanted, common, gaps_file=gaps))


@restoring
def declip(
    files: options.Files,
    level: Annotated[
        str,
        typer.Option(
            "--level",
            metavar="X|auto",
            help="Where it was clipped, 0 to 1; auto finds it.",
            rich_help_panel=_FAULT,
        ),
    ] = AUTO,
    **common: Any,
) -> None:
    """Rebuild clipped peaks: the other samples come back bit for bit, clipped ones lie beyond the level."""
    run(files, job_of("declip", [Wanted("clip", level, "--level")], common))


@restoring
def dequantise(
    files: options.Files,
    bits: Annotated[
        str,
        typer.Option(
            "--bits",
            metavar="N|auto",
            help="To how many bits it was rounded; auto finds it.",
            rich_help_panel=_FAULT,
        ),
    ] = AUTO,
    **common: Any,
) -> None:
    """Undo rounding to few bits: every sample stays inside its step. The result has 16 bits at least."""
    run(files, job_of("dequantise", [Wanted("quantise", bits, "--bits")], common))


@restoring
def denoise(
    files: options.Files,
    noise_db: Annotated[
        str,
        typer.Option(
            "--noise-db",
            metavar="DB|auto",
            help="White noise so far below the sound; auto measures it, coloured too.",
            rich_help_panel=_FAULT,
        ),
    ] = AUTO,
    noise_profile: Annotated[
        Path | None,
        typer.Option(
            "--noise-profile",
            metavar="FILE",
            help="A recording of the noise alone.",
            show_default=False,
            rich_help_panel=_FAULT,
        ),
    ] = None,
    **common: Any,
) -> None:
    """Take out stationary noise, white or coloured."""
    if noise_profile is not None and noise_db != AUTO:
        raise SettingError(
            f"--noise-db {noise_db} and --noise-profile {noise_profile} both say what the noise is; give one"
        )
    wanted = [Wanted("noise", noise_db, "--noise-db")]
    run(files, job_of("denoise", wanted, common, noise_profile=noise_profile))


@restoring
def restore(
    files: options.Files,
    ops: Annotated[
        str | None,
        typer.Option(
            "--ops",
            metavar="CHAIN",
            help="What happened, in order: 'lowpass:4000 | clip:auto | gap:1.1-1.3'. Without it "
            "the file is examined and a chain proposed.",
            show_default=False,
            rich_help_panel=_FAULT,
        ),
    ] = None,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Go on with what was found without asking.", rich_help_panel=_FAULT),
    ] = False,
    **common: Any,
) -> None:
    """Undo several faults at once, with one posterior; without --ops the file is examined first."""
    wanted = None if ops is None else parse_chain(ops)
    confirm = None
    if ops is None and not yes and not common["dry_run"]:
        if not sys.stdin.isatty():
            raise SettingError("nobody is there to ask; add --yes to go on with what is found, or give --ops")
        confirm = functools.partial(typer.confirm, err=True)  # stdout is for results
    run(files, job_of("restore", wanted, common, confirm=confirm))


COMMANDS: Sequence[tuple[str, Any]] = (
    ("upsample", upsample),
    ("inpaint", inpaint),
    ("declip", declip),
    ("dequantise", dequantise),
    ("denoise", denoise),
    ("restore", restore),
)
