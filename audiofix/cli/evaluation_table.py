"""How an evaluation looks: its progress, its table, its remarks. Nothing is computed here."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiofix.cli import show

if TYPE_CHECKING:
    from audiofix.evaluation.harness import Plan
    from audiofix.evaluation.runs import Progress

ERRORS_SHOWN = 5
FEW = 5  # tracks; an interval by bootstrap over fewer means next to nothing


@contextlib.contextmanager
def progress_bar() -> Iterator[Callable[[Progress], None] | None]:
    """A bar on stderr with the track and the time left; None where nobody watches."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich import progress as bars
    from rich.console import Console
    from rich.markup import escape

    columns = (
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.description}"),
    )
    # A track can take minutes: the speed is the mean over an hour, not over rich's half minute.
    with bars.Progress(
        *columns, console=Console(stderr=True), transient=True, speed_estimate_period=3600
    ) as bar:
        task = bar.add_task("reading the dataset", total=None)

        def update(now: Progress) -> None:
            bar.update(task, total=now.total, completed=now.done, description=escape(now.track))

        yield update


def report(found: Mapping[str, Any], folder: Path) -> None:
    """The table of an evaluation, and what to know about it."""
    metrics = found["metrics"]
    for setting in dict.fromkeys(entry["setting"] for entry in found["groups"]):
        entries = [entry for entry in found["groups"] if entry["setting"] == setting]
        names = [name for name in metrics if _measured(name, entries)]
        heads = [_heading(metrics[name]) for name in names]
        if setting:
            show.say(f"{found['task']} {setting}")
        rows = []
        for source in dict.fromkeys(entry["source"] for entry in entries):
            mine = [entry for entry in entries if entry["source"] == source]
            rows.append(
                [source, "untouched", mine[0]["tracks"], *_cells(mine[0]["before"], names, metrics), ""]
            )
            rows += [
                [source, _name(entry), entry["tracks"], *_cells(entry["scores"], names, metrics),
                 _speed(entry["seconds_per_audio_second"])]
                for entry in mine
            ]  # fmt: skip
        show.table(("source", "system", "tracks", *heads, "s per s"), rows)
    for line in _remarks(found):
        show.say(line)
    shards = sorted(path.name for path in folder.glob("results.*-of-*.jsonl"))
    names = ["report.html", "summary.json", "table.csv", "results.jsonl"]
    there = [name for name in names if (folder / name).exists()]
    show.say(f"files: {folder}/{', '.join(there if 'results.jsonl' in there else [*there, *shards])}")
    if shards:
        show.say(
            f"once all shards are done: audiofix evaluate summary {folder}, audiofix evaluate report {folder}"
        )


def planned(plan: Plan, tracks: int, notes: Sequence[str]) -> dict[str, Any]:
    """What an evaluation would do."""
    return {
        "task": plan.kind,
        "tracks": len({item.track.name for item in plan.items}),
        "of_tracks": tracks,
        "items": len(plan.items),
        "sources": [group.name for group in plan.groups],
        "systems": [spec.label for spec in plan.specs],
        "metrics": list(plan.metrics),
        "folder": str(plan.folder),
        "notes": list(notes),
    }


def plan(found: Mapping[str, Any]) -> None:
    """The same in words."""
    lists = {name: ", ".join(found[name]) for name in ("sources", "systems", "metrics")}
    counts = {"tracks": f"{found['tracks']} of {found['of_tracks']}", "items": found["items"]}
    show.facts(
        {"task": found["task"], **counts, **lists, "files": f"{found['folder']} (nothing was written)"}
    )
    for note in found["notes"]:
        show.say(f"note: {note}")


def _remarks(found: Mapping[str, Any]) -> Iterator[str]:
    entries, errors = found["groups"], found["errors"]
    if not entries and not errors:
        yield "no results yet"
    if entries:
        yield "means over tracks, ± half a 95 % interval by bootstrap over tracks; table.csv has both ends"
        fewest = min(entry["tracks"] for entry in entries)
        if fewest < FEW:
            yield (
                f"{fewest} tracks only: the ± is much too narrow to say how sure a figure is"
                if fewest > 1
                else "1 track only: nothing says how sure a figure is"
            )
    medians = [m["label"] for name, m in found["metrics"].items() if m["median"] and _measured(name, entries)]
    if medians:
        yield f"{', '.join(medians)}: medians over tracks of medians over frames (BSS Eval v4)"
    if any(entry["oracle"] for entry in entries):
        yield "(oracle): saw the answer"
    for note in found["notes"]:
        yield f"note: {note}"
    for error in errors[:ERRORS_SHOWN]:
        yield " ".join(
            f"failed: {error['system']}, {error['track']} {error['setting']}: {error['error']}".split()
        )
    if len(errors) > ERRORS_SHOWN:
        yield f"and {len(errors) - ERRORS_SHOWN} more failed; the same command tries them again"


def _measured(metric: str, entries: Sequence[Mapping[str, Any]]) -> bool:
    return any(metric in entry["scores"] for entry in entries)


def _heading(metric: Mapping[str, Any]) -> str:
    return f"{metric['label']}, {metric['unit']}" if metric["unit"] else str(metric["label"])


def _name(entry: Mapping[str, Any]) -> str:
    return f"{entry['system']} (oracle)" if entry["oracle"] else str(entry["system"])


def _cells(scores: Mapping[str, Any], names: Sequence[str], metrics: Mapping[str, Any]) -> list[str]:
    found = []
    for name in names:
        values = scores.get(name)
        statistic, low, high = (
            ("median", "median_low", "median_high") if metrics[name]["median"] else ("mean", "low", "high")
        )
        if values is None or values[statistic] is None:
            found.append("-")
        elif values[low] is None:
            found.append(f"{values[statistic]:.2f}")
        else:
            found.append(f"{values[statistic]:.2f} ±{(values[high] - values[low]) / 2:.2f}")
    return found


def _speed(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
