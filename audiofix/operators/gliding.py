"""Autoregressive interpolation of a voice: its pitch glides, and time is warped so that it does not.

Autoregression continues what is stationary. Half a vowel away a voice has another pitch, and after 50 ms its
partials are out of step with what was foretold from the side. Played at a speed that changes as the pitch does
(time-warped, as Edler, Disch, Bayer, Fuchs & Geiger 2009 do to code speech) it has a constant pitch, is filled
there, and is played back. How pitch moves is not known: every one of a grid of glides and bends is tried on the
lower band, and the fill is a mean over them by how well each explains what is heard on both sides
(models/recipes/EXPERIMENTS.md has what it gains).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.signal import resample_poly
from threadpoolctl import threadpool_limits

from audiofix.operators.autoregression import (
    NEARBY,
    Signal,
    covariance_method,
    fill,
    interpolate_evenly,
    nearby,
    solve_normal,
)

RATE = 16000  # Hz, of the priors: what the speeds below are counted at
GLIDES = (-4.0, -3.0, -2.2, -1.5, -1.0, -0.6, -0.3, 0.0, 0.3, 0.6, 1.0, 1.5, 2.2, 3.0, 4.0)  # octaves / s
BENDS = (-10.0, 0.0, 10.0)  # octaves / s^2
LOWER, LOW_ORDER = 4, 32  # partials are told apart below 2 kHz, at a quarter of the rate
TRANSIENT = 10 * LOWER  # samples at the ends that the low-pass spoils
KEPT = 5  # of the grid: what is less plausible does not count
# Of the logarithm of the likelihood. Errors of autoregression are not independent, and the grid has not what is
# true: taken at its word the likelihood picks one glide and errs with it.
TRUST = 0.03
REACH = 640  # samples that are looked at on each side, at least
LONGEST = 4800  # samples: a gap of 0.3 s is longer than any glide lasts, and is filled evenly
TAPS = 12  # on each side, of the interpolation between samples


@dataclass(frozen=True, eq=False)
class Between:
    """Places between samples of a stretch, and how those around make up what lies there (a windowed sinc).

    Attributes
    ----------
    near, kernel
        (place, 2 TAPS) whole places, which may lie beyond the stretch, and their shares.
    """

    near: NDArray[np.intp]
    kernel: Signal

    @classmethod
    def of(cls, places: Signal) -> Between:
        """For (place,), counted in samples."""
        whole = np.floor(places)
        taps = np.arange(1 - TAPS, TAPS + 1)
        fraction = np.clip(places - whole, 1e-9, 1 - 1e-9)  # at 0 the sinc would be 0 / 0
        away = fraction[:, None] - taps
        sinc = np.sin(np.pi * fraction)[:, None] * (1 - 2 * (taps % 2)) / (np.pi * away)
        # cos(away) for a window of Hann's by the theorem of addition: one cosine for a row and one for a column.
        at, around = np.pi / TAPS * fraction, np.pi / TAPS * taps
        hann = 0.5 + 0.5 * (np.outer(np.cos(at), np.cos(around)) + np.outer(np.sin(at), np.sin(around)))
        return cls(whole.astype(np.intp)[:, None] + taps, sinc * hann)

    def read(self, x: Signal) -> Signal:
        """(time,) to (place,); the first and last sample are held beyond the ends."""
        found: Signal = np.einsum("ij,ij->i", np.take(x, self.near, mode="clip"), self.kernel)
        return found


@dataclass(frozen=True, eq=False)
class Warp:
    """How a stretch is played so that a gliding pitch becomes constant.

    Attributes
    ----------
    there, back
        From the stretch to all of the warped one, and from that to the samples of the gap.
    start, stop
        The gap in the warped stretch.
    """

    there: Between
    back: Between
    start: int
    stop: int


def warp(time: int, start: int, stop: int, glide: float, bend: float, rate: float) -> Warp:
    """The warp that makes a pitch constant which is 2^(glide t + bend t^2 / 2) times another, t s from the gap.

    `time`: samples of the stretch, in which the gap is from start to stop. The speed is 1 on average in the gap,
    so that its length stays.
    """
    seconds = (np.arange(time) - (start + stop - 1) / 2) / rate
    speed = 2 ** (glide * seconds + bend * seconds**2 / 2)
    speed /= speed[start:stop].mean()
    place = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2)])
    place -= place[start]  # so that samples stay where they are if nothing glides
    first = math.ceil(place[0])
    there = np.interp(np.arange(first, math.floor(place[-1]) + 1), place, np.arange(time))
    begin, end = np.searchsorted(there, (start - 0.5, stop - 0.5))
    return Warp(Between.of(there), Between.of(place[start:stop] - first), int(begin), int(end))


def along(x: Signal, order: int, how: Warp) -> tuple[Signal, float]:
    """Fill the gap of (time,) where time is warped, and the log-likelihood of that, but for a constant.

    x holds a first guess in the gap, from which the coefficients are estimated. Returns (lost,) and
    -(count / 2) log(mean squared error).
    """
    y = how.there.read(x)
    before, after = how.start, len(y) - how.stop
    within = max(1, min(order, before, after, (before + after) // (2 * NEARBY)))
    coefficients = _coefficients(y, within)
    y[how.start : how.stop] = fill(y, how.start, how.stop, coefficients)
    errors = np.convolve(y, coefficients)[within : len(y)]
    power = float(np.mean(errors**2)) + 1e-12 * float(np.mean(y**2)) + 1e-30
    return how.back.read(y), -len(errors) / 2 * math.log(power)


def again(x: Signal, start: int, stop: int, orders: Sequence[int], how: Warp) -> tuple[list[Signal], float]:
    """`along` by each order, from a guess by the first of them; the log-likelihood is that of the last."""
    x = x.copy()
    x[start:stop], score = along(x, orders[0], how)
    found = []
    for order in orders:
        filled, score = along(x, order, how)
        found.append(filled)
    return found, score


def plausible(x: Signal, start: int, stop: int) -> list[tuple[float, float, float]]:
    """Weight, glide and bend of the KEPT most plausible; weights sum to 1. x: (time,), with a guess in the gap."""
    low = resample_poly(x, 1, LOWER)[TRANSIENT // LOWER : -TRANSIENT // LOWER]
    first = max(1, (start - TRANSIENT) // LOWER)
    last = max(first + 1, -(-(stop - TRANSIENT) // LOWER))
    found = []
    for glide, bend in product(GLIDES, BENDS):
        how = warp(len(low), first, last, glide, bend, RATE / LOWER)
        found.append((again(low, first, last, [LOW_ORDER], how)[1], glide, bend))
    best = sorted(found, reverse=True)[:KEPT]
    weights = np.exp([TRUST * (score - best[0][0]) for score, _, _ in best])
    return [(float(w), g, b) for w, (_, g, b) in zip(weights / weights.sum(), best, strict=True)]


def interpolate_along_glides(x: Signal, start: int, stop: int, orders: Sequence[int]) -> list[Signal]:
    """Fill one gap of (time,), the neighbourhood to learn from, by autoregression of each order.

    Where little is known on a side, and in long gaps, as `interpolate_evenly`. Returns (stop - start,) of each.
    """
    known = start + len(x) - stop
    within = [min(order, start, len(x) - stop, known // (2 * NEARBY)) for order in orders]
    if min(within) < 1:
        return [np.zeros(stop - start) for _ in orders]
    even = [interpolate_evenly(x, start, stop, order) for order in within]
    if min(start, len(x) - stop) < TRANSIENT + LOWER * LOW_ORDER or stop - start > LONGEST:
        return even
    x = x.copy()
    x[start:stop] = even[0]
    filled = [np.zeros(stop - start) for _ in orders]
    for weight, glide, bend in plausible(x, start, stop):
        how = warp(len(x), start, stop, glide, bend, RATE)
        for whole, one in zip(filled, again(x, start, stop, orders, how)[0], strict=True):
            whole += weight * one
    return filled


def fill_along_glides(x: Signal, lost: Sequence[tuple[int, int]], orders: Sequence[int]) -> Signal:
    """Fill each gap of (time,) by each order: (order, time). See `fill_from_nearby`, whose rules these are."""
    filled = np.repeat(x[None], len(orders), axis=0)
    for start, stop in lost:
        filled[:, start:stop] = 0
    # Of matrices with some hundred rows a second thread costs more than it gives: five times where cores are busy.
    with threadpool_limits(1, "blas"):
        for index, (start, stop) in enumerate(lost):
            left, right = nearby(lost, index, len(x), reach(orders))
            fills = interpolate_along_glides(x[left:right], start - left, stop - left, orders)
            filled[:, start:stop] = fills
    return filled


def reach(orders: Sequence[int]) -> int:
    """Samples that are looked at on each side of a gap."""
    return max(REACH, NEARBY * max(orders))


def _coefficients(x: Signal, order: int) -> Signal:
    """`covariance_method`, by one product of matrices where that is quicker."""
    if order > LOW_ORDER:
        return covariance_method(x, order)
    delayed = sliding_window_view(x, order + 1)[:, ::-1]
    return solve_normal(delayed.T @ delayed)
