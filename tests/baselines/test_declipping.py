"""Declippers: consistent to the bit, better than nothing, and the interpolator against dense algebra."""

from __future__ import annotations

import numpy as np
import pytest

from audiofix.baselines.declipping import (
    RIDGE,
    consistent,
    declip_autoregressive,
    declip_interpolated,
    declip_sparse,
    fill_scattered,
)
from audiofix.errors import InputError, SettingError
from tests.baselines.signals import harmonic, short_inputs, snr_db

METHODS = [declip_interpolated, declip_autoregressive, declip_sparse]


def is_consistent(restored: np.ndarray, recorded: np.ndarray, low: float, high: float) -> bool:
    above, below = recorded >= high, recorded <= low
    reliable = ~(above | below)
    same = np.array_equal(restored[reliable], recorded[reliable])
    return bool(same and (restored[above] >= high).all() and (restored[below] <= low).all())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_comes_back_clips_to_what_was_recorded(method, dtype):
    low, high = -0.11, 0.13
    x = np.clip(harmonic().astype(dtype), low, high)
    y = method(x, low, high)
    assert y.dtype == dtype
    assert is_consistent(y, x, low, high)
    np.testing.assert_array_equal(np.clip(y, low, high), x)


def test_the_check_of_consistency_sees_a_scaled_signal():
    x = np.clip(harmonic(), -0.1, 0.1)
    assert not is_consistent(x * 1.001, x, -0.1, 0.1)
    assert not is_consistent(x * 0.999, x, -0.1, 0.1)


# What a smooth peak lacks is near a parabola, which a cubic follows: at least half of the error, 3 dB. 30 lines
# are 90 numbers, and each frame has some 1,600 reliable samples to find them: at least nine tenths, 10 dB.
@pytest.mark.parametrize(
    ("method", "gain_db"),
    [(declip_interpolated, 3), (declip_autoregressive, 10), (declip_sparse, 10)],
)
def test_nearer_to_the_truth_than_the_clipped(method, gain_db):
    truth = harmonic()
    level = float(np.quantile(np.abs(truth), 0.8))
    x = np.clip(truth, -level, level)
    lost = np.abs(x) >= level
    before, after = snr_db(x, truth, lost), snr_db(method(x, -level, level), truth, lost)
    assert after > before + gain_db


@pytest.mark.parametrize("method", METHODS)
def test_short_and_silent(method):
    for x in short_inputs():
        for level in (0.2, 0.6):
            y = method(np.clip(x, -level, level), -level, level)
            assert y.shape == x.shape
            assert y.dtype == x.dtype
            assert np.isfinite(y).all()
    np.testing.assert_array_equal(method(np.zeros(5000), -0.1, 0.1), 0)
    assert np.isfinite(method(np.full(3000, 0.5), -0.5, 0.5)).all()


@pytest.mark.parametrize("method", METHODS)
def test_nothing_clipped_nothing_changed(method):
    x = harmonic(3001)
    np.testing.assert_array_equal(method(x, -1.0, 1.0), x)


@pytest.mark.parametrize("method", METHODS)
def test_levels_may_lie_on_one_side_of_zero(method):
    """Silence outside the signal is then beyond a level; that must not matter."""
    x = np.clip(harmonic(3000) + 0.5, 0.4, 0.6)
    assert is_consistent(method(x, 0.4, 0.6), x, 0.4, 0.6)


@pytest.mark.parametrize("method", METHODS)
def test_wrong_input(method):
    with pytest.raises(SettingError, match="clip levels"):
        method(np.zeros(10), 0.1, 0.1)
    with pytest.raises(InputError, match="one channel"):
        method(np.zeros((2, 10)), -0.1, 0.1)


def test_projection():
    y = np.array([-0.5, -0.2, 0.3, 0.5, 0.5])
    x = np.array([-0.7, 0.9, 0.9, 0.4, 0.8])
    np.testing.assert_array_equal(consistent(x, y, -0.5, 0.5), [-0.7, -0.2, 0.3, 0.5, 0.8])


def test_scattered_samples_against_least_squares():
    generator = np.random.default_rng(4)
    coefficients = np.array([1.0, -0.9, 0.5, 0.1])
    x = generator.standard_normal(60)
    lost = np.zeros(60, bool)
    lost[5:55] = generator.random(50) < 0.4
    # The error of every output of the prediction filter, silence outside.
    filters = np.array([np.convolve(unit, coefficients) for unit in np.eye(60)]).T
    truth = np.linalg.lstsq(filters[:, lost], -filters[:, ~lost] @ x[~lost], rcond=None)[0]
    # A ridge of RIDGE moves the solution by RIDGE times the condition number, which the diagonal bounds here.
    spread = np.linalg.cond(filters[:, lost]) ** 2
    found = fill_scattered(np.where(lost, 0.0, x), lost, coefficients)
    np.testing.assert_allclose(found, truth, rtol=0, atol=2 * RIDGE * spread * np.linalg.norm(truth))
    wrong = fill_scattered(x, lost, coefficients)  # lost samples not emptied
    assert np.abs(wrong - truth).max() > 0.1
