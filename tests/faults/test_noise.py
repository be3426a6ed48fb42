"""Noise: how loud it is and how it is coloured, under sound with pauses and without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import freqz, lfilter

from audiofix.errors import InputError
from audiofix.faults.noise import find_noise, profile_of
from tests.faults.signals import RATE, hiss, piano, tensor

SAMPLES = Path(__file__).parents[2] / "samples"


def recorded(name: str) -> np.ndarray:
    return soundfile.read(SAMPLES / f"{name}.wav")[0]


def decibels(ratio: np.ndarray | torch.Tensor | float) -> np.ndarray:
    return 20 * np.log10(np.asarray(ratio))


@pytest.mark.parametrize("snr", [0, 5, 10, 20])
def test_white_noise_is_found_as_loud_as_it_is(snr: float) -> None:
    for x in (recorded("speech"), recorded("piano"), recorded("mix"), piano()):
        std = np.sqrt(np.mean(x**2)) * 10 ** (-snr / 20)
        found = find_noise(tensor(x + hiss(len(x), std)), RATE)
        assert found is not None
        # Under 20 dB of music without pauses, some of the music counts as noise.
        assert abs(decibels(found.std / std)) < (2 if snr == 20 else 1)
        assert found.db_below == pytest.approx(snr, abs=2)
        assert (found.profile.shape, found.profile.dtype) == ((1025,), torch.float32)
        assert np.median(np.abs(decibels(found.profile / std))) < 1.5


def test_noise_alone_has_its_colour() -> None:
    white = hiss(60 * RATE, 0.02)
    coloured = lfilter([1, 0.6], [1], white)
    response = np.abs(freqz([1, 0.6], [1], 1025, include_nyquist=True)[1])
    exact = profile_of(tensor(coloured))
    # 936 frames of exponential power: the standard deviation of a bin is 0.15 dB, more where they overlap.
    assert np.abs(decibels(exact.numpy() / (0.02 * response))[5:-5]).max() < 1
    assert abs(np.mean(decibels(exact.numpy() / (0.02 * response))[5:-5])) < 0.05
    found = find_noise(tensor(coloured), RATE)
    assert found is not None
    assert np.abs(decibels(found.profile.numpy() / (0.02 * response))[20:-20]).max() < 1.5
    assert found.std == pytest.approx(0.02 * np.sqrt(1.36), rel=0.1)
    assert found.db_below < -5
    assert found.std**2 == pytest.approx(float(found.profile.double().square().mean()), rel=0.02)


def test_clean_and_silent_recordings_have_no_noise() -> None:
    for x in (
        recorded("speech"),
        recorded("piano"),
        piano(),
        np.zeros(4 * RATE),
        np.zeros(9),
        hiss(5000, 0.1),
    ):
        assert find_noise(tensor(x), RATE) is None
    x = recorded("speech")
    assert find_noise(tensor(x + hiss(len(x), 1e-3 * np.sqrt(np.mean(x**2)))), RATE) is None


def test_digital_silence_and_missing_numbers_are_left_out() -> None:
    x = recorded("speech")
    x = x + hiss(len(x), 0.02)
    y = np.concatenate([np.zeros(3 * RATE + 100), x, np.zeros(RATE)])
    y[3 * RATE + 5000] = np.nan
    found, plain = find_noise(tensor(y), RATE), find_noise(tensor(x), RATE)
    assert found is not None
    assert plain is not None
    assert abs(decibels(found.std / plain.std)) < 0.5


def test_channels_count_as_more_of_the_same() -> None:
    x = recorded("speech")
    two = tensor(x + hiss(len(x), 0.01), x + hiss(len(x), 0.01, seed=1))
    found = find_noise(two, RATE)
    assert found is not None
    assert abs(decibels(found.std / 0.01)) < 1.5


def test_a_profile_needs_noise() -> None:
    for x in (np.zeros(9000), hiss(2000)):
        with pytest.raises(InputError, match="give a longer part"):
            profile_of(tensor(x))
