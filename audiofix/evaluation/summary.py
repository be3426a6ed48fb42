"""From rows to figures of systems: means and medians over tracks with their intervals, as JSON and CSV."""

from __future__ import annotations

import csv
import io
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from audiofix.evaluation.bootstrap import summarise
from audiofix.evaluation.scores import METRICS, Scores

PACKAGES = ("audiofix", "torch", "numpy", "museval", "pesq", "pystoi")
STATISTICS = ("mean", "median", "low", "high", "median_low", "median_high", "n")
ALL = "all"  # sources together

Row = dict[str, Any]
Figures = dict[str, dict[str, Any]]


def figures(rows: Sequence[Row], source: str | None, scores: str, seed: int) -> Figures:
    """Each metric over tracks, of one source, or of the mean over sources of each track. One value a track."""
    found: Figures = {}
    for metric in METRICS:
        measured = [row for row in rows if any(metric in one for one in _of(row[scores], source))]
        if measured:
            found[metric] = summarise([_mean(row[scores], source, metric) for row in measured], seed)
    return found


def groups(rows: Sequence[Row], seed: int = 0) -> list[dict[str, Any]]:
    """One entry for each system, setting and source, and one for all sources together where there are several.

    Rows of one track at several strengths are in several entries; failed rows are only counted.
    """
    found = []
    for system in unique(row["system"] for row in rows):
        for setting in unique(row["setting"] for row in rows):
            both = [row for row in rows if (row["system"], row["setting"]) == (system, setting)]
            good = [row for row in both if "error" not in row]
            sources = unique(_about(row, name) for row in good for name in row["scores"])
            for source in [*sources, *([ALL] if len(sources) > 1 else [])]:
                mine = [
                    row
                    for row in good
                    if source == ALL or any(_about(row, n) == source for n in row["scores"])
                ]
                name = None if source == ALL or "restored" in mine[0]["scores"] else source
                found.append(
                    {
                        "system": system, "setting": setting, "source": source, "tracks": len(mine),
                        "scores": figures(mine, name, "scores", seed),
                        "before": figures(mine, name, "before", seed),
                        "seconds_per_audio_second": _speed(mine), "errors": len(both) - len(good),
                        "oracle": bool(mine[0].get("oracle")),
                    }
                )  # fmt: skip
    return found


def summary(
    rows: Sequence[Row], dataset: str, task: str, settings: Mapping[str, Any], seed: int, notes: Sequence[str]
) -> dict[str, Any]:
    """All that summary.json holds. `systems` is over all settings and sources; `groups` takes them apart."""
    names = unique(row["system"] for row in rows)
    good = [row for row in rows if "error" not in row]
    systems = {
        name: figures([r for r in good if r["system"] == name], None, "scores", seed) for name in names
    }
    return {
        "dataset": dataset,
        "task": task,
        "systems": systems,
        "groups": groups(rows, seed),
        "settings": dict(settings),
        "options": {row["system"]: row["options"] for row in good if "options" in row},
        "seed": seed,
        "notes": list(notes),
        "errors": [
            {key: row[key] for key in ("track", "setting", "system", "error")}
            for row in rows
            if "error" in row
        ],
        "metrics": {
            name: {"label": m.label, "unit": m.unit, "more_is_better": m.more_is_better, "median": m.median}
            for name, m in METRICS.items()
        },
        "versions": versions(),
        "machine": machine(),
    }


def table_csv(entries: Sequence[Mapping[str, Any]]) -> str:
    """A line for each system, setting, source and metric."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["system", "setting", "source", "metric", *STATISTICS, "before_mean", "before_median"])
    for entry in entries:
        for metric, values in entry["scores"].items():
            before = entry["before"].get(metric, {})
            cells = [_cell(values.get(name)) for name in STATISTICS]
            more = [_cell(before.get(name)) for name in ("mean", "median")]
            writer.writerow([entry["system"], entry["setting"], entry["source"], metric, *cells, *more])
    return out.getvalue()


def versions() -> dict[str, str]:
    """Of Python and of every package that a figure depends on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def machine() -> dict[str, Any]:
    """What the seconds depend on."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {"platform": platform.platform(), "cores": os.cpu_count(), "gpu": device}


def unique(values: Any) -> list[Any]:
    """In the order of their first coming."""
    return list(dict.fromkeys(values))


def _about(row: Row, name: str) -> str:
    """The source that a figure is of: a restoration's is in the track's name."""
    return row["track"].rpartition("/")[2] if name == "restored" else name


def _of(scores: Mapping[str, Scores], source: str | None) -> list[Scores]:
    return [one for name, one in scores.items() if source in (None, name)]


def _mean(scores: Mapping[str, Scores], source: str | None, metric: str) -> float | None:
    found = [one.get(metric) for one in _of(scores, source)]
    known = [value for value in found if value is not None]
    return sum(known) / len(known) if known else None


def _speed(rows: Sequence[Row]) -> float | None:
    audio = sum(row["audio_seconds"] for row in rows)
    return sum(row["seconds"] for row in rows) / audio if audio else None


def _cell(value: float | int | None) -> str:
    return "" if value is None else f"{value:.6g}"
