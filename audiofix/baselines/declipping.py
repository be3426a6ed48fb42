"""Declipping without a model of the source: interpolation, autoregression, sparsity. All are consistent."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.linalg import solveh_banded
from scipy.signal import oaconvolve

from audiofix.baselines.frames import Floats, Signal, hann, mono
from audiofix.baselines.spade import Spade, sparsest
from audiofix.errors import SettingError
from audiofix.operators.autoregression import autocorrelation_method

Mask = NDArray[np.bool_]
Kind = TypeVar("Kind", bound=np.floating)
SPARSE = Spade(frame=2048, rise=4.0)
# Of autoregression: samples filled together, samples seen on each side, order, rounds of estimating and filling.
BLOCK, CONTEXT, ORDER, ROUNDS = 2048, 1024, 256, 5
# On the diagonal of the interpolator's equations, relative to it.
RIDGE = 1e-9


def clipped(y: Floats, low: float, high: float) -> tuple[Mask, Mask]:
    """Where (time,) is at or below `low`, and where it is at or above `high`, both (time,).

    The levels are rounded to the dtype of y. Raises SettingError unless low < high.
    """
    if not low < high:
        raise SettingError(f"clip levels {low:g} and {high:g}; give a lower and a higher one")
    return y <= float(low), y >= float(high)


def consistent(x: Floats, y: NDArray[Kind], low: float, high: float) -> NDArray[Kind]:
    """Project x on the signals that clip to y: reliable samples are those of y, others go beyond the level.

    x, y: (time,), full scale 1; returns (time,) in the dtype of y. Raises SettingError unless low < high.
    """
    below, above = clipped(y, low, high)
    wide = x.astype(y.dtype)
    return np.where(above, np.maximum(wide, float(high)), np.where(below, np.minimum(wide, float(low)), y))


def declip_interpolated(x: Floats, low: float, high: float) -> Floats:
    """Lay a cubic spline through the reliable samples; where it stays within the level, take the level.

    The classical remedy of editors, good for runs of a few samples. x: (time,), full scale 1, clipped at `low`
    and `high`; returns (time,) of the same dtype. Raises SettingError unless low < high.
    """
    signal, (below, above) = mono(x), clipped(x, low, high)
    known = np.flatnonzero(~(below | above))
    if len(known) in {0, len(x)}:
        return x.copy()
    # A cubic grows without bound where nothing holds it: before the first and after the last reliable sample.
    places = np.clip(np.arange(len(x)), known[0], known[-1])
    curve = np.full(len(x), signal[known[0]])
    if len(known) > 1:
        curve = CubicSpline(known, signal[known])(places)
    return consistent(curve, x, low, high)


def interpolator(lost: NDArray[np.intp], lags: Signal) -> Signal:
    """Lower bands of the matrix b_(t-s) for lost t and s, as `scipy.linalg.solveh_banded` wants them.

    lost: (n,) increasing; lags: (p + 1,) b_0 ... b_p, beyond which b is 0. Returns (at most p + 1, n).
    """
    bands = min(len(lags), len(lost))
    later = np.arange(bands)[:, None] + np.arange(len(lost))
    apart = lost[np.minimum(later, len(lost) - 1)] - lost
    return np.append(lags, 0.0)[np.where(later < len(lost), np.minimum(apart, len(lags)), len(lags))]


def fill_scattered(x: Signal, lost: Mask, coefficients: Signal) -> Signal:
    """The lost samples with the least error energy, given all others (Janssen, Veldhuis & Vries 1986).

    As `audiofix.operators.autoregression.fill`, for samples that lie anywhere but among the first and last p.
    x: (time,), 0 where lost; coefficients: (p + 1,). Returns (lost,).
    """
    order, places = len(coefficients) - 1, np.flatnonzero(lost)
    lags = np.correlate(coefficients, coefficients, mode="full")
    right = -oaconvolve(x, lags, mode="same")[places]
    bands = interpolator(places, lags[order:])
    bands[0] *= 1 + RIDGE
    return solveh_banded(bands, right, lower=True, check_finite=False)


def fill_block(y: Signal, lower: Signal, upper: Signal) -> Signal:
    """Fill the samples that two bounds leave free, but for ORDER at each end, within the bounds.

    All (time,). Returns (time,), y where the bounds are equal.
    """
    lost = lower < upper
    lost[:ORDER] = lost[len(y) - ORDER :] = False
    x = y.copy()
    if not lost.any():
        return x
    window = hann(len(y))
    for _ in range(ROUNDS):
        # The window keeps the ends of the block from smearing narrow peaks of the spectrum.
        coefficients = autocorrelation_method(x * window, ORDER)
        filled = fill_scattered(np.where(lost, 0.0, x), lost, coefficients)
        x[lost] = np.clip(filled, lower[lost], upper[lost])
    return x


def declip_autoregressive(x: Floats, low: float, high: float) -> Floats:
    """Fill the clipped samples by autoregression (Janssen, Veldhuis & Vries 1986), block by block.

    Janssen's method takes them for lost; here whatever comes out within the level is put at the level before the
    coefficients are estimated anew. x: (time,), full scale 1, clipped at `low` and `high`; returns (time,) of the
    same dtype. Raises SettingError unless low < high.
    """
    signal, (below, above) = mono(x), clipped(x, low, high)
    lower = np.where(below, -np.inf, np.where(above, high, signal))
    upper = np.where(above, np.inf, np.where(below, low, signal))
    # Bounds of 0 outside: the silence there is known, whatever the levels.
    y, lower, upper = (np.pad(part, (CONTEXT, CONTEXT + -len(x) % BLOCK)) for part in (signal, lower, upper))
    filled = y.copy()
    for start in range(0, len(x), BLOCK):
        around = slice(start, start + BLOCK + 2 * CONTEXT)
        block = fill_block(y[around], lower[around], upper[around])
        filled[start + CONTEXT : start + CONTEXT + BLOCK] = block[CONTEXT:-CONTEXT]
    return consistent(filled[CONTEXT : CONTEXT + len(x)], x, low, high)


def declip_sparse(x: Floats, low: float, high: float, how: Spade = SPARSE) -> Floats:
    """The signal with the sparsest frames that clips to x: A-SPADE, see `audiofix.baselines.spade`.

    x: (time,), full scale 1, clipped at `low` and `high`; returns (time,) of the same dtype. The frames suit
    16 kHz; at other rates give `how` others, of about 0.1 s. Raises SettingError unless low < high.
    """
    signal, (below, above) = mono(x), clipped(x, low, high)
    lower, upper = np.where(below, -np.inf, signal), np.where(above, np.inf, signal)
    return consistent(sparsest(signal, lower, upper, None, how), x, low, high)
