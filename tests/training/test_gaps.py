"""Simulated gaps: where they may lie, what is known around them, and what stands in them."""

from __future__ import annotations

import math
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import strategies as st

from audiofix.errors import SettingError
from audiofix.operators.gap import classical_fills
from audiofix.training.config import TrainConfig
from audiofix.training.data import Folder, training_batch
from audiofix.training.gaps import KNOWN_MS, Gapped, Gaps, draw_gaps, pooled_gaps, simulated_gaps

RATE = 16000


@st.composite
def ways(draw: st.DrawFn) -> Gaps:
    shortest = draw(st.floats(0.1, 300))
    return Gaps(draw(st.integers(1, 8)), (shortest, shortest * draw(st.floats(1, 30))))


@hypothesis.given(
    st.integers(1, 200) | st.integers(1, 60_000),
    st.sampled_from([8000, RATE, 44100]),
    ways(),
    st.integers(0, 99),
)
def test_gaps_lie_in_the_window_apart_and_with_enough_known_around(
    time: int, rate: int, how: Gaps, seed: int
) -> None:
    found = draw_gaps(time, rate, how, np.random.default_rng(seed))
    assert 1 <= len(found) <= how.most
    (size,) = {stop - start for start, stop in found}
    assert size >= 1
    # Known stretches: before, between and after.
    ends = [0, *(edge for gap in found for edge in gap), time]
    known = [stop - start for start, stop in zip(ends[::2], ends[1::2], strict=True)]
    assert min(known) >= 0
    if time >= 3:
        assert min(known) >= size
    least, shortest, longest = (round(ms * rate / 1000) for ms in (KNOWN_MS, *how.length_ms))
    if time >= 2 * least + 3:
        assert min(known) >= least
    assert size <= max(1, longest)
    if time >= 2 * least + 3 * longest + 3:
        assert max(1, shortest) <= size


def test_all_that_is_allowed_happens() -> None:
    how, generator, draws = Gaps(4, (8.0, 240.0)), np.random.default_rng(0), 400
    found = [draw_gaps(60_000, RATE, how, generator) for _ in range(draws)]
    assert {len(gaps) for gaps in found} == {1, 2, 3, 4}
    sizes = np.array([gaps[0][1] - gaps[0][0] for gaps in found])
    # Log-uniform: the places of the logarithms between the ends are uniform, of variance 1 / 12.
    places = np.log(sizes / (0.008 * RATE)) / math.log(240 / 8)
    assert places.mean() == pytest.approx(0.5, abs=5 / math.sqrt(12 * draws))
    assert places.var() == pytest.approx(1 / 12, abs=5 / math.sqrt(180 * draws))
    # They come near both ends, up to what must be known there.
    assert min(start for gaps in found for start, _ in gaps) < 3000
    assert max(stop for gaps in found for _, stop in gaps) > 57_000


def test_the_generator_decides() -> None:
    first, again, other = (draw_gaps(9000, RATE, Gaps(), np.random.default_rng(s)) for s in (1, 1, 2))
    assert first == again != other


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A tone and a little noise."""
    time = np.arange(RATE) / RATE
    wave = 0.3 * np.sin(2 * np.pi * 400 * time) + 0.02 * np.random.default_rng(0).standard_normal(RATE)
    soundfile.write(tmp_path / "one.wav", wave, RATE)
    return Folder([tmp_path], RATE)


def test_a_batch_is_clean_windows_their_fills_and_where_they_are_lost(folder: Folder) -> None:
    how = Gaps(3, (1.0, 6.0))
    found, again = (
        simulated_gaps(folder, 3, 1500, (-6.0, 6.0), how, np.random.default_rng(4)) for _ in range(2)
    )
    other = simulated_gaps(folder, 3, 1500, (-6.0, 6.0), how, np.random.default_rng(5))
    assert (found.clean.shape, found.fills.shape, found.lost.shape) == ((3, 1500), (3, 2, 1500), (3, 1500))
    assert found.fills.dtype == found.lost.dtype == torch.float32
    for name in ("clean", "fills", "lost"):
        assert torch.equal(getattr(found, name), getattr(again, name))
        assert not torch.equal(getattr(found, name), getattr(other, name))
    generator = np.random.default_rng(4)
    assert torch.equal(found.clean, training_batch(folder, 3, 1500, (-6.0, 6.0), generator))
    for row in range(3):
        gaps = draw_gaps(1500, RATE, how, generator)
        lost = torch.zeros(1500)
        for start, stop in gaps:
            lost[start:stop] = 1
        assert torch.equal(found.lost[row], lost)
        # Filled from what is known alone, which stays as it is.
        known = torch.where(lost.bool(), torch.nan, found.clean[row])
        assert np.array_equal(found.fills[row].numpy(), classical_fills(known.numpy(), gaps))
        kept = ~lost.bool()
        assert torch.equal(found.fills[row][:, kept], found.clean[row, kept].expand(2, -1))
        assert not torch.equal(found.fills[row, 0], found.clean[row])


def test_transposed_windows_are_other_voices_before_their_gaps_are_filled(tmp_path: Path) -> None:
    """A tone of 1 kHz comes at frequencies of the range, each end of it is met, and fills are of what is there."""
    tone = 0.5 * np.sin(2 * np.pi * 1000 / RATE * np.arange(4 * RATE))
    soundfile.write(tmp_path / "tone.wav", tone, RATE)
    folder, how = Folder([tmp_path], RATE), Gaps(1, (5.0, 5.0), orders=(8, 4), semitones=(-4.0, 3.0))
    found = simulated_gaps(folder, 40, 8192, (0.0, 0.0), how, np.random.default_rng(0))
    assert found.clean.shape == (40, 8192)
    power = torch.fft.rfft(found.clean * torch.hann_window(8192)).abs()
    semitones = 12 * torch.log2(power.argmax(dim=1) * RATE / 8192 / 1000)
    bin_wide = 12 * math.log2(1 + RATE / 8192 / 700)  # a peak is found to one bin
    assert -4 - bin_wide < float(semitones.min()) < -3
    assert 2 < float(semitones.max()) < 3 + bin_wide
    assert float(found.clean[:, -64:].abs().amax(dim=1).min()) > 0.4  # sound up to the end
    kept = found.lost == 0
    assert torch.equal(found.fills[:, 0][kept], found.clean[kept])
    with pytest.raises(SettingError, match="upside down"):
        Gaps(semitones=(1.0, -1.0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"most": 0},
        {"most": -1},
        {"length_ms": (0.0, 10.0)},
        {"length_ms": (-5.0, 10.0)},
        {"length_ms": (10.0, 5.0)},
        {"length_ms": (10.0,)},
        {"length_ms": (1.0, 2.0, 3.0)},
        {"length_ms": (math.nan, math.nan)},
    ],
)
def test_settings_that_make_no_gaps_are_refused(wrong: dict) -> None:
    with pytest.raises(SettingError, match="count of 1 or more and"):
        Gaps(**wrong)
    with pytest.raises(SettingError, match="count of 1 or more and"):
        TrainConfig("mine", "tone", ("a",), ("b",), family="inpainter", gaps=wrong)
    assert Gaps(1, (5.0, 5.0)).most == 1


@pytest.mark.parametrize("wrong", [{"deepest": 3}, {"most": "many"}, {"length_ms": 5.0}])
def test_tables_that_are_none_of_gaps_are_refused(wrong: dict) -> None:
    with pytest.raises(SettingError, match=r"training config mine, \[gaps\]: "):
        TrainConfig("mine", "tone", ("a",), ("b",), family="inpainter", gaps=wrong)


def test_a_pool_is_so_many_windows_at_other_gains(folder: Folder) -> None:
    how, filled = Gaps(2, (1.0, 6.0), pool=2), dict[int, Gapped]()
    generator = np.random.default_rng(7)
    item = pooled_gaps(folder, 12, 1500, (-6.0, 6.0), how, 3, generator, filled)
    assert len(filled) == 2
    shapes = {tuple(row.tolist()) for row in item.lost}
    assert len(shapes) == 2
    scales = torch.tensor(
        [float((row / row.abs().amax()).sign()[0] * row.abs().amax()) for row in item.clean]
    )
    assert len(scales.unique()) == 12
    assert float(item.clean.abs().max()) <= 1.0
    # Fills are those of the window at its gain: autoregression has no scale but its ridge, -120 dB.
    for row in range(12):
        gaps = [(int(i.min()), int(i.max()) + 1) for i in _runs(item.lost[row])]
        fills = torch.from_numpy(classical_fills(item.clean[row].numpy(), gaps))
        assert float((fills - item.fills[row]).abs().max()) < 1e-3


def test_what_a_pool_gives_does_not_depend_on_what_it_remembers(folder: Folder) -> None:
    how, filled = Gaps(2, (1.0, 6.0), pool=50), dict[int, Gapped]()
    for step in range(3):
        later = pooled_gaps(folder, 2, 1500, (-6.0, 6.0), how, 3, np.random.default_rng([3, step]), filled)
    fresh = pooled_gaps(folder, 2, 1500, (-6.0, 6.0), how, 3, np.random.default_rng([3, 2]), {})
    for name in ("clean", "fills", "lost"):
        assert torch.equal(getattr(later, name), getattr(fresh, name))


def _runs(lost: torch.Tensor) -> list[torch.Tensor]:
    where = lost.nonzero()[:, 0]
    cuts = (where.diff() > 1).nonzero()[:, 0] + 1
    return list(where.tensor_split(cuts.tolist()))


def test_a_pool_of_less_than_none_is_refused() -> None:
    with pytest.raises(SettingError, match="pool"):
        Gaps(pool=-1)
