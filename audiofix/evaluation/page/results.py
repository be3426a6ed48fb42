"""What a report is made of: the rows and the summary of an evaluation, and questions to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audiofix.errors import InputError
from audiofix.evaluation.runs import read_summary
from audiofix.evaluation.scores import METRICS, Metric
from audiofix.evaluation.store import read_rows
from audiofix.evaluation.summary import ALL, groups, unique

Row = dict[str, Any]
Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Results:
    """An evaluation as its folder holds it.

    `entries` are the summary's groups: one for each system, setting and source, and one for all sources together.
    """

    folder: Path
    summary: Mapping[str, Any]
    rows: Sequence[Row]
    entries: Sequence[Entry]
    metrics: Mapping[str, Metric]

    @property
    def settings(self) -> list[str]:
        """Strengths of the damage, one empty name for separation, in the order of the results."""
        return unique(row["setting"] for row in self.rows)

    @property
    def systems(self) -> list[str]:
        """In the order of the results."""
        return unique(row["system"] for row in self.rows)

    @property
    def failed(self) -> list[Row]:
        """Rows without scores."""
        return [row for row in self.rows if "error" in row]

    @property
    def metric(self) -> str:
        """The figure that ranks: the first that was asked for and is there."""
        asked = self.summary.get("settings", {}).get("metrics") or []
        there = [name for name in self.metrics if any(name in entry["scores"] for entry in self.entries)]
        return next((name for name in [*asked, *there] if name in there), "")

    def of(self, setting: str, source: str | None = None) -> list[Entry]:
        """The entries of a setting and source; of the whole, all sources together, unless one is named."""
        mine = [entry for entry in self.entries if entry["setting"] == setting]
        names = unique(entry["source"] for entry in mine)
        wanted = source or (ALL if ALL in names else next(iter(names), None))
        return [entry for entry in mine if entry["source"] == wanted]

    def values(self, system: str, setting: str, metric: str) -> dict[str, float]:
        """One value a track, the mean over its sources."""
        found = {}
        for row in self.rows:
            if (row["system"], row["setting"]) == (system, setting) and "error" not in row:
                value = mean_score(row["scores"], metric)
                if value is not None:
                    found[row["track"]] = value
        return found

    def middle(
        self, figures: Mapping[str, Any], metric: str
    ) -> tuple[float | None, float | None, float | None]:
        """What stands for a metric, and the ends of its interval: the mean, or the median where that is usual."""
        known = figures.get(metric)
        if known is None:
            return None, None, None
        if self.metrics[metric].median:
            return known.get("median"), known.get("median_low"), known.get("median_high")
        return known.get("mean"), known.get("low"), known.get("high")

    def fair(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those that may be called best: who did not see the answer, and did not leave out tracks by failing."""
        blind = [entry for entry in entries if not entry.get("oracle")]
        most = max((entry["tracks"] for entry in blind), default=0)
        return [entry for entry in blind if entry["tracks"] == most]

    def best(self, entries: Sequence[Entry], metric: str) -> float | None:
        """The best figure of the systems of `fair`."""
        found = [self.middle(entry["scores"], metric)[0] for entry in self.fair(entries)]
        known = [value for value in found if value is not None]
        if not known:
            return None
        return max(known) if self.metrics[metric].more_is_better else min(known)

    def leader(self, setting: str) -> str | None:
        """The system whose best and worst tracks are listened to: the best one of `fair`."""
        entries = self.fair(self.of(setting))
        best = self.best(entries, self.metric) if self.metric else None
        return next(
            (
                entry["system"]
                for entry in entries
                if best is not None and self.middle(entry["scores"], self.metric)[0] == best
            ),
            None,
        )  # fmt: skip


def mean_score(scores: Mapping[str, Mapping[str, float | None]], metric: str) -> float | None:
    """Over the sources for which it is defined; None where it is for none."""
    known = [value for one in scores.values() if (value := one.get(metric)) is not None]
    return sum(known) / len(known) if known else None


def read_results(folder: Path) -> Results:
    """Read results.jsonl and summary.json. Raises InputError where they are not there or hold nothing."""
    summary, rows = read_summary(folder), read_rows(folder)
    if not rows:
        raise InputError(f"{folder} holds no results yet; evaluate something into it first")
    entries = summary.get("groups")
    entries = groups(rows, summary.get("seed", 0)) if entries is None else entries
    told = summary.get("metrics")
    metrics = METRICS if told is None else {name: Metric(**one) for name, one in told.items()}
    return Results(folder, summary, rows, entries, metrics)
