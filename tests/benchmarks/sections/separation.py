"""The section on separation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.benchmarks.sections.common import (
    GREY,
    MIXTURE,
    TRUTH,
    Block,
    Files,
    Plot,
    Row,
    canvas,
    clips,
    cycled,
    markdown,
    number,
    provenance,
    short,
)


def separation_rows(separate: Files, peers: Files) -> list[list[str]]:
    """The mixture, ours by quality, peers, and what was told the answer; each with the mixtures that it is of."""
    before: dict[tuple[str, ...], None] = {}
    ours: list[list[str]] = []
    others: list[list[str]] = []
    for record in [*separate.values(), *peers.values()]:
        for row in record["rows"]:
            line = separation_line(row, clips(record))
            if row["what"] == MIXTURE:
                before[tuple(line)] = None
            elif row["what"] == "preset":
                ours.append(line)
            elif "calls_per_source" not in row:
                others.append(line)
    return [*map(list, before), *ours, *others]


def separation_line(row: Row, mixtures: str) -> list[str]:
    """One line of the table of separation."""
    what = row["what"]
    if what == "preset":
        draws = f", mean of {row['draws']} draws" if row.get("draws", 1) > 1 else ""
        sampler = f", {row['sampler']}" if row.get("sampler") else ""
        what = f"audiofix, {row['quality']} ({row['models'].replace(' ', ', ')}{sampler}{draws})"
    calls = row.get("calls_per_source")
    figures = [number(row[name]) for name in ("speech", "piano", "all", "worst")]
    seconds = number(row.get("seconds_per_audio_second"), 3)
    return [what, mixtures.replace(" mixtures of ", " × "), str(calls or "–"), seconds, *figures]


def curves(separate: Files) -> dict[str, list[Row]]:
    """Rows that tell their network calls, by models, sampler and draws, and by mixtures where these differ."""
    several = len({clips(record) for record in separate.values()}) > 1
    found: dict[str, list[Row]] = {}
    for record in separate.values():
        for row in record["rows"]:
            if "calls_per_source" in row and row["what"] != TRUTH:
                parts = [row["models"].replace(" ", " + "), row.get("sampler") or "one call"]
                parts += [f"mean of {row['draws']} draws"] if row.get("draws", 1) > 1 else []
                parts += [clips(record)] if several else []
                found.setdefault(", ".join(parts), []).append(row)
    return {name: sorted(rows, key=lambda row: row["calls_per_source"]) for name, rows in found.items()}


def references(separate: Files, peers: Files) -> dict[str, Row]:
    """Rows without network calls of ours, by short name: the mixture, peers, what was told the answer."""
    found: dict[str, Row] = {}
    for record in [*peers.values(), *separate.values()]:
        for row in record["rows"]:
            if "calls_per_source" not in row:
                found.setdefault(short(row["what"]), row)
    return found


def separation(separate: Files, peers: Files) -> Iterator[Block]:
    """The section on separation, empty where nothing was measured."""
    files = {**separate, **peers}
    if not files:
        return
    yield (
        "## Separation\n\nSI-SDR of each stem against its clean clip, dB: mean over speech, over piano, over all, "
        "and the mean of both stems of the worst mixture."
    )
    header = ("", "mixtures", "calls per source", "s per s of audio", "speech", "piano", "all", "worst")
    yield markdown(header, separation_rows(separate, peers))
    if peers:
        yield (
            "The peers were trained elsewhere, on other sound; their weights are public. The seconds are of "
            "everything but loading. A system that hands its output over late is moved back by the delay that "
            "fits the clean speech best."
        )
    if len({clips(record) for record in files.values()}) > 1:
        yield "Not all rows are of the same mixtures, and only those of the same mixtures compare."
    ours, others = curves(separate), references(separate, peers)
    if ours:
        names = ", ".join(others)
        yield Plot(
            "separation-calls",
            f"SI-SDR against network calls per source, with lines at {names}",
            lambda: tradeoff(
                ours, others, "calls_per_source", "network calls per source, all draws together"
            ),
        )
        yield Plot(
            "separation-seconds",
            f"SI-SDR against seconds per second of audio, beside {names}",
            lambda: tradeoff(ours, others, "seconds_per_audio_second", "seconds per second of audio"),
        )
    yield provenance(files)


def tradeoff(ours: dict[str, list[Row]], others: dict[str, Row], across: str, label: str) -> Any:
    """SI-SDR of all stems over one cost: curves of ours, the others as points, or lines where they have none."""
    figure, (axes,) = canvas(1)
    for colour, (name, rows) in zip(cycled(), ours.items(), strict=False):
        axes.plot([r[across] for r in rows], [r["all"] for r in rows], "o-", color=colour, label=name)
        for row in rows:
            if row["what"] == "preset":
                spot(axes, row[across], row["all"], row["quality"], colour)
    for name, row in others.items():
        if across in row:
            axes.plot(row[across], row["all"], "s", color=GREY)
            spot(axes, row[across], row["all"], name, GREY)
        else:
            axes.axhline(row["all"], color=GREY, linestyle="--", linewidth=1)
            where = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points"}
            axes.annotate(name, (1, row["all"]), (4, 0), va="center", fontsize=8, color=GREY, **where)
    axes.set(xscale="log", xlabel=label, ylabel="SI-SDR, dB")
    axes.xaxis.set_major_formatter("{x:g}")
    figure.legend(loc="outside lower center", frameon=False, fontsize=8)
    return figure


def spot(axes: Any, x: float, y: float, name: str, colour: str) -> None:
    """A word below a point."""
    axes.annotate(name, (x, y), (0, -13), textcoords="offset points", ha="center", fontsize=8, color=colour)
