"""Autoregressive interpolation where the excitation is louder at some times than at others.

A struck string is excited when the hammer falls. Taken for equally likely at all times, that error decides the
coefficients, and a gap before the stroke is filled to suit it. Here each error counts by its own variance, and
coefficients, samples and variances take turns: likelihood of a Gaussian autoregressive process whose excitation
has a variance that varies (models/recipes/EXPERIMENTS.md has what it gains).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.linalg import solve_toeplitz
from scipy.ndimage import uniform_filter1d
from scipy.signal import correlate, fftconvolve, oaconvolve

from audiofix.operators.autoregression import Signal, covariance_method, fill, solve_normal

# Of the rounds before the last, at most: variances want no more to begin with, and 256 leads astray.
FIRST_ORDERS = (512, 1024)
BLOCK = 256  # samples that share a variance when coefficients are estimated, and that it is averaged over
# Of the median variance: no error counts more than 20 times what one of the median does.
FLOOR, FAINTEST = 0.05, 1e-3
TOLERANCE, STEPS = 1e-5, 100  # of conjugate gradients: residual, relative; 1e-8 fills no better


def weighted_covariance_method(x: Signal, order: int, weights: Signal) -> Signal:
    """`covariance_method` with weights (block,) for the errors of BLOCK samples each, from x_order on.

    (time,) to (order + 1,). phi_ij = sum over t of w_t x_(t-i) x_(t-j) follows from its upper left neighbour, less
    what leaves and plus what enters at each change of weight: the count of blocks times order^2 products.
    """
    time = len(x)
    heavy = x[order:] * np.repeat(weights, BLOCK)[: time - order]
    changes = np.minimum(np.arange(len(weights) + 1) * BLOCK, time - order)
    before = sliding_window_view(x, order)[changes, ::-1]
    steps = (before * np.diff(weights, prepend=0.0, append=0.0)[:, None]).T @ before
    products = np.zeros((order + 1, order + 1))
    products[0] = correlate(x, heavy, mode="valid", method="fft")[::-1]
    for i in range(order):
        products[i + 1, i + 1 :] = products[i, i:-1] + steps[i, i:]
    return solve_normal(products)


def weighted_fill(x: Signal, start: int, stop: int, coefficients: Signal, weights: Signal) -> Signal:
    """`fill` with weights (stop - start + order,) for the errors from `start` on. Returns (stop - start,).

    Conjugate gradients, preconditioned by the even problem between square roots of the weights, which vary slowly.
    """
    order, lost = len(coefficients) - 1, stop - start
    known = x[start - order : stop + order].copy()
    known[order:-order] = 0
    given = oaconvolve(known, coefficients)[order : order + lost + order]

    def back(errors: Signal) -> Signal:
        found: Signal = fftconvolve(weights * errors, coefficients[::-1])[order : order + lost]
        return found

    column = np.zeros(lost)
    column[: order + 1] = correlate(coefficients, coefficients, method="fft")[order:][:lost]
    scale = weights[:lost] ** -0.5

    def nearly(z: Signal) -> Signal:
        found: Signal = scale * solve_toeplitz(column, scale * z, check_finite=False)
        return found

    wanted = -back(given)
    filled = nearly(wanted)
    rest = wanted - back(fftconvolve(filled, coefficients))
    move = step = nearly(rest)
    power, enough = float(rest @ step), TOLERANCE * float(np.linalg.norm(wanted))
    for _ in range(STEPS):
        if np.linalg.norm(rest) <= enough:
            break
        image = back(fftconvolve(move, coefficients))
        length = power / float(move @ image)
        filled, rest = filled + length * move, rest - length * image
        step = nearly(rest)
        power, before = float(rest @ step), power
        move = step + power / before * move
    return filled


def error_variance(errors: Signal, start: int, stop: int) -> Signal:
    """Variance of each error (time,) over the median one: a running mean of squares, FLOOR and up.

    Least squares leave too little error from `start` to `stop` to tell its variance from; there it goes straight,
    in decibels, from the one side to the other.
    """
    sides = [_smooth(errors[:start]), _smooth(errors[stop:])]
    ends = [side[at] for side, at in zip(sides, (-1, 0), strict=True) if len(side)] or [1.0]
    first, last = (math.log(max(ends[at], 1e-30)) for at in (0, -1))
    within = np.exp(np.linspace(first, last, stop - start + 2)[1:-1])
    variance = np.concatenate([sides[0], within, sides[1]])
    usual = max(np.median(variance), FAINTEST * variance.mean(), 1e-30)
    return variance / usual + FLOOR


def interpolate_unevenly(x: Signal, start: int, stop: int, order: int) -> Signal:
    """Fill one gap of (time,), the neighbourhood to learn from, with `order` samples or more on each side.

    The first round takes all errors for equally likely. Returns (stop - start,).
    """
    x = x.copy()
    x[start:stop] = 0
    first, *others = (min(order, most) for most in (*FIRST_ORDERS, order))
    coefficients = covariance_method(x, first)
    x[start:stop] = fill(x, start, stop, coefficients)
    for within in others:
        errors = oaconvolve(x, coefficients)[within : len(x)]
        variance = error_variance(errors, start - within, stop - within)
        coefficients = weighted_covariance_method(x, within, 1 / _blocks(variance))
        x[start:stop] = weighted_fill(x, start, stop, coefficients, 1 / variance[start - within : stop])
    return x[start:stop]


def _smooth(errors: Signal) -> Signal:
    found: Signal = uniform_filter1d(errors**2, BLOCK, mode="reflect") if len(errors) else errors
    return found


def _blocks(variance: Signal) -> NDArray[np.float64]:
    """Mean of each BLOCK of (time,), the last one of what there is: (block,)."""
    short = -len(variance) % BLOCK
    blocks: Signal = np.pad(variance, (0, short), mode="edge").reshape(-1, BLOCK).mean(axis=1)
    return blocks
