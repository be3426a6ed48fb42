"""How results look: progress, tables and the final report. Nothing is computed here."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from audiofix.api import Plan, Progress


@contextlib.contextmanager
def progress_bar(track: str) -> Iterator[Callable[[Progress], None] | None]:
    """A bar on stderr with sigma, level, step and time left; None where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich import progress as bars
    from rich.console import Console
    from rich.markup import escape

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.TextColumn("{task.fields[where]}"),
        bars.TimeRemainingColumn(),
    )
    # Steps can take seconds each: the speed is the mean over two minutes, not over rich's half.
    with bars.Progress(
        *columns, console=Console(stderr=True), transient=True, speed_estimate_period=120
    ) as bar:
        task = bar.add_task(escape(track), total=None, where="loading priors")

        def update(now: Progress) -> None:
            draw = f"draw {now.draw}/{now.draws}  " if now.draws > 1 else ""
            where = (
                f"{draw}sigma {now.sigma:.4f}  level {now.level}/{now.levels}  step {now.step}/{now.steps}"
            )
            bar.update(task, total=now.total, completed=now.done, where=where)

        yield update


def warn(message: str) -> None:
    """One line on stderr."""
    typer.echo("audiofix: " + " ".join(message.splitlines()), err=True)


def say(line: str) -> None:
    """One line on stdout."""
    typer.echo(line)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table on stdout, numbers to the right. Cells are text, never markup."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading in columns:
        grid.add_column(heading, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(str(cell), justify="right" if _is_number(cell) else "left") for cell in row))
    _console().print(grid)


def facts(pairs: Mapping[str, object]) -> None:
    """Names and values, one a line; long values are not wrapped, so that they can be copied."""
    width = max(map(len, pairs))
    for name, value in pairs.items():
        say(f"{name:<{width}}  {value}")


def separation(report: Mapping[str, Any]) -> None:
    """The final report of one mixture: stems, SI-SDR where measured, speed, exactness, place."""
    output, scores = report["output"], report.get("si_sdr") or {}
    files = {**output["stems"], **({"residual": output["residual"]} if output["residual"] else {})}
    rows = [[name, *(_figures(scores.get(name)) if scores else ()), file] for name, file in files.items()]
    measured = ("SI-SDR before", "after", "change") if scores else ()
    table(("source", *measured, "file"), rows)
    pairs = {"adds up": _sum(output), "speed": f"{report['seconds_per_audio_second']:.3g} s per audio second"}
    pairs |= {"draws": f"{len(output['draws'])}, in draws/"} if output["draws"] else {}
    models = ", ".join(model["name"] for model in report["models"])
    chosen = " (the best measured)" if report["settings"].get("prior") in (None, "auto") else ""
    facts({**pairs, "models": f"{models}{chosen}", "files": output["folder"]})
    for note in report.get("notes", []):
        say(f"note: {note}")


def _sum(output: Mapping[str, Any]) -> str:
    what = "stems and residual" if output["residual"] else "stems"
    if output["largest_error"] == 0:
        return f"{what} equal the mixture exactly"
    error = f"largest error {output['largest_error']:.2g}"
    return f"{what} equal the mixture to {_decibels(output['error_db'])} dB ({error})"


def plan(planned: Plan, folder: object) -> None:
    """What a separation would cost."""
    facts(
        {
            "audio": f"{planned.seconds:.2f} s",
            "models": ", ".join(f"{model['name']} ({model['source']})" for model in planned.models),
            "schedule": f"{len(planned.schedule.sigmas)} levels of {planned.schedule.steps} steps"
            if planned.schedule
            else "one estimate",
            "network calls": planned.network_calls,
            "time": f"about {duration(planned.estimated_seconds)}",
            "memory": f"about {planned.estimated_bytes / 1e6:.0f} MB",
            "files": f"{folder} (nothing was written)",
        }
    )


def restoration(report: Mapping[str, Any]) -> None:
    """The final report of one restored file: figures where measured, what was changed, place."""
    scores, baseline = report.get("scores"), report.get("baseline") or {}
    if scores:
        other = baseline.get("scores") or {}
        heads = ("figure", "before", "after", *(("classical",) if other else ()))
        rows = [
            [
                name,
                f"{one['before']:.2f}",
                f"{one['after']:.2f}",
                *([f"{other[name]['after']:.2f}"] if other else []),
            ]
            for name, one in scores.items()
        ]
        table(heads, rows)
    pairs = {"faults": "; ".join(fault["found"] for fault in report["faults"])}
    pairs |= {"changed": changed(report["change"])}
    pairs |= {"speed": f"{report['seconds_per_audio_second']:.3g} s per audio second"}
    pairs |= {"models": ", ".join(model["name"] for model in report["models"])}
    pairs |= {"compared": baseline["method"]} if baseline else {}
    facts({**pairs, **report["output"]["files"]})
    for note in report.get("notes", []):
        say(f"note: {note}")


def changed(change: Mapping[str, Any]) -> str:
    """The line that proves what was touched."""
    outside, level = change["largest_outside"], f"level {change['level_db']:+.2f} dB"
    count = f"{change['samples']} of {change['of']} samples"
    if outside is None:
        return f"{count}, {level}"
    return f"{count}, largest change outside the damage {outside:.2g}, {level}"


def duration(seconds: float) -> str:
    """Seconds in the units a person would use."""
    if seconds < 90:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _figures(score: Mapping[str, float] | None) -> tuple[str, ...]:
    if score is None:
        return "", "", ""
    before, after = score["before"], score["after"]
    return f"{before:.2f} dB", f"{after:.2f} dB", f"{after - before:+.2f} dB"


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) or str(cell).endswith(" dB")


def _decibels(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _console() -> Console:
    from rich.console import Console

    # A pipe has no width: wide enough that no line of a table is folded.
    return Console() if sys.stdout.isatty() else Console(width=200)
