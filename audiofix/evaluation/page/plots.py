"""Plots as SVG whose places are percentages: they fit a phone without small print, and take the page's colours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from audiofix.evaluation.page.markup import number, seconds, tag, text
from audiofix.evaluation.page.results import Results
from audiofix.evaluation.page.tables import heading

ROW, AXIS = 34, 22  # heights of a strip and of the numbers below, px
TALL = 340  # of the plot of quality against time, px
LABEL = 17  # least distance of two labels, px
MARGIN = 4.0  # left free at both sides, %
TICKS = 5
SPREAD = (0, 4, -4, 8, -8, 2, -2, 6, -6)  # px off the middle, so that equal values are seen


@dataclass(frozen=True)
class Scale:
    """From values to percent of the width, or of the height turned over."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """0 to 100, margins left out."""
        share = (value - self.low) / (self.high - self.low)
        return MARGIN + (100 - 2 * MARGIN) * share


def nice_step(span: float, count: int = TICKS) -> float:
    """1, 2 or 5 times a power of ten, so that about `count` steps cover the span, > 0."""
    rough = span / count
    power = 10.0 ** math.floor(math.log10(rough))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)


def scale_of(values: Sequence[float]) -> tuple[Scale, list[float]]:
    """A scale that begins and ends at a tick, and the ticks."""
    low, high = min(values), max(values)
    if high - low < 1e-9:
        low, high = low - 1, high + 1
    step = nice_step(high - low)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Scale(first * step, last * step), [index * step for index in range(first, last + 1)]


def places(step: float) -> int:
    """Digits after the point that tell ticks apart."""
    return max(0, -math.floor(math.log10(step) + 1e-9))


def strips(results: Results, setting: str, metric: str) -> str:
    """A strip for each system: a dot for each track, a bar for the interval of the mean, a line for the mean."""
    entries = [e for e in results.of(setting) if results.middle(e["scores"], metric)[0] is not None]
    each = {e["system"]: results.values(e["system"], setting, metric) for e in entries}
    everything = [value for values in each.values() for value in values.values()]
    if not everything:
        return ""
    better = -1 if results.metrics[metric].more_is_better else 1
    entries.sort(key=lambda e: better * results.middle(e["scores"], metric)[0])  # type: ignore[operator]
    scale, ticks = scale_of(everything)
    grid = "".join(_line(scale.at(t), 0, scale.at(t), "100%", "grid") for t in ticks)
    rows = []
    for entry in entries:
        kind = _kind(entry["system"], bool(entry.get("oracle")), results.leader(setting))
        middle, low, high = results.middle(entry["scores"], metric)
        values = list(each[entry["system"]].values())
        dots = "".join(
            tag(
                "circle", tag("title", text(f"{track}: {number(value)}")),
                cx=_percent(scale.at(value)), cy=ROW / 2 + SPREAD[index % len(SPREAD)], r=3.5, class_="dot",
            )
            for index, (track, value) in enumerate(each[entry["system"]].items())
        )  # fmt: skip
        bar = ""
        if low is not None and high is not None:
            held = [min(max(end, scale.low), scale.high) for end in (low, high)]
            bar = _line(scale.at(held[0]), ROW / 2, scale.at(held[1]), ROW / 2, "interval")
        mean = _line(scale.at(middle), 5, scale.at(middle), ROW - 5, "mean") if middle is not None else ""
        drawing = tag(
            "svg", grid, dots, bar, mean, width="100%", height=ROW, role="img", class_=f"strip {kind}",
            aria_label=f"{entry['system']}: {number(middle)}; {number(min(values))} to {number(max(values))}",
        )  # fmt: skip
        name = tag("div", text(entry["system"]), class_="name")
        rows.append(tag("div", name, drawing, tag("div", text(number(middle)), class_="value"), class_="row"))
    shown = places(ticks[1] - ticks[0])
    numbers = "".join(
        tag("text", text(number(t, shown)), x=_percent(scale.at(t)), y=15, class_="tick") for t in ticks
    )
    axis = tag("svg", numbers, width="100%", height=AXIS, aria_hidden="true")
    return tag("div", *rows, tag("div", axis, class_="row"), class_="strips")


def against_time(results: Results, setting: str, metric: str) -> str:
    """A point for each system: how good, over how many seconds each second of audio took; logarithmic."""
    points = []
    for entry in results.of(setting):
        middle, low, high = results.middle(entry["scores"], metric)
        speed = entry["seconds_per_audio_second"]
        if middle is not None and speed:
            points.append((entry, middle, low, high, math.log10(max(speed, 1e-4))))
    if len(points) < 2:
        return ""
    xs = [point[4] for point in points]
    across = Scale(math.floor(min(xs)), max(math.ceil(max(xs)), math.floor(min(xs)) + 1))
    ends = [end for _, middle, low, high, _ in points for end in (middle, low, high) if end is not None]
    up, ticks = scale_of(ends)

    def height(value: float) -> float:
        return TALL * (1 - up.at(value) / 100)

    parts = [_line(0, height(t), 100, height(t), "grid") for t in ticks]
    digits = places(ticks[1] - ticks[0])
    parts += [
        tag("text", text(number(t, digits)), x=2, y=round(height(t) - 3, 1), class_="tick left")
        for t in ticks
    ]
    for power in range(int(across.low), int(across.high) + 1):
        where = across.at(power)
        parts.append(_line(where, 0, where, TALL, "grid"))
        name = f"{10.0**power:g}" if power >= -4 else "0.0001"
        parts.append(tag("text", text(name), x=_percent(where), y=TALL + 15, class_="tick"))
    labels = apart([height(middle) for _, middle, *_ in points])
    leader = results.leader(setting)
    for (entry, middle, low, high, x), label in zip(points, labels, strict=True):
        where, y = across.at(x), height(middle)
        kind = _kind(entry["system"], bool(entry.get("oracle")), leader)
        title = f"{entry['system']}: {number(middle)}, {seconds(entry['seconds_per_audio_second'])} s per s"
        beside = where > 60
        to_label = tag("path", d=f"M0 0L{-9 if beside else 9} {label - y:.1f}", class_="thread")
        inner = [
            tag("circle", cx=0, cy=0, r=5.5, class_="dot"),
            to_label if abs(label - y) > 2 else "",
            tag("text", text(entry["system"]), x=-11 if beside else 11, y=round(label - y + 4, 1),
                class_="label right" if beside else "label"),
        ]  # fmt: skip
        if low is not None and high is not None:
            inner.insert(
                0, tag("path", d=f"M0 {height(low) - y:.1f}V{height(high) - y:.1f}", class_="interval")
            )
        point = tag(
            "svg", tag("title", text(title)), *inner, x=_percent(where), y=round(y, 1), overflow="visible"
        )
        parts.append(tag("g", point, class_=kind))
    told = f"{heading(results.metrics[metric])} against seconds per second of audio"
    drawing = tag(
        "svg", *parts, width="100%", height=TALL + AXIS, role="img", aria_label=told, class_="plane"
    )
    below = tag("div", text("seconds per second of audio, logarithmic →"), class_="axis")
    return tag("div", text(heading(results.metrics[metric])), class_="axis up") + drawing + below


def apart(heights: Sequence[float], least: float = LABEL) -> list[float]:
    """Heights moved so that any two are `least` apart, in the same order, moved together where they crowd."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    blocks: list[list[float]] = []  # sum of wanted tops, count: each block is placed at its mean
    for index in order:
        blocks.append([heights[index], 1])
        while len(blocks) > 1 and _top(blocks[-1]) < _top(blocks[-2]) + blocks[-2][1] * least:
            wanted, count = blocks.pop()
            before = blocks[-1]
            before[0] += wanted - count * before[1] * least
            before[1] += count
    found = [_top(block) + place * least for block in blocks for place in range(int(block[1]))]
    result = [0.0] * len(heights)
    for index, value in zip(order, found, strict=True):
        result[index] = value
    return result


def _top(block: Sequence[float]) -> float:
    """Where the first label of a block is: its wanted places, each moved up by its number, have this mean."""
    wanted, count = block
    return wanted / count


def _kind(system: str, oracle: bool, leader: str | None) -> str:
    return "oracle" if oracle else "leader" if system == leader else "other"


def _percent(value: float) -> str:
    return f"{value:.2f}%"


def _line(x1: float, y1: float | str, x2: float, y2: float | str, kind: str) -> str:
    return tag("line", x1=_percent(x1), y1=y1, x2=_percent(x2), y2=y2, class_=kind)


def legend(entries: Sequence[Mapping[str, object]]) -> str:
    """What the colours mean."""
    names = [("leader", "best of those that did every track, not seeing the answer"), ("other", "others")]
    names += [("oracle", "saw the answer")] if any(entry.get("oracle") for entry in entries) else []
    keys = (tag("span", tag("i", class_=kind), text(name)) for kind, name in names)
    return tag("p", *keys, class_="legend")
