"""Intervals: they cover as often as they say, and are the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from audiofix.evaluation.bootstrap import interval, summarise


def test_the_interval_covers_the_mean_nineteen_times_in_twenty():
    """400 experiments with 40 values each. The percentile interval is narrow by about sqrt(39/40) and t against
    normal: 94 % are expected; +-4 standard deviations of a count are +-4.8 %."""
    generator = np.random.default_rng(0)
    hits = 0
    for number in range(400):
        values = generator.normal(3.0, 2.0, 40)
        low, high = interval(values, seed=number, resamples=500)
        hits += low <= 3.0 <= high
    assert 0.89 < hits / 400 < 0.985


def test_its_width_is_the_standard_error():
    values = np.random.default_rng(1).normal(0, 1, 400)
    low, high = interval(values)
    assert (high - low) / 2 == pytest.approx(1.96 * values.std() / 20, rel=0.05)


def test_the_same_again():
    assert interval([1.0, 2.0, 5.0], seed=3) == interval([1.0, 2.0, 5.0], seed=3)
    assert interval([1.0]) is None


def test_what_is_not_known_does_not_count():
    found = summarise([1.0, None, 3.0, 8.0])
    assert (found["mean"], found["median"], found["n"]) == (4.0, 3.0, 3)
    assert found["low"] <= 4.0 <= found["high"]
    assert summarise([None]) == {"mean": None, "median": None, "low": None, "high": None, "n": 0}
    assert summarise([2.0])["low"] is None


def test_the_median_has_an_interval_of_its_own():
    values = [0.0] * 9 + [1000.0]
    found = summarise(values)
    assert found["median_high"] == 0.0
    assert found["high"] > 100
