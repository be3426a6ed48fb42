"""Clipping: the level to the last digit, and none where there is none."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiofix.audio.resample import resample
from audiofix.faults.clipping import Clipping, find_clipping, find_plateau
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


EVALUATION = sorted((Path(__file__).parents[1] / "benchmarks" / "eval").glob("*/*.flac"))


def coded(container: str, subtype: str) -> Callable[[np.ndarray], np.ndarray]:
    def there_and_back(x: np.ndarray) -> np.ndarray:
        file = io.BytesIO()
        soundfile.write(file, x, RATE, format=container, subtype=subtype)
        file.seek(0)
        return soundfile.read(file)[0]

    return there_and_back


def at_another_rate(x: np.ndarray) -> np.ndarray:
    return resample(torch.from_numpy(x)[None].float(), RATE, 22050)[0].double().numpy()


SOFTENED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "vorbis": coded("OGG", "VORBIS"),
    "mp3": coded("MP3", "MPEG_LAYER_III"),
    "resampled": at_another_rate,
}


@pytest.mark.parametrize("how", ["plain", *SOFTENED])
def test_clean_sound_has_no_plateau(how: str) -> None:
    for file in EVALUATION:
        x = soundfile.read(file)[0]
        x = 0.5 * x / np.abs(x).max()
        assert find_plateau(tensor(SOFTENED[how](x) if how in SOFTENED else x)) is None, file


@pytest.mark.parametrize(("how", "least"), [("vorbis", 0.4), ("mp3", 0.4), ("resampled", 0.5)])
def test_clipping_that_was_coded_leaves_a_plateau_just_below_its_level(how: str, least: float) -> None:
    found = []
    for file in EVALUATION:
        x = soundfile.read(file)[0]
        x = 0.5 * x / np.quantile(np.abs(x), 0.9)
        softened = tensor(SOFTENED[how](np.clip(x, -0.5, 0.5)))
        assert find_clipping(softened) is None
        found.append(find_plateau(softened))
    levels = [level for level in found if level is not None]
    assert len(levels) >= least * len(EVALUATION)
    assert min(levels) >= 0.9 * 0.5
    assert max(levels) <= 1.02 * 0.5


def test_what_is_steady_or_nothing_is_no_plateau() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 441.3 * np.arange(4 * RATE) / RATE)
    for x in (tone, SOFTENED["vorbis"](tone), hiss(4 * RATE, 0.1), np.zeros(99), np.full(99, np.nan)):
        assert find_plateau(tensor(x)) is None
