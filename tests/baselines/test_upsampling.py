"""Replication: the lower band to the bit, the upper one where the tilt says, tones that stay tones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from audiofix.baselines.upsampling import slopes, spectral_replication
from audiofix.errors import InputError, SettingError
from audiofix.numerics.metrics import log_spectral_distance
from tests.baselines.signals import RATE, harmonic, short_inputs


def band_limited(x: np.ndarray, cutoff_hz: float) -> np.ndarray:
    spectrum = np.fft.rfft(x)
    spectrum[np.fft.rfftfreq(len(x), 1 / RATE) >= cutoff_hz] = 0
    return np.fft.irfft(spectrum, len(x))


def energy(x: np.ndarray, low_hz: float, high_hz: float) -> float:
    hertz = np.fft.rfftfreq(len(x), 1 / RATE)
    return float(np.sum(np.abs(np.fft.rfft(x)[(hertz >= low_hz) & (hertz < high_hz)]) ** 2))


@pytest.mark.parametrize("cutoff_hz", [500.0, 2000.0, 3999.0, 7900.0])
@pytest.mark.parametrize("time", [8192, 8191])
def test_the_lower_band_comes_back(cutoff_hz, time):
    x = np.random.default_rng(0).standard_normal(time)
    y = spectral_replication(x, RATE, cutoff_hz)
    # Exact but for the rounding of two FFTs, far below the -80 dB promised.
    difference = energy(y - x, 0, cutoff_hz)
    assert difference < 1e-8 * energy(x, 0, cutoff_hz)
    assert difference < 1e-24 * energy(x, 0, cutoff_hz)


def test_nearer_in_spectrum_than_the_band_limited():
    """Partials of 250 Hz, moved up by 2000, lie on partials: most of the distance goes, at least half."""
    truth = harmonic(16384, pitch=250, partials=31, fall_db=1.0)
    x = band_limited(truth, 4000)
    y = spectral_replication(x, RATE, 4000)
    before, after = (
        float(log_spectral_distance(torch.from_numpy(s), torch.from_numpy(truth))) for s in (x, y)
    )
    assert after < 0.5 * before


@pytest.mark.parametrize("fall_db", [0.5, 1.0, 2.0])
def test_the_tilt_goes_on(fall_db):
    truth = harmonic(16384, partials=36, fall_db=fall_db)
    y = spectral_replication(band_limited(truth, 4000), RATE, 4000)
    ratio_db = 10 * np.log10(energy(y, 4000, 6000) / energy(truth, 4000, 6000))
    # A slope fitted to lines and the gaps between them; they may also begin a partial early or late.
    assert abs(ratio_db) < 3 + fall_db


def test_a_spectrum_that_rises_goes_on_level():
    rising = np.exp(np.linspace(0, 5, 64))[None]
    assert slopes(rising)[0] == 0
    assert slopes(rising[:, ::-1])[0] == pytest.approx(-5 / 63, rel=1e-6)


def test_a_tone_stays_a_tone():
    """Bins are copied by shifts that need not divide the hop; without the turns frames cancel."""
    cutoff_hz = 203 / 1024 * RATE
    y = spectral_replication(np.sin(2 * np.pi * 2500 / RATE * np.arange(16384)), RATE, cutoff_hz)
    upper = energy(y, cutoff_hz, RATE)
    for copy in (1, 2, 3):
        there = 2500 + copy * 102 / 1024 * RATE
        # Three copies, of equal power: the octave has no tilt to continue but what rises, which is held level.
        assert energy(y, there - 40, there + 40) > 0.9 * upper / 3 > 0


def test_short_and_silent():
    for x in short_inputs():
        y = spectral_replication(x, RATE, 4000)
        assert y.shape == x.shape
        assert y.dtype == x.dtype
    np.testing.assert_array_equal(spectral_replication(np.zeros(5000), RATE, 4000), 0)


def test_nothing_above_nothing_to_do():
    x = harmonic()
    np.testing.assert_array_equal(spectral_replication(x, RATE, 9000), x)


def test_wrong_input():
    with pytest.raises(SettingError, match="the cutoff is 100 Hz"):
        spectral_replication(np.zeros(100), RATE, 100)
    with pytest.raises(InputError, match="one channel"):
        spectral_replication(np.zeros((2, 100)), RATE, 4000)
