"""Simulated recordings without their upper band: nothing above the cut-off, nothing changed below it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from audiofix.errors import SettingError
from audiofix.operators.lowpass import LowPass
from audiofix.training import bands
from audiofix.training.bands import DECIMATED, MARGIN, Banded, Bands, simulated_bands
from audiofix.training.config import TrainConfig
from audiofix.training.data import Folder, training_batch
from audiofix.training.variation import Variation

RATE = 16000


def folder_of(path: Path, wave: np.ndarray) -> Folder:
    soundfile.write(path / "one.wav", wave, RATE, "FLOAT")
    return Folder([path], RATE)


@pytest.fixture
def hiss(tmp_path: Path) -> Folder:
    return folder_of(tmp_path, 0.1 * np.random.default_rng(0).standard_normal(RATE))


@pytest.fixture
def no_margin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows are whole circles: a spectrum tells all."""
    monkeypatch.setattr(bands, "MARGIN", 0)


def drawn(folder: Folder, batch: int, length: int, how: Bands, seed: int = 0) -> Banded:
    return simulated_bands(folder, batch, length, (-6.0, 6.0), how, np.random.default_rng(seed))


@pytest.mark.usefixtures("no_margin")
@pytest.mark.parametrize("length", [1000, 1001])
def test_low_is_clean_up_to_the_cut_off_and_nothing_above(hiss: Folder, length: int) -> None:
    item = drawn(hiss, 20, length, Bands(decimated=0.5))
    clean, low = (np.fft.rfft(wave.double().numpy()) for wave in (item.clean, item.low))
    hertz = np.fft.rfftfreq(length, 1 / RATE)
    # Transforms in float32: some 1e-7 of the largest bin for each of log2(n) stages.
    tolerance = 1e-6 * np.abs(clean).max()
    for row, edge in enumerate(item.cutoff_hz.tolist()):
        below = hertz < edge - 0.01  # the edge is told in float32
        above = hertz > edge + 0.01
        assert below.any()
        assert above.any()
        assert np.abs(low - clean)[row, below].max() < tolerance
        assert np.abs(low[row, above]).max() < tolerance
        assert np.abs(clean[row, above]).max() > 1000 * tolerance


TONES, EDGE, AMPLITUDE = (1000.0, 6000.0), 3000.0, 0.3


def rest_of_low(folder: Folder) -> tuple[float, float]:
    """Of a sum of two tones cut between them: what low has besides the lower one, and how that one differs."""
    item = drawn(folder, 1, 600, Bands(decimated=0.0, cutoff_hz=(EDGE, EDGE)))
    time = 2 * np.pi * np.arange(600) / RATE
    waves = np.stack([wave(f * time) for f in TONES for wave in (np.sin, np.cos)], axis=1)
    clean, low = item.clean[0].double().numpy(), item.low[0].double().numpy()
    found = np.linalg.lstsq(waves, clean, rcond=None)[0]
    assert np.abs(waves @ found - clean).max() < 1e-6
    return float(np.abs(low - waves[:, :2] @ found[:2]).max() / np.hypot(*found[:2])), float(
        np.hypot(*found[2:]) / np.hypot(*found[:2])
    )


def test_ends_of_the_circle_are_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tone that breaks off at distance d is changed by the filter sin(c t) / (pi t) by what it sums up there.

    For a tone at w the products are two cosines of c - w and c + w over 2 pi t, and the sum of such a one from d
    on is at most 1 / (d sin((c -+ w) / 2)). The tone is missed beyond either end, and another is found there.
    """
    time = 2 * np.pi * np.arange(RATE) / RATE
    folder = folder_of(tmp_path, AMPLITUDE * sum(np.sin(f * time) for f in TONES))
    sines = (abs(math.sin(math.pi * (EDGE + s * f) / RATE)) for f in TONES for s in (1, -1))
    bound = 4 / (2 * math.pi * MARGIN) * sum(1 / sine for sine in sines)
    rest, upper = rest_of_low(folder)
    assert rest < bound < 0.01
    assert upper == pytest.approx(1, abs=1e-4)  # which is gone
    monkeypatch.setattr(bands, "MARGIN", 0)
    assert rest_of_low(folder)[0] > 5 * bound


def test_clean_is_the_middle_of_what_was_drawn(hiss: Folder) -> None:
    item = drawn(hiss, 3, 500, Bands(), seed=3)
    generator = np.random.default_rng(3)
    wide = training_batch(hiss, 3, 500 + 2 * MARGIN, (-6.0, 6.0), generator)
    assert torch.equal(item.clean, wide[:, MARGIN:-MARGIN])
    assert item.clean.is_contiguous()
    assert item.low.is_contiguous()
    assert (item.low.shape, item.low.dtype) == (item.clean.shape, torch.float32)


def test_the_generator_decides(hiss: Folder) -> None:
    first, again, other = (drawn(hiss, 4, 200, Bands(), seed=s) for s in (1, 1, 2))
    for name in ("clean", "low", "cutoff_hz"):
        assert torch.equal(getattr(first, name), getattr(again, name))
        assert not torch.equal(getattr(first, name), getattr(other, name))


@pytest.mark.usefixtures("no_margin")
def test_windows_are_varied_before_they_are_cut(tmp_path: Path) -> None:
    """Hiss belongs to the recording: it is there below the cut-off, and above in what is wanted alone."""
    silence = folder_of(tmp_path, np.zeros(RATE))
    generator, how = np.random.default_rng(0), Bands(decimated=0.0, cutoff_hz=(3000.0, 3000.0))
    hissing = Variation(hiss=1.0, hiss_db=(-40.0, -40.0))
    item = simulated_bands(silence, 4, 1000, (0.0, 0.0), how, generator, hissing)
    clean, low = (np.abs(np.fft.rfft(wave.double().numpy())) for wave in (item.clean, item.low))
    edge = 3000 * 1000 // RATE + 1
    assert item.clean.square().mean(dim=1).log10().tolist() == pytest.approx([-4.0] * 4, abs=1e-4)
    tolerance = 1e-6 * clean.max()  # transforms in float32
    assert np.abs(low - clean)[:, : edge - 1].max() < tolerance
    assert low[:, edge:].max() < tolerance < 1e-3 * clean[:, edge:].mean()


def test_no_variation_draws_nothing(hiss: Folder) -> None:
    plain, none = drawn(hiss, 3, 500, Bands()), np.random.default_rng(0)
    item = simulated_bands(hiss, 3, 500, (-6.0, 6.0), Bands(), none, Variation())
    assert torch.equal(item.clean, plain.clean)
    assert torch.equal(item.cutoff_hz, plain.cutoff_hz)


@pytest.mark.usefixtures("no_margin")
@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_a_share_is_cut_where_decimation_cuts(hiss: Folder, share: float) -> None:
    count = 300
    edges = drawn(hiss, count, 16, Bands(decimated=share)).cutoff_hz.numpy()
    places = RATE * np.array(DECIMATED)
    each = np.isclose(edges[:, None], places, rtol=1e-6, atol=0)
    cut = each.any(axis=1)
    # Binomial: standard deviations of a share of 300 are 0.028 at most.
    assert cut.mean() == pytest.approx(share, abs=5 * 0.0283 * (0 < share < 1))
    if share:
        assert each.sum(axis=0) / cut.sum() == pytest.approx(
            [1 / 3] * 3, abs=5 * math.sqrt(2 / 9 / cut.sum())
        )
    others = edges[~cut]
    if len(others):
        # Log-uniform: places between the ends are uniform, of variance 1 / 12.
        logs = np.log(others / 900) / math.log(7400 / 900)
        assert -1e-6 <= logs.min() <= logs.max() <= 1 + 1e-6
        assert logs.mean() == pytest.approx(0.5, abs=5 / math.sqrt(12 * len(others)))


def test_decimation_cuts_where_the_operator_trusts_no_more() -> None:
    time = 1 << 15
    for share, factor in zip(DECIMATED, (2, 4, 8), strict=True):
        trusted = int(LowPass(factor).response(time).count_nonzero())
        assert trusted / time == pytest.approx(share, abs=2e-4)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"cutoff_hz": (0.0, 10.0)}, "above 0"),
        ({"cutoff_hz": (-1.0, 10.0)}, "above 0"),
        ({"cutoff_hz": (20.0, 10.0)}, "above 0"),
        ({"cutoff_hz": (10.0,)}, "above 0"),
        ({"cutoff_hz": (math.nan, math.nan)}, "above 0"),
        ({"decimated": -0.1}, "give 0 to 1"),
        ({"decimated": 1.1}, "give 0 to 1"),
        ({"decimated": math.nan}, "give 0 to 1"),
    ],
)
def test_settings_that_make_no_bands_are_refused(wrong: dict, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        Bands(**wrong)
    with pytest.raises(SettingError, match=words):
        TrainConfig("mine", "tone", ("a",), ("b",), family="upsampler", bands=wrong)


@pytest.mark.parametrize("wrong", [{"widest": 3}, {"decimated": "half"}, {"cutoff_hz": 3000.0}])
def test_tables_that_are_none_of_bands_are_refused(wrong: dict) -> None:
    with pytest.raises(SettingError, match=r"training config mine, \[bands\]: "):
        TrainConfig("mine", "tone", ("a",), ("b",), family="upsampler", bands=wrong)
