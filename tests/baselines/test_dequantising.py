"""Dequantising: in its cell to the bit, and better than nothing."""

from __future__ import annotations

import numpy as np
import pytest

from audiofix.baselines.dequantising import cells, dequantise_sparse
from audiofix.errors import InputError, SettingError
from tests.baselines.signals import harmonic, short_inputs, snr_db


def quantised(x: np.ndarray, step: float, offset: float = 0.0) -> np.ndarray:
    return ((np.round(x.astype(np.float64) / step - offset) + offset) * step).astype(x.dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("step", "offset"), [(2.0**-3, 0.0), (2.0**-5, 0.5), (0.013, 0.3)])
def test_quantises_to_the_same_again(dtype, step, offset):
    x = quantised(harmonic(4096).astype(dtype), step, offset)
    y = dequantise_sparse(x, step, offset)
    assert y.dtype == dtype
    assert not np.array_equal(x, y)
    assert np.abs(y.astype(np.float64) - x).max() <= step / 2
    np.testing.assert_array_equal(quantised(y, step, offset), x)


def test_the_cells_leave_no_room_for_rounding():
    """A value on the very edge goes to either neighbour, which is why cells are smaller by a rounding."""
    lower, upper = cells(np.linspace(-1, 1, 21).astype(np.float32), 0.1)
    assert (upper - lower < 0.1).all()
    assert (upper - lower > 0.1 - 1e-5).all()


@pytest.mark.parametrize("bits", [4, 6])
def test_nearer_to_the_truth_than_the_quantised(bits):
    """60 lines of 4 bins, a Hann window's peak, hold a quarter of what is spread over 1025: 6 dB.

    Half of that, 3 dB, must go. Two pitches: rounding one periodic sound gives another, just as sparse.
    """
    truth, step = harmonic() + harmonic(pitch=277.5), 2.0 ** (1 - bits)
    truth *= 0.1 / np.sqrt(np.mean(truth**2))
    x = quantised(truth, step)
    assert snr_db(dequantise_sparse(x, step), truth) > snr_db(x, truth) + 3


def test_short_and_silent():
    for x in short_inputs():
        y = dequantise_sparse(quantised(x, 0.25), 0.25)
        assert y.shape == x.shape
        assert y.dtype == x.dtype
    np.testing.assert_array_equal(dequantise_sparse(np.zeros(5000), 0.25), 0)


@pytest.mark.parametrize(
    ("step", "offset"), [(0.0, 0.0), (-1.0, 0.0), (np.inf, 0.0), (0.1, 1.0), (0.1, np.nan)]
)
def test_wrong_steps(step, offset):
    with pytest.raises(SettingError, match="give a step"):
        dequantise_sparse(np.zeros(10), step, offset)


def test_wrong_shape():
    with pytest.raises(InputError, match="one channel"):
        dequantise_sparse(np.zeros((2, 10)), 0.1)
