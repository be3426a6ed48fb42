"""Autoregressive interpolation against dense least squares, and against signals that it must fill."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from audiofix.operators.autoregression import (
    CONTEXT,
    NEARBY,
    RIDGE,
    Estimate,
    Signal,
    autocorrelation_method,
    covariance_method,
    fill,
    fill_from_nearby,
    interpolate,
    janssen,
    neighbourhood,
)

EPS = float(np.finfo(np.float64).eps)
METHODS: dict[str, Estimate] = {
    "autocorrelation": autocorrelation_method,
    "covariance": covariance_method,
}


def noise(time: int, seed: int = 0) -> Signal:
    return np.random.default_rng(seed).standard_normal(time)


def coloured(time: int, seed: int = 0) -> Signal:
    """Noise through a short filter: neither white nor so coloured that equations are ill-conditioned."""
    return np.convolve(noise(time, seed), [1, 0.8, -0.3, 0.2], mode="same")


def tones(time: int) -> Signal:
    """Three sinusoids, which six coefficients predict exactly."""
    t = np.arange(time)
    return sum(a * np.sin(w * t + p) for a, w, p in ((0.3, 0.1, 0.0), (0.2, 0.35, 1.0), (0.1, 1.2, 2.0)))


def errors(x: Signal, coefficients: Signal) -> Signal:
    """What the coefficients do not predict, for every sample with a whole history: e_t = sum a_i x_(t-i)."""
    return np.convolve(x, coefficients, mode="valid")


def histories(x: Signal, order: int) -> Signal:
    """(time - order, order): row t - order holds x_(t-1) ... x_(t-order)."""
    return np.lib.stride_tricks.sliding_window_view(x[:-1], order)[:, ::-1]


def snr_db(estimate: Signal, truth: Signal) -> float:
    return 10 * math.log10(np.sum(truth**2) / np.sum((estimate - truth) ** 2))


# Coefficients.


@pytest.mark.parametrize("order", [1, 5, 20])
@pytest.mark.parametrize("method", METHODS)
def test_coefficients_are_those_of_dense_least_squares(method: str, order: int) -> None:
    x = coloured(200)
    # Silence outside, or only samples that have a whole history.
    silence = np.zeros(order)
    seen = np.concatenate([silence, x, silence]) if method == "autocorrelation" else x
    rows = histories(seen, order)
    expected, *_ = np.linalg.lstsq(rows, -seen[order:], rcond=None)
    found = METHODS[method](x, order)
    assert found.shape == (order + 1,)
    assert found[0] == 1
    # Normal equations: their rounding, of sums of 200 products, and their ridge, times their condition number.
    condition = np.linalg.cond(rows.T @ rows)
    tolerance = condition * (len(seen) * EPS + 2 * RIDGE) * np.linalg.norm(found)
    assert np.linalg.norm(found[1:] - expected) < tolerance
    assert tolerance < 1e-8


def test_the_two_estimates_differ_by_the_silence_outside() -> None:
    x = coloured(200)
    one, other = (estimate(x, 5) for estimate in METHODS.values())
    assert np.abs(one - other).max() > 1e-3
    silence = np.zeros(5)
    again = covariance_method(np.concatenate([silence, x, silence]), 5)
    assert np.abs(one - again).max() < 1e-8


@pytest.mark.parametrize("method", METHODS)
def test_silence_has_coefficients_too(method: str) -> None:
    assert METHODS[method](np.zeros(100), 10).tolist() == [1] + [0] * 10


# One gap.


def test_a_sound_that_ends_in_digital_silence_within_an_order_has_coefficients() -> None:
    """Rounding of its products, 1e-19 of them here, was more than the ridge where all that follows is zero."""
    rng = np.random.default_rng(0)
    for _ in range(50):
        x = np.zeros(762)
        x[:70] = np.round(600 * rng.standard_normal(70)) / 32768
        found = covariance_method(x, 96)
        assert found[0] == 1
        assert np.isfinite(found).all()


@pytest.mark.parametrize("order", [1, 3, 12])
@pytest.mark.parametrize("lost", [1, 2, 12, 13, 60])
def test_fill_is_dense_least_squares_over_the_lost_samples(order: int, lost: int) -> None:
    x, start = coloured(200), 70
    stop = start + lost
    coefficients = covariance_method(x, order)
    # Errors as a matrix on the samples; those that are lost are free.
    matrix = np.stack([errors(unit, coefficients) for unit in np.eye(len(x))], axis=1)
    known = x.copy()
    known[start:stop] = 0
    free = matrix[:, start:stop]
    expected, *_ = np.linalg.lstsq(free, -matrix @ known, rcond=None)
    found = fill(x, start, stop, coefficients)
    tolerance = np.linalg.cond(free.T @ free) * (lost + 2 * order) * EPS * np.linalg.norm(x)
    assert np.linalg.norm(found - expected) < tolerance
    assert tolerance < 1e-8
    # Least: any other fill has more error energy, by the move's own.
    known[start:stop] = found
    least, move = np.sum(errors(known, coefficients) ** 2), 0.1 * noise(lost, seed=1)
    known[start:stop] += move
    assert np.sum(errors(known, coefficients) ** 2) == pytest.approx(
        least + np.sum((free @ move) ** 2), rel=1e-9
    )


def test_fill_does_not_look_into_the_gap_nor_beyond_its_order() -> None:
    x = coloured(200)
    coefficients = covariance_method(x, 7)
    spoilt = np.full_like(x, np.nan)
    for near in (slice(73, 80), slice(100, 107)):
        spoilt[near] = x[near]
    assert np.array_equal(fill(spoilt, 80, 100, coefficients), fill(x, 80, 100, coefficients))
    spoilt[73] += 1
    assert np.abs(fill(spoilt, 80, 100, coefficients) - fill(x, 80, 100, coefficients)).max() > 1e-3


def test_every_round_lowers_the_same_error_energy() -> None:
    """With the covariance method: coefficients and samples take turns in one problem of least squares."""
    clean = tones(400) + 0.001 * noise(400)
    x, order, start, stop = clean.copy(), 10, 150, 200
    energies, slack = [], 0.0
    for rounds in range(1, 7):
        x[start:stop] = interpolate(clean, start, stop, order, covariance_method, rounds)
        coefficients = covariance_method(x, order)
        energies.append(np.sum(errors(x, coefficients) ** 2))
        # Least is the energy plus the ridge's share of the signal's.
        slack = max(slack, RIDGE * np.sum(x**2) * np.sum(coefficients**2))
    assert all(later <= sooner + slack for sooner, later in pairwise(energies))
    assert energies[1] < 0.95 * energies[0]
    assert slack < 1e-6 * energies[-1]


def test_sinusoids_are_filled() -> None:
    x, gap = tones(4000), slice(1900, 2000)
    found = {
        name: janssen(x, [(1900, 2000)], 16, lambda _: 5, estimate)[gap] for name, estimate in METHODS.items()
    }
    # Six coefficients predict all of it, so nothing but the ridge, -120 dB of the power, is in the way.
    assert snr_db(found["covariance"], x[gap]) > -10 * math.log10(RIDGE)
    # Silence outside widens the lines, the more the shorter the memory.
    assert 10 < snr_db(found["autocorrelation"], x[gap]) < 40
    longer = janssen(x, [(1900, 2000)], 256, lambda _: 2)[gap]
    assert snr_db(longer, x[gap]) > 50
    # Too few coefficients for three sinusoids, and a straight line, are no match.
    assert snr_db(janssen(x, [(1900, 2000)], 5, lambda _: 5, covariance_method)[gap], x[gap]) < 10
    assert snr_db(np.linspace(x[1899], x[2000], 102)[1:-1], x[gap]) < 10


def test_rounds_depend_on_the_gap() -> None:
    x, lost, asked = tones(1000), [(300, 320), (600, 650)], []

    def rounds(size: int) -> int:
        asked.append(size)
        return 1 if size == 20 else 3

    found = janssen(x, lost, 16, rounds)
    assert asked == [20, 50]
    for (start, stop), count in zip(lost, (1, 3), strict=True):
        same, other = (janssen(x, lost, 16, lambda _, n=n: n)[start:stop] for n in (count, 4 - count))
        assert np.array_equal(found[start:stop], same)
        assert not np.array_equal(found[start:stop], other)


# Several gaps, and their surroundings.


@pytest.mark.parametrize(
    ("lost", "index", "expected"),
    [
        ([(500, 510)], 0, (500 - 20 * CONTEXT, 510 + 20 * CONTEXT)),  # the order is longer
        ([(400, 440)], 0, (400 - 40 * CONTEXT, 440 + 40 * CONTEXT)),  # the gap is
        ([(30, 40)], 0, (0, 40 + 20 * CONTEXT)),
        ([(950, 960)], 0, (950 - 20 * CONTEXT, 1000)),
        ([(460, 480), (500, 510), (530, 540)], 1, (480, 530)),
        ([(460, 480), (500, 510), (530, 540)], 2, (510, 540 + 20 * CONTEXT)),
    ],
)
def test_what_is_learnt_from(lost: Sequence[tuple[int, int]], index: int, expected: tuple[int, int]) -> None:
    assert neighbourhood(lost, index, 1000, 20) == expected


@pytest.mark.parametrize("method", METHODS)
def test_known_samples_stay_and_gaps_are_not_looked_at(method: str) -> None:
    x, lost = coloured(1000), [(0, 10), (300, 350), (420, 430), (990, 1000)]
    kept = np.ones(1000, bool)
    for start, stop in lost:
        kept[start:stop] = False
    spoilt = np.where(kept, x, np.nan)
    before = spoilt.copy()
    found = janssen(spoilt, lost, 24, lambda _: 2, METHODS[method])
    assert np.array_equal(spoilt, before, equal_nan=True)  # the argument is left alone
    assert np.array_equal(found[kept], x[kept])
    assert np.array_equal(found, janssen(x, lost, 24, lambda _: 2, METHODS[method]))
    assert np.abs(found[300:350]).max() > 0.1


def test_each_gap_is_filled_from_its_own_neighbourhood() -> None:
    x, lost = coloured(1000), [(300, 350), (420, 430)]
    found = janssen(x, lost, 24, lambda _: 2)
    # The first learns up to the second, the second from the end of the first.
    first = interpolate(x[100:420], 200, 250, 24, autocorrelation_method, 2)
    second = interpolate(x[350:526], 70, 80, 24, autocorrelation_method, 2)
    assert np.array_equal(found[300:350], first)
    assert np.array_equal(found[420:430], second)
    far = x.copy()
    far[:100], far[526:] = 7, 7
    assert np.array_equal(janssen(far, lost, 24, lambda _: 2)[300:430], found[300:430])


def test_little_context_lowers_the_order_and_none_leaves_silence() -> None:
    x = coloured(600)
    assert np.array_equal(
        janssen(x, [(3, 20)], 24, lambda _: 2)[3:20],
        interpolate(x[: 20 + 24 * CONTEXT], 3, 20, 3, autocorrelation_method, 2),
    )
    for edge in ((0, 50), (550, 600), (0, 600)):
        found = janssen(x, [edge], 24, lambda _: 2)
        assert not found[slice(*edge)].any()
    # A lone sample between two gaps is context for both, of order one.
    found = janssen(x, [(100, 150), (151, 200)], 24, lambda _: 2)
    assert found[149] != 0 != found[151]


def test_no_gap_changes_nothing() -> None:
    x = coloured(100)
    found = janssen(x, [], 24, lambda _: 2)
    assert np.array_equal(found, x)
    assert found is not x


# From nearby alone.


def test_nearby_fills_learn_from_their_orders_and_no_further() -> None:
    x, lost, reach = coloured(1000), [(480, 520)], 24 * NEARBY
    found = fill_from_nearby(x, lost, 24)
    first, last = 480 - reach, 520 + reach
    assert np.array_equal(
        found[480:520], interpolate(x[first:last], reach, reach + 40, 24, covariance_method, 2)
    )
    far = x.copy()
    far[:first], far[last:] = 7, 7
    assert np.array_equal(fill_from_nearby(far, lost, 24)[480:520], found[480:520])
    far[first] = 8
    assert not np.array_equal(fill_from_nearby(far, lost, 24)[480:520], found[480:520])


def test_nearby_fills_look_at_no_gap_and_keep_what_is_known() -> None:
    x, lost = coloured(1000), [(0, 10), (300, 350), (420, 430), (990, 1000)]
    kept = np.ones(1000, bool)
    for start, stop in lost:
        kept[start:stop] = False
    spoilt = np.where(kept, x, np.nan)
    found = fill_from_nearby(spoilt, lost, 24)
    assert np.array_equal(found[kept], x[kept])
    assert np.array_equal(found, fill_from_nearby(x, lost, 24))
    # The first learns up to the second, the second from the end of the first.
    assert np.array_equal(
        found[300:350], interpolate(x[228:420], 72, 122, 23, covariance_method, 2)
    )  # 72 and 70 samples known: 142 // 6
    assert not found[:10].any()
    assert not found[990:].any()


def test_nearby_fills_lower_the_order_with_what_is_known() -> None:
    x = coloured(600)
    found = fill_from_nearby(x, [(30, 50)], 24)
    assert np.array_equal(found[30:50], interpolate(x[:122], 30, 50, 17, covariance_method, 2))  # 102 // 6
    found = fill_from_nearby(x, [(3, 20)], 24)  # no more than there are before it
    assert np.array_equal(found[3:20], interpolate(x[: 20 + 72], 3, 20, 3, covariance_method, 2))
    # Five samples are no evidence of anything.
    assert not fill_from_nearby(x[:25], [(2, 22)], 24)[2:22].any()


def test_nearby_fills_follow_what_changes() -> None:
    """A glide: what was heard long before tells of other frequencies."""
    time = np.arange(6000)
    x = np.sin(0.05 * time + 2e-5 * time**2) + 1e-4 * noise(6000)
    lost, gap = [(2900, 3000)], slice(2900, 3000)
    near = snr_db(fill_from_nearby(x, lost, 64)[gap], x[gap])
    published = snr_db(janssen(x, lost, 64, lambda _: 2)[gap], x[gap])
    assert near > published + 6
