"""Denoisers: the noise's power, gains against their formulas, and better than nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from audiofix.baselines.denoising import (
    BINS,
    FRAME,
    LEAST_SNR,
    decision_directed,
    log_mmse,
    log_mmse_gain,
    noise_power,
    resynthesised,
    spectra,
    spectral_subtraction,
    wiener,
    wiener_gain,
    wiener_in_order,
)
from audiofix.errors import InputError, SettingError
from tests.baselines.signals import harmonic, short_inputs, snr_db

METHODS = [spectral_subtraction, wiener, log_mmse]


def noise(time: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(time)


def test_the_noises_power_is_what_its_frames_hold():
    x = 0.3 * noise(64 * FRAME)
    measured = np.mean(np.abs(spectra(x, FRAME)) ** 2)
    # Over 64 frames apart from each other, 513 bins each: the mean is good to 1 / sqrt(32,832), 0.6 %.
    assert measured == pytest.approx(noise_power(0.3, FRAME).mean(), rel=0.03)


def test_one_number_is_a_flat_profile():
    x = harmonic() + 0.03 * noise(8192)
    for method in METHODS:
        np.testing.assert_array_equal(method(x, 0.03), method(x, np.full(BINS, 0.03)))


def test_unchanged_spectra_give_the_signal_back():
    x = noise(5000)
    np.testing.assert_allclose(resynthesised(spectra(x, FRAME), FRAME, x), x, atol=1e-13)


@pytest.mark.parametrize("method", METHODS)
def test_nearer_to_the_truth_than_the_noisy(method):
    """Noise fills 513 bins; 30 lines of a main lobe of some 6 bins leave two thirds to the noise: over 4 dB."""
    truth = harmonic(16384)
    for snr in (5, 10):
        deviation = 0.1 * 10 ** (-snr / 20)
        x = truth + deviation * noise(len(truth), 1)
        assert snr_db(method(x, deviation), truth) > snr_db(x, truth) + 4


@pytest.mark.parametrize("method", METHODS)
def test_a_profile_is_heard_only_where_it_is(method):
    """Noise said to be in the upper half leaves a tone in the lower half alone, and goes itself."""
    tone = 0.1 * np.sin(2 * np.pi * 1000 / 16000 * np.arange(16384))
    x = tone + np.convolve(0.05 * noise(16384), [1, -1], mode="same")
    profile = np.where(np.arange(BINS) > BINS // 2, 0.1, 0.0)
    before, after = (np.abs(np.fft.rfft(signal)) ** 2 for signal in (x, method(x, profile)))
    assert after[:4000].sum() == pytest.approx(before[:4000].sum(), rel=0.01)
    assert after[4200:].sum() < before[4200:].sum() / 10


@pytest.mark.parametrize("method", METHODS)
def test_short_and_silent(method):
    for x in short_inputs():
        y = method(x, 0.1)
        assert y.shape == x.shape
        assert y.dtype == x.dtype
    np.testing.assert_array_equal(method(np.zeros(5000), 0.1), 0)
    np.testing.assert_array_equal(method(np.zeros(5000), 0.0), 0)


@pytest.mark.parametrize("method", METHODS)
def test_no_noise_no_change(method):
    x = harmonic()
    assert snr_db(method(x, 0.0), x) > 100


def test_the_prior_snr_follows_the_frame_before():
    """Noise of power 4, and amplitudes 6, 4, 0: gamma is 9, 4, 0, and the gain xi / (1 + xi)."""
    clean = decision_directed(np.array([[6], [4], [0]], complex), np.array([4.0]), wiener_gain, 0.9)[
        :, 0
    ].real
    first = 0.1 * 8
    gained = 6 * first / (1 + first)
    second = 0.9 * gained**2 / 4 + 0.1 * 3
    np.testing.assert_allclose(clean, [gained, 4 * second / (1 + second), 0], rtol=1e-12)
    quiet = decision_directed(np.array([[1]], complex), np.array([4.0]), wiener_gain, 0.9)
    assert quiet[0, 0].real == pytest.approx(LEAST_SNR / (1 + LEAST_SNR))


@pytest.mark.parametrize("share", [0.05, 0.5, 3.0])
def test_the_gain_of_least_log_error(share):
    """E1 by quadrature."""
    prior = share / (1 - share / 4)
    v = prior / (1 + prior) * 2
    integral = quad(lambda t: np.exp(-t) / t, v, np.inf)[0]
    expected = min(prior / (1 + prior) * np.exp(integral / 2), 1)
    assert log_mmse_gain(np.array([prior]), np.array([2.0]))[0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("profile", [-0.1, np.nan, np.zeros(5), np.full(BINS, -1.0)])
def test_wrong_profiles(profile):
    for method in METHODS:
        with pytest.raises(SettingError, match="the profile"):
            method(np.zeros(100), profile)


def test_wrong_settings():
    x = np.zeros(100)
    with pytest.raises(SettingError, match="oversubtraction"):
        spectral_subtraction(x, 0.1, oversubtraction=-1)
    with pytest.raises(SettingError, match="memory"):
        wiener(x, 0.1, memory=1.5)
    with pytest.raises(SettingError, match="frames of"):
        log_mmse(x, 0.1, frame=30)
    with pytest.raises(InputError, match="one channel"):
        wiener(np.zeros((2, 100)), 0.1)


@pytest.mark.parametrize("time", [100_000, 4096, 5000, 1000])
@pytest.mark.parametrize("frame", [512, 1024])
def test_wiener_in_order_is_wiener(time: int, frame: int) -> None:
    """What a frame became is carried on: cut off from it the numbers are others."""
    x = 0.1 * np.random.default_rng(0).standard_normal(time) * np.sin(np.arange(time) / 9000)
    profile = 0.02 * (1.2 + np.cos(np.linspace(0, 9, 1025)))
    whole = wiener(x, profile, frame=frame)
    parts = list(wiener_in_order(lambda a, b: x[a:b], time, profile, frame, stretch=4 * frame))
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    if time > 8 * frame:
        alone = wiener(x[4 * frame - frame :], profile, frame=frame)[frame:]
        assert np.abs(alone[:frame] - whole[4 * frame :][:frame]).max() > 1e-6
