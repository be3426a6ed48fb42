"""Interpolation with uneven excitation against dense weighted least squares, and on strokes that it must fill."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy.signal import lfilter

from audiofix.operators.autoregression import (
    RIDGE,
    Signal,
    covariance_method,
    fill,
    fill_from_nearby,
    interpolate_evenly,
)
from audiofix.operators.excitation import (
    BLOCK,
    FLOOR,
    TOLERANCE,
    error_variance,
    interpolate_unevenly,
    weighted_covariance_method,
    weighted_fill,
)
from tests.operators.test_autoregression import EPS, coloured, histories, noise, snr_db


def random_weights(count: int, seed: int = 1) -> Signal:
    """From 0.1 to 10."""
    return 10 ** np.random.default_rng(seed).uniform(-1, 1, count)


# Coefficients.


@pytest.mark.parametrize("order", [1, 5, 20])
@pytest.mark.parametrize("spare", [0, 100])  # whole blocks, or a last one of what is left
def test_coefficients_are_those_of_dense_weighted_least_squares(order: int, spare: int) -> None:
    x = coloured(order + 4 * BLOCK + spare)
    weights = random_weights(4 + (spare > 0))
    each = np.sqrt(np.repeat(weights, BLOCK)[: len(x) - order])
    rows = histories(x, order) * each[:, None]
    expected, *_ = np.linalg.lstsq(rows, -x[order:] * each, rcond=None)
    found = weighted_covariance_method(x, order, weights)
    assert found[0] == 1
    # As of the even method: rounding and ridge of the normal equations, times their condition number.
    condition = np.linalg.cond(rows.T @ rows)
    tolerance = condition * (len(x) * EPS + 2 * RIDGE) * np.linalg.norm(found)
    assert np.linalg.norm(found[1:] - expected) < tolerance
    assert tolerance < 1e-3
    # Weights count: the even method finds something else.
    assert np.linalg.norm(covariance_method(x, order)[1:] - expected) > 10 * tolerance


def test_even_weights_give_the_covariance_method() -> None:
    x = coloured(2000)
    found, expected = weighted_covariance_method(x, 24, np.full(8, 3.0)), covariance_method(x, 24)
    rows = histories(x, 24)
    tolerance = np.linalg.cond(rows.T @ rows) * 2 * (len(x) * EPS + 2 * RIDGE) * np.linalg.norm(expected)
    assert np.linalg.norm(found - expected) < tolerance


# Samples.


@pytest.mark.parametrize(("lost", "order"), [(1, 4), (7, 20), (60, 20)])
def test_samples_are_those_of_dense_weighted_least_squares(lost: int, order: int) -> None:
    x = coloured(400)
    coefficients = covariance_method(x, order)
    start, stop = 150, 150 + lost
    weights = 10 ** (np.cos(np.arange(lost + order) / 40))  # slow, a factor of 100 from crest to trough
    whole = np.zeros((lost + order, len(x)))
    for row, at in enumerate(range(start, stop + order)):
        whole[row, at - order : at + 1] = coefficients[::-1]
    whole *= np.sqrt(weights)[:, None]
    known = x.copy()
    known[start:stop] = 0
    part = whole[:, start:stop]
    expected, *_ = np.linalg.lstsq(part, -whole @ known, rcond=None)
    x[start:stop] = np.nan  # not looked at
    found = weighted_fill(x, start, stop, coefficients, weights)
    # The gradient is below TOLERANCE of what is asked for; so is the error, times the condition number.
    tolerance = 2 * TOLERANCE * np.linalg.cond(part.T @ part) * np.linalg.norm(expected)
    assert np.linalg.norm(found - expected) < tolerance
    if lost > 1:
        even = fill(np.nan_to_num(x), start, stop, coefficients)
        assert np.linalg.norm(even - expected) > 10 * tolerance


def test_even_weights_give_the_even_fill() -> None:
    x = coloured(400)
    coefficients = covariance_method(x, 16)
    x[100:180] = 0
    found = weighted_fill(x, 100, 180, coefficients, np.full(96, 0.3))
    expected = fill(x, 100, 180, coefficients)
    # Its preconditioner is the problem itself.
    assert np.linalg.norm(found - expected) < 10 * TOLERANCE * np.linalg.norm(expected)


# Variances.


def test_variance_follows_the_error_and_goes_straight_in_decibels_across_the_gap() -> None:
    loud = np.repeat([1.0, 10.0], [4000, 3000])
    start, stop = 3000, 5000
    found = error_variance(noise(7000) * loud, start, stop)
    spoilt = noise(7000) * loud
    spoilt[start:stop] = 1e6
    assert np.array_equal(found, error_variance(spoilt, start, stop))  # nothing in the gap counts
    decibels = 10 * np.log10(found - FLOOR)
    within = np.diff(decibels[start - 1 : stop + 1])
    assert np.allclose(within, within[0], atol=1e-9)
    # A mean of BLOCK squares errs by sqrt(2 / BLOCK), 0.38 dB; five times that and its rounding at the edge.
    rise = decibels[stop : stop + 1000].mean() - decibels[start - 1000 : start].mean()
    assert rise == pytest.approx(20, abs=5 * 10 * math.log10(1 + math.sqrt(2 / BLOCK) / 2))
    # Over the median, which here is of the three thousand quiet ones and the gap's.
    assert found.min() > FLOOR
    assert np.median(found) == pytest.approx(1 + FLOOR)


@pytest.mark.parametrize("gap", [(0, 10), (500, 600), (590, 600)])
def test_variance_at_the_ends_and_of_silence_is_a_number(gap: tuple[int, int]) -> None:
    for x in (noise(600), np.zeros(600)):
        found = error_variance(x, *gap)
        assert found.shape == (600,)
        assert np.isfinite(found).all()
        assert found.min() >= FLOOR * (1 - EPS)


# Fills.


def struck(time: int, strokes: tuple[int, ...], seed: int = 0) -> Signal:
    """Twelve decaying partials, struck anew now and then, over faint noise: autoregressive, excited unevenly."""
    draw = np.random.default_rng(seed)
    excitation = draw.standard_normal(time) * 1e-4
    for at in strokes:
        excitation[at : at + 60] += draw.standard_normal(60)
    poles = 0.9993 * np.exp(1j * draw.uniform(0.05, 2.5, 12))
    return lfilter([1.0], np.poly(np.concatenate([poles, poles.conj()])).real, excitation)


def test_a_stroke_nearby_does_not_decide_the_fill() -> None:
    order, gain = 64, []
    for seed in range(24):
        x = struck(3000, (200, 1800), seed)
        lost = [(1500, 1700)]
        even, uneven = (
            fill_from_nearby(x, lost, order, how) for how in (interpolate_evenly, interpolate_unevenly)
        )
        gain.append(snr_db(uneven[1500:1700], x[1500:1700]) - snr_db(even[1500:1700], x[1500:1700]))
    # Not every time, but more than chance explains: three standard errors of the mean.
    assert np.mean(gain) > 3 * np.std(gain, ddof=1) / math.sqrt(len(gain))


def test_the_gap_and_what_is_far_are_not_looked_at() -> None:
    x = struck(4000, (300, 1800))
    lost = [(1500, 1560)]
    found = fill_from_nearby(x, lost, 24, interpolate_unevenly)
    spoilt = x.copy()
    spoilt[1500:1560] = np.nan
    spoilt[:100] += 1.0  # beyond the neighbourhood
    again = fill_from_nearby(np.nan_to_num(spoilt), lost, 24, interpolate_unevenly)
    assert np.array_equal(again[1500:1560], found[1500:1560])


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e4])
def test_there_is_no_scale(scale: float) -> None:
    x = struck(3000, (200, 1800))
    one, other = (
        fill_from_nearby(x * gain, [(1500, 1600)], 32, interpolate_unevenly)[1500:1600]
        for gain in (1.0, scale)
    )
    assert np.linalg.norm(other / scale - one) < 1e-3 * np.linalg.norm(one)


@pytest.mark.parametrize("lost", [[(0, 40)], [(560, 600)], [(3, 20)], [(50, 80), (90, 95)]])
def test_gaps_at_the_ends_close_together_and_in_silence(lost: list[tuple[int, int]]) -> None:
    for x in (coloured(600), np.zeros(600)):
        found = fill_from_nearby(x, lost, 24, interpolate_unevenly)
        assert np.isfinite(found).all()
        edges = [0, *(at for gap in lost for at in gap), 600]
        for start, stop in list(pairwise(edges))[::2]:
            assert np.array_equal(found[start:stop], x[start:stop])
        if not x.any():
            assert not found.any()
