"""One HTML file that says how an evaluation went: tables, plots, and the best and worst tracks to listen to.

Everything is inside the file, so it can be sent and opened without a network; only sorting needs JavaScript.
"""

from __future__ import annotations

from pathlib import Path

from audiofix.audio.disk import write_bytes_atomically
from audiofix.evaluation.page.markup import document, folded, number, section, tag, text
from audiofix.evaluation.page.players import players
from audiofix.evaluation.page.plots import against_time, legend, strips
from audiofix.evaluation.page.results import Results, read_results
from audiofix.evaluation.page.tables import (
    about,
    by_source,
    failures_table,
    heading,
    provenance,
    systems_table,
    tracks_table,
)

REPORT = "report.html"
MOST_BYTES = 24_000_000  # of sound: a mail takes about as much


def write_report(folder: Path, most_bytes: int = MOST_BYTES) -> Path:
    """Write report.html from results.jsonl, summary.json and the audio of an evaluation's folder; its path.

    `most_bytes`: of sound in it. Raises InputError for a folder without results, OutputError.
    """
    results = read_results(folder)
    file = folder / REPORT
    write_bytes_atomically(file, page(results, most_bytes).encode())
    return file


def page(results: Results, most_bytes: int = MOST_BYTES) -> str:
    """The whole page."""
    summary = results.summary
    place = Path(str(summary.get("settings", {}).get("path") or "")).name
    told = [
        str(summary.get("task") or ""),
        " ".join(filter(None, (str(summary.get("dataset") or ""), place))),
    ]
    title = f"Evaluation: {', '.join(filter(None, told)) or results.folder.name}"
    settings = results.settings
    parts = [figures(results, setting) for setting in settings]
    listen = players(results, most_bytes)
    failed = failures_table(results) if results.failed else ""
    tracks = "".join(
        folded(
            f"{setting or 'all'}: {heading(results.metrics[results.metric])}", tracks_table(results, setting)
        )
        for setting in settings
        if results.metric
    )
    return document(
        title,
        tag("h1", text(title)),
        lead(results),
        *parts,
        listen,
        section("Every track", tracks),
        section(f"Failed: {len(results.failed)}", failed),
        section("How this was measured", notes(results), provenance(results)),
    )


def lead(results: Results) -> str:
    """What there is, and the outcome in a sentence for each setting."""
    tracks = len({row["track"] for row in results.rows})
    counts = ((tracks, "track"), (len(results.systems), "system"))
    counted = ", ".join(f"{count} {what}{'s' * (count != 1)}" for count, what in counts)
    lines = [tag("p", text(f"{counted}."))]
    for setting in results.settings:
        leader = results.leader(setting)
        for entry in results.of(setting) if leader else []:
            if entry["system"] == leader:
                metric = results.metrics[results.metric]
                value, low, high = results.middle(entry["scores"], results.metric)
                first, _, _ = results.middle(entry["before"], results.metric)
                unit = f" {metric.unit}" if metric.unit else ""
                where = f"{setting}: " if setting else ""
                middle = "median" if metric.median else "mean"
                said = f"{where}{leader} has the best {middle} {metric.label}, {number(value)}{unit}"
                said += f" (95 %: {number(low)} … {number(high)})" if low is not None else ""
                said += f"; the untouched recording has {number(first)}." if first is not None else "."
                lines.append(tag("p", text(said), class_="lead"))
    if results.failed:
        lines.append(tag("p", text(f"{len(results.failed)} results failed; see below."), class_="warning"))
    return "".join(lines)


def figures(results: Results, setting: str) -> str:
    """Of one setting: the table, the distribution over tracks, quality against time."""
    entries = results.of(setting)
    if not entries:
        return section(setting or "Results", tag("p", text("Nothing came out."), class_="warning"))
    metric, count = results.metrics[results.metric], about(entries)
    of = (
        f"Sources together: {count} tracks, "
        if entries[0]["source"] == "all"
        else f"{entries[0]['source']}: {count} tracks, "
    )
    middle = "median" if metric.median else "mean"
    told = f"{of}setting {setting}, " if setting else of
    source = f"{told}seed {results.summary.get('seed', '–')}; from {results.folder.name}/results.jsonl."
    plane = against_time(results, setting, results.metric)
    others = [
        name
        for name in results.metrics
        if name != results.metric and any(name in entry["scores"] for entry in entries)
    ]
    more = "".join(
        tag("h3", text(heading(results.metrics[name]))) + strips(results, setting, name) for name in others
    )
    small = (
        "Below each figure: its 95 % interval by bootstrap over tracks. Bold: the best of those that did every "
        "track and did not see the answer."
    )
    return section(
        f"Results, {setting}" if setting else "Results",
        systems_table(results, setting),
        tag("p", text(f"{small} {source}"), class_="note"),
        by_source(results, setting),
        tag("h3", text(f"{heading(metric)}, track by track")),
        tag(
            "figure",
            strips(results, setting, results.metric),
            legend(entries),
            tag(
                "figcaption",
                text(f"A dot is a track, the line the {middle}, the bar its 95 % interval. {source}"),
            ),
        ),
        folded("The other figures, track by track", more) if more else "",
        tag("h3", text("Quality against time")) if plane else "",
        tag(
            "figure",
            plane,
            tag("figcaption", text(f"Time as measured in this run, on the machine below. {source}")),
        )
        if plane
        else "",
    )


def notes(results: Results) -> str:
    """What the evaluation itself remarked."""
    return "".join(tag("p", text(note)) for note in results.summary.get("notes", []))
