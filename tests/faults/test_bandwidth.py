"""Bandwidth: where a brick wall stands, and no wall where sound fades by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import butter, firwin, oaconvolve, sosfilt

from audiofix.faults.bandwidth import find_cutoff
from tests.faults.signals import RATE, hiss, piano, tensor, voice

SAMPLES = Path(__file__).parents[2] / "samples"


def sounds() -> list[np.ndarray]:
    recorded = [soundfile.read(SAMPLES / f"{name}.wav")[0] for name in ("speech", "piano", "mix")]
    return [*recorded, voice(), piano(), hiss(4 * RATE, 0.1)]


def walled(x: np.ndarray, hertz: float, taps: int = 513, rate: int = RATE) -> np.ndarray:
    return oaconvolve(x, firwin(taps, hertz, fs=rate), "same")


@pytest.mark.parametrize("hertz", [2000, 3400, 4000])
def test_a_brick_wall_is_found(hertz: float) -> None:
    for x in sounds():
        for y in (walled(x, hertz), walled(x, hertz, 255), np.round(walled(x, hertz) * 32768) / 32768):
            found = find_cutoff(tensor(y, 0.5 * y), RATE)
            assert found is not None
            assert found.hertz == pytest.approx(hertz, abs=150)
            assert found.drop_db >= 25


def test_other_sample_rates() -> None:
    x = hiss(3 * 44100, 0.1)
    for hertz in (4000, 11025, 16000):
        found = find_cutoff(tensor(walled(x, hertz, rate=44100)), 44100)
        assert found is not None
        assert found.hertz == pytest.approx(hertz, abs=150)
    assert find_cutoff(tensor(walled(x, 21000, rate=44100)), 44100) is None


def test_noise_above_hides_what_is_not_25_db_louder() -> None:
    x = walled(hiss(4 * RATE, 0.1), 3000)
    found = find_cutoff(tensor(x + hiss(4 * RATE, 0.001, seed=1)), RATE)
    assert found is not None
    assert found.hertz == pytest.approx(3000, abs=150)
    assert find_cutoff(tensor(x + hiss(4 * RATE, 0.01, seed=1)), RATE) is None


def test_full_band_has_no_cutoff() -> None:
    for x in [
        *sounds(),
        walled(hiss(4 * RATE), 7700),
        np.zeros(4 * RATE),
        np.zeros(100),
        np.full(9000, np.nan),
    ]:
        assert find_cutoff(tensor(x), RATE) is None


def test_a_gentle_slope_or_a_tone_is_no_cutoff() -> None:
    x = hiss(4 * RATE, 0.1)
    assert find_cutoff(tensor(sosfilt(butter(2, 2000, fs=RATE, output="sos"), x)), RATE) is None
    assert find_cutoff(tensor(sosfilt(butter(4, 2000, fs=RATE, output="sos"), x)), RATE) is None
    tone = np.sin(2 * np.pi * 1000 * np.arange(4 * RATE) / RATE) + 1e-4 * x
    assert find_cutoff(tensor(tone), RATE) is None
