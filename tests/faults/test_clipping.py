"""Clipping: the level to the last digit, and none where there is none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiofix.faults.clipping import Clipping, find_clipping
from tests.faults.signals import RATE, hiss, piano, tensor, voice

SAMPLES = Path(__file__).parents[2] / "samples"


def sounds() -> list[np.ndarray]:
    recorded = [soundfile.read(SAMPLES / f"{name}.wav")[0] for name in ("speech", "piano", "mix")]
    return [*recorded, voice(), piano(), hiss(4 * RATE, 0.1)]


def level_for(x: np.ndarray, sdr: float) -> float:
    """Level whose clipping leaves that ratio of signal to distortion, dB."""
    low, high = 0.0, float(np.abs(x).max())
    for _ in range(40):
        middle = (low + high) / 2
        error = x - np.clip(x, -middle, middle)
        too_much = np.sum(x**2) < 10 ** (sdr / 10) * np.sum(error**2)
        low, high = (middle, high) if too_much else (low, middle)
    return high


@pytest.mark.parametrize("sdr", [3, 7, 15])
def test_the_level_is_found(sdr: float) -> None:
    for x in sounds():
        level = level_for(x, sdr)
        y = np.clip(x, -level, level)
        beyond = int((np.abs(x) > level).sum())
        for stored in (
            torch.from_numpy(y).float()[None],
            tensor(np.round(y * 32768) / 32768),
            tensor(y, 0.3 * y),
        ):
            found = find_clipping(stored)
            assert found is not None
            assert (found.low, found.high) == pytest.approx((-level, level), abs=1e-4)
            assert beyond <= found.count <= 1.2 * beyond + 10
            assert found.share == found.count / stored.numel()


def test_one_side_alone() -> None:
    x = voice()
    top = find_clipping(tensor(np.minimum(x, 0.2)))
    assert top is not None
    assert (top.low, top.high) == (-np.inf, 0.2)
    bottom = find_clipping(tensor(np.maximum(x, -0.1)))
    assert bottom is not None
    assert (bottom.low, bottom.high) == (-0.1, np.inf)
    both = find_clipping(tensor(np.clip(x, -0.1, 0.2)))
    assert isinstance(both, Clipping)
    assert (both.low, both.high) == (-0.1, 0.2)


def test_clean_sound_is_not_clipped() -> None:
    time = np.arange(4 * RATE) / RATE
    tones = [
        0.5 * np.sin(2 * np.pi * hertz * time + phase)
        for hertz in (30, 50, 1000, 997.3)
        for phase in (0, 0.7)
    ]
    for x in [*sounds(), *tones]:
        for bits in (32, 16, 8, 6, 4, 3):
            y = x if bits == 32 else np.round(x * 2 ** (bits - 1)) / 2 ** (bits - 1)
            assert find_clipping(tensor(y)) is None, bits


def test_what_has_no_level() -> None:
    square = np.sign(np.sin(np.arange(RATE) * 0.1 + 0.05))
    one_flat_peak = voice()
    one_flat_peak[20000:20010] = 0.95
    for x in (square, np.zeros(RATE), np.full(RATE, 0.5), one_flat_peak, np.zeros(0), np.full(9, np.nan)):
        assert find_clipping(tensor(x)) is None


def test_what_is_not_finite_is_left_out() -> None:
    x = np.clip(voice(), -0.2, 0.2)
    x[100], x[200] = np.inf, np.nan
    found = find_clipping(tensor(x))
    assert found is not None
    assert (found.low, found.high) == (-0.2, 0.2)
    assert found.share == found.count / (len(x) - 2)
