"""Tables of a report: systems and their figures, every track, failures, and how it all came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from audiofix.evaluation.page.markup import folded, number, seconds, table, tag, text
from audiofix.evaluation.page.results import Entry, Results
from audiofix.evaluation.scores import Metric
from audiofix.evaluation.summary import unique

MOST_ROWS = 400  # of one table; beyond that the files are better read by a program


def heading(metric: Metric) -> str:
    """Name, unit, and which way is better."""
    unit = f", {metric.unit}" if metric.unit else ""
    return f"{metric.label}{unit} {'↑' if metric.more_is_better else '↓'}"


def systems_table(results: Results, setting: str, source: str | None = None) -> str:
    """One line a system, one column a metric: the figure, and its 95 % interval below; the best one is bold."""
    entries = results.of(setting, source)
    names = [name for name in results.metrics if any(name in entry["scores"] for entry in entries)]
    header = [
        tag("th", text("system"), scope="col"),
        tag("th", text("tracks"), scope="col", class_="number"),
        *(tag("th", text(heading(results.metrics[name])), scope="col", class_="number") for name in names),
        tag("th", text("s per s"), scope="col", class_="number", title="seconds per second of audio"),
        tag("th", text("failed"), scope="col", class_="number"),
    ]
    fair = results.fair(entries)
    bests = {name: results.best(entries, name) for name in names}
    rows = []
    if entries:
        whole = max(entries, key=lambda entry: int(entry["tracks"]))
        rows.append(
            [
                tag("th", text("untouched"), scope="row", class_="aside"),
                _cell(text(whole["tracks"]), whole["tracks"]),
                *(_figure(results, whole["before"], name, None) for name in names),
                _cell("–"), _cell("–"),
            ]
        )  # fmt: skip
    for entry in entries:
        rows.append(
            [
                tag("th", system_name(entry["system"], bool(entry.get("oracle"))), scope="row"),
                _cell(text(entry["tracks"]), entry["tracks"]),
                *(_figure(results, entry["scores"], name, bests[name] if entry in fair else None)
                  for name in names),
                _cell(text(seconds(entry["seconds_per_audio_second"])), entry["seconds_per_audio_second"]),
                _cell(text(entry["errors"] or ""), entry["errors"]),
            ]
        )  # fmt: skip
    for system in unique(row["system"] for row in results.failed if row["setting"] == setting):
        if source is None and all(entry["system"] != system for entry in entries):
            count = sum((row["system"], row["setting"]) == (system, setting) for row in results.failed)
            blank = [_cell("–") for _ in names]
            rows.append(
                [
                    tag("th", text(system), scope="row"),
                    _cell("0", 0),
                    *blank,
                    _cell("–"),
                    _cell(text(count), count),
                ]
            )
    return table(header, rows, class_="sortable")


def system_name(name: str, oracle: bool) -> str:
    """With a mark for those that saw the answer."""
    return text(name) + (" " + tag("small", text("saw the answer")) if oracle else "")


def tracks_table(results: Results, setting: str) -> str:
    """One line a track, one column a system: the figure that ranks."""
    columns = {system: results.values(system, setting, results.metric) for system in results.systems}
    tracks = unique(row["track"] for row in results.rows if row["setting"] == setting)
    header = [tag("th", text("track"), scope="col")]
    header += [tag("th", text(system), scope="col", class_="number") for system in columns]
    rows = [
        [
            tag("th", text(track), scope="row"),
            *(_cell(text(number(values.get(track))), values.get(track)) for values in columns.values()),
        ]
        for track in tracks[:MOST_ROWS]
    ]
    return table(header, rows, class_="sortable") + _more(len(tracks), results)


def failures_table(results: Results) -> str:
    """What went wrong, where."""
    header = [tag("th", text(name), scope="col") for name in ("system", "track", "setting", "what happened")]
    rows = [
        [tag("td", text(row[key])) for key in ("system", "track", "setting")]
        + [tag("td", text(row["error"]))]
        for row in results.failed[:MOST_ROWS]
    ]
    return table(header, rows, class_="plain") + _more(len(results.failed), results)


def provenance(results: Results) -> str:
    """Settings, seed, versions and machine: what the figures depend on."""
    summary = results.summary
    facts: list[tuple[str, Any]] = [
        ("dataset", summary.get("dataset")),
        ("task", summary.get("task")),
        *((name, value) for name, value in summary.get("settings", {}).items() if name != "tracks"),
        *summary.get("options", {}).items(),
        ("seed", summary.get("seed")),
    ]
    parts = [_facts({name: value for name, value in facts if value not in (None, "", [], {}, [None])})]
    for name in ("versions", "machine"):
        if summary.get(name):
            parts.append(tag("h3", text(name)) + _facts(summary[name]))
    return "".join(parts)


def by_source(results: Results, setting: str) -> str:
    """The table of each source by itself, folded, where there are several."""
    shown = results.of(setting)
    others = unique(entry["source"] for entry in results.entries if entry["setting"] == setting)
    left = [source for source in others if shown and source != shown[0]["source"]]
    return "".join(folded(f"{source} alone", systems_table(results, setting, source)) for source in left)


def _figure(results: Results, figures: Mapping[str, Any], metric: str, best: float | None) -> str:
    value, low, high = results.middle(figures, metric)
    shown = text(number(value))
    if value is not None and value == best:
        shown = tag("b", shown)
    if low is not None and high is not None and value is not None:
        shown += tag("small", text(f"{number(low)} … {number(high)}"))
    return _cell(shown, value)


def _cell(content: str, value: float | None = None) -> str:
    """A number's cell; the value itself is what the table is sorted by."""
    return tag("td", content, class_="number", data_value=value)


def _facts(facts: Mapping[str, Any]) -> str:
    pairs = (
        tag("div", tag("dt", text(name)), tag("dd", text(_plain(value)))) for name, value in facts.items()
    )
    return tag("dl", *pairs)


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={one}" for key, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(str(one) for one in value)
    return str(value)


def _more(count: int, results: Results) -> str:
    if count <= MOST_ROWS:
        return ""
    return tag(
        "p", text(f"{count - MOST_ROWS} more are in {results.folder.name}/results.jsonl."), class_="note"
    )


def about(entries: Sequence[Entry]) -> int:
    """Tracks behind a table, at most."""
    return max((entry["tracks"] for entry in entries), default=0)
