"""Interpolation along glides: warps against their formulas, and voices whose pitch glides."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from audiofix.numerics.fills import Fills
from audiofix.operators.autoregression import fill_from_nearby, interpolate_evenly
from audiofix.operators.gap import classical_fills, reach_of
from audiofix.operators.gliding import (
    KEPT,
    LONGEST,
    RATE,
    REACH,
    Between,
    fill_along_glides,
    plausible,
    reach,
    warp,
)

START, STOP, TIME = 2000, 2800, 4800  # a gap of 50 ms


def snr_db(found: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    return 10 * math.log10(float(truth @ truth) / float((found - truth) @ (found - truth)))


def voice(glide: float, bend: float = 0.0, seed: int = 0, pitch: float = 140.0) -> NDArray[np.float64]:
    """Twelve partials of falling strength whose pitch glides (octaves/s, octaves/s^2), over faint noise."""
    draw = np.random.default_rng(seed)
    seconds = (np.arange(TIME) - (START + STOP - 1) / 2) / RATE
    phase = 2 * np.pi * np.cumsum(pitch * 2 ** (glide * seconds + bend * seconds**2 / 2)) / RATE
    parts = [np.cos(k * phase + draw.uniform(0, 2 * np.pi)) / k for k in range(1, 13)]
    return 0.1 * np.sum(parts, axis=0) + 1e-4 * draw.standard_normal(TIME)


@pytest.mark.parametrize(("glide", "bend"), [(0.0, 0.0), (2.0, 0.0), (-1.5, 10.0)])
def test_a_warped_voice_has_a_constant_pitch(glide: float, bend: float) -> None:
    how = warp(TIME, START, STOP, glide, bend, RATE)
    assert (
        abs(how.stop - how.start - (STOP - START)) <= 2
    )  # the gap keeps its length, but for samples at its ends
    seconds = (np.arange(TIME) - (START + STOP - 1) / 2) / RATE
    tone = np.cos(2 * np.pi * np.cumsum(300 * 2 ** (glide * seconds + bend * seconds**2 / 2)) / RATE)
    # Two coefficients explain a tone, x(t + 1) + x(t - 1) = 2 cos(w) x(t), but not one that glides.
    warped = how.there.read(tone)[50:-50]
    middle, others = warped[1:-1], warped[2:] + warped[:-2]
    rest = others - float(middle @ others) / float(middle @ middle) * middle
    assert float(rest @ rest) < 1e-6 * float(middle @ middle)


def test_there_and_back_is_the_same_sound() -> None:
    time = np.arange(TIME)
    x = sum(np.cos(2 * np.pi * hertz / RATE * time + hertz) for hertz in (100, 1000, 5000))
    how = warp(TIME, START, STOP, 3.0, -10.0, RATE)
    back = how.back.read(how.there.read(x))
    # A sinc of 12 taps a side within Hann's window errs by less than 1e-3 below 0.7 of the Nyquist frequency.
    assert np.abs(back - x[START:STOP]).max() < 2 * 3 * 1e-3


def test_samples_at_whole_places_are_themselves() -> None:
    x = np.random.default_rng(0).standard_normal(100)
    found = Between.of(np.arange(100.0)).read(x)
    assert np.abs(found - x).max() < 1e-6


def test_where_nothing_glides_no_time_is_warped() -> None:
    how = warp(TIME, START, STOP, 0.0, 0.0, RATE)
    x = voice(0.0)
    assert (how.start, how.stop) == (START, STOP)
    assert np.abs(how.there.read(x) - x).max() < 1e-6


@pytest.mark.parametrize(("glide", "bend"), [(2.2, 0.0), (-1.5, 0.0), (0.6, 10.0), (-3.0, -10.0)])
def test_a_gliding_voice_is_filled(glide: float, bend: float) -> None:
    lost, gains = [(START, STOP)], []
    for seed in range(3):
        x = voice(glide, bend, seed)
        even = fill_from_nearby(x, lost, 192)[START:STOP]
        found = fill_along_glides(x, lost, [192])[0, START:STOP]
        gains.append(snr_db(found, x[START:STOP]) - snr_db(even, x[START:STOP]))
    # Several glides are averaged, so that a voice which does exactly as one of them is not filled exactly.
    assert min(gains) > 3


@pytest.mark.parametrize(("glide", "bend"), [(2.2, 0.0), (-1.5, 0.0), (1.0, 10.0), (0.0, 0.0)])
def test_the_glide_is_found(glide: float, bend: float) -> None:
    x = voice(glide, bend)
    x[START:STOP] = fill_from_nearby(x, [(START, STOP)], 192)[START:STOP]
    left, right = START - REACH, STOP + REACH
    found = plausible(x[left:right], REACH, REACH + STOP - START)
    assert len(found) == KEPT
    assert math.isclose(sum(weight for weight, _, _ in found), 1, rel_tol=1e-12)
    assert found == sorted(found, reverse=True)
    _, most, curve = found[0]
    assert abs(most - glide) <= 0.4  # a step of the grid next to it
    assert curve == bend


def test_a_steady_voice_is_filled_no_worse() -> None:
    lost = [(START, STOP)]
    for seed in range(3):
        x = voice(0.0, 0.0, seed)
        found = fill_along_glides(x, lost, [192])[0, START:STOP]
        assert snr_db(found, x[START:STOP]) > 15


def test_the_gap_and_what_is_far_are_not_looked_at() -> None:
    x, lost = voice(1.5), [(START, STOP)]
    found = fill_along_glides(x, lost, [96, 48])
    spoilt = x.copy()
    spoilt[START:STOP] = 7.0
    spoilt[: START - reach([96, 48])] += 1.0
    spoilt[STOP + reach([96, 48]) :] -= 1.0
    again = fill_along_glides(spoilt, lost, [96, 48])
    assert np.array_equal(again[:, START:STOP], found[:, START:STOP])
    spoilt[START - reach([96, 48])] += 1.0
    assert not np.array_equal(fill_along_glides(spoilt, lost, [96, 48])[:, START:STOP], found[:, START:STOP])


def test_what_is_known_comes_back_for_every_order() -> None:
    x, lost = voice(1.5), [(1000, 1100), (START, STOP), (3000, 3010)]
    found = fill_along_glides(x, lost, [96, 48])
    known = np.ones(TIME, bool)
    for start, stop in lost:
        known[start:stop] = False
    assert found.shape == (2, TIME)
    assert np.array_equal(found[:, known], np.stack([x, x])[:, known])
    assert not np.array_equal(found[0], found[1])


@pytest.mark.parametrize("scale", [1e-6, 1e4])
def test_there_is_no_scale(scale: float) -> None:
    x, lost = voice(-1.5), [(START, STOP)]
    one = fill_along_glides(x, lost, [96])
    assert np.linalg.norm(fill_along_glides(scale * x, lost, [96]) / scale - one) < 1e-3 * np.linalg.norm(one)


@pytest.mark.parametrize(
    "lost", [[(0, 40)], [(560, 600)], [(3, 20)], [(50, 80), (90, 95)], [(200, 201)], [(0, 600)]]
)
def test_gaps_at_the_ends_close_together_and_in_silence(lost: list[tuple[int, int]]) -> None:
    for x in (
        np.random.default_rng(0).standard_normal(600),
        np.zeros(600),
        np.r_[np.ones(300), np.zeros(300)],
    ):
        found = fill_along_glides(x, lost, [24, 12])
        assert np.isfinite(found).all()
        assert found.shape == (2, 600)


def test_long_gaps_and_little_around_are_filled_evenly() -> None:
    x = np.random.default_rng(1).standard_normal(LONGEST + 2 * REACH + 2)
    lost = [(REACH, REACH + LONGEST + 1)]
    assert np.array_equal(fill_along_glides(x, lost, [24])[0], _even(x, lost, 24))
    few = [(100, 140)]
    assert np.array_equal(fill_along_glides(x[:400], few, [24])[0, 100:140], _even(x[:400], few, 24)[100:140])


def _even(x: NDArray[np.float64], lost: list[tuple[int, int]], order: int) -> NDArray[np.float64]:
    filled = x.copy()
    for start, stop in lost:
        left, right = max(0, start - REACH), min(len(x), stop + REACH)
        filled[start:stop] = interpolate_evenly(x[left:right], start - left, stop - left, order)
    return filled


def test_as_a_kind_of_classical_fills() -> None:
    x, lost, how = voice(1.5), [(START, STOP)], Fills((96, 48), "gliding")
    expected = fill_along_glides(x, lost, (96, 48)).astype(np.float32)
    assert np.array_equal(classical_fills(x, lost, how), expected)
    assert reach_of(how) == reach((96, 48)) == REACH
    assert reach_of(Fills((1024, 192), "gliding")) == reach_of(Fills((1024, 192))) == 3 * 1024
