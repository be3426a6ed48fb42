"""The slope of a recording's own filter is told from what is below it, and raised no more than that tells."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from audiofix.faults.frames import power_frames
from audiofix.faults.rolloff import LOST_DB, MOST_DB, TAKEN, slope_among

RATE, TOP = 16000, 4000.0
FIRST = 0.95 * TOP
SECONDS = 30


def recording(seconds: float = SECONDS, octave_db: float = 0.0, fall_db: float = 20.0) -> np.ndarray:
    """Noise whose filter has fallen by so many dB from 0.9 of the top to the top; tilted by so much an octave."""
    noise = torch.randn(1, round(seconds * RATE), generator=torch.Generator().manual_seed(0)).double()
    spectrum = torch.fft.rfft(noise)
    hertz = torch.linspace(0, RATE / 2, spectrum.shape[1], dtype=torch.float64)
    decibels = octave_db * torch.log2(hertz.clamp(min=100) / 1000)
    decibels = decibels - fall_db * ((hertz / TOP - 0.9) / 0.1).clamp(0, 1)
    found: np.ndarray = torch.fft.irfft(spectrum * 10 ** (decibels / 20), n=noise.shape[1]).numpy()
    return found


def factors(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    slope = slope_among(power_frames(x), RATE, FIRST, TOP)
    return np.array(slope.hertz), np.array(slope.factors)


@pytest.mark.parametrize("octave_db", [0.0, -6.0, -12.0])
def test_a_share_of_the_shortfall_is_made_up_for(octave_db: float) -> None:
    """467 frames, overlapping by half: bins averaged over three are within 0.2 dB, the line within 0.3. A tilt in
    octaves is a line to within 0.1 dB here, the mean of a falling bin's neighbours to within 0.1."""
    hertz, found = factors(recording(octave_db=octave_db))
    assert hertz[0] == FIRST
    assert hertz[-1] == TOP
    inner = (hertz > FIRST + 10) & (hertz < TOP - 20)
    wanted = TAKEN * 20 * (hertz[inner] / TOP - 0.9) / 0.1
    assert np.abs(20 * np.log10(found[inner]) - np.minimum(wanted, MOST_DB)).max() < 1.0


def test_what_has_not_fallen_stays_as_it_is() -> None:
    _, found = factors(recording(fall_db=0.0))
    assert np.abs(20 * np.log10(found)).max() < 0.5


def test_what_rises_is_not_lowered() -> None:
    _, found = factors(recording(fall_db=-20.0))
    assert (found == 1).all()


def test_no_more_than_the_most_and_nothing_of_what_is_lost() -> None:
    hertz, found = factors(recording(fall_db=60.0))
    fallen = 60 * (hertz / TOP - 0.9) / 0.1
    assert found.max() == pytest.approx(10 ** (MOST_DB / 20))
    assert (found[fallen > LOST_DB + 1.5] == 0).all()
    assert (found[(fallen > MOST_DB / TAKEN + 1.5) & (fallen < LOST_DB - 1.5)] == found.max()).all()


def test_of_a_short_recording_all_is_kept_as_it_is() -> None:
    _, found = factors(recording(seconds=1.0))
    assert (found == 1).all()


def test_of_silence_too() -> None:
    _, found = factors(np.zeros((1, RATE)))
    assert (found == 1).all()


def test_raising_brings_a_recording_nearer_to_what_it_was() -> None:
    clean, heard = recording(fall_db=0.0), recording(fall_db=20.0)
    hertz, found = factors(heard)
    spectrum = np.fft.rfft(heard)
    places = np.fft.rfftfreq(heard.shape[1], 1 / RATE)
    gain = np.where((places >= FIRST) & (places <= TOP), np.interp(places, hertz, found), 1.0)
    raised = np.fft.irfft(spectrum * gain, n=heard.shape[1])

    def error(x: np.ndarray) -> float:
        off = np.abs(np.fft.rfft(x - clean))[0, (places >= FIRST) & (places <= TOP)]
        return 10 * math.log10(float((off**2).sum()))

    # 15 dB down on the mean: of amplitude 0.82 is lacking; raised by 0.7 of that, 4.5 dB: 0.41. 6 dB less.
    assert error(raised) < error(heard) - 4
