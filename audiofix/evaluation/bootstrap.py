"""How sure a figure is: intervals by drawing tracks anew (Efron 1979, the percentile method)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

RESAMPLES, LEVEL = 2000, 0.95
Statistic = Callable[..., Any]  # np.mean or np.median


def interval(
    values: Sequence[float],
    statistic: Statistic = np.mean,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
) -> tuple[float, float] | None:
    """The middle `level` of a statistic over so many draws with replacement; None for fewer than two values.

    One value a track: figures of one track's sources are not independent. With few tracks it is too narrow (with
    ten, about 90 % in place of 95).
    """
    if len(values) < 2:
        return None
    known = np.asarray(values, dtype=float)
    picks = np.random.default_rng(seed).integers(len(known), size=(resamples, len(known)))
    drawn = statistic(known[picks], axis=1)
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def summarise(values: Sequence[float | None], seed: int = 0) -> dict[str, float | int | None]:
    """Mean and median of the known values with the intervals of both, and how many there are."""
    known = sorted(value for value in values if value is not None)  # the same in whatever order tracks came
    if not known:
        return {"mean": None, "median": None, "low": None, "high": None, "n": 0}
    low, high = interval(known, np.mean, seed=seed) or (None, None)
    median_low, median_high = interval(known, np.median, seed=seed) or (None, None)
    return {
        "mean": float(np.mean(known)), "median": float(np.median(known)), "low": low, "high": high,
        "median_low": median_low, "median_high": median_high, "n": len(known),
    }  # fmt: skip
