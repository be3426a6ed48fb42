"""Gaps as users write them, as files list them, and as a recording shows them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import soundfile
import torch
from hypothesis import strategies as st

from audiofix.errors import InputError, SettingError
from audiofix.faults.clicks import segment_length
from audiofix.faults.dropouts import find_dropouts
from audiofix.faults.gaps import FoundGap, find_gaps, merge_gaps, parse_gap, read_gaps
from audiofix.faults.longgaps import gaps_in_windows
from tests.faults.signals import RATE, hiss, piano, tensor, voice

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.mark.parametrize(
    ("text", "gap"),
    [
        ("1.10-1.30", (1100, 1300)),
        ("1.10s-1.30s", (1100, 1300)),
        (" 1.10 s - 1.30 s ", (1100, 1300)),
        ("1.10–1.30", (1100, 1300)),
        ("4.2s+50ms", (4200, 4250)),
        ("4.2+0.05", (4200, 4250)),
        ("1200ms-1300ms", (1200, 1300)),
        ("4:02.5-4:02.7", (242500, 242700)),
        ("1:00:00-1:00:01", (3600000, 3601000)),
        ("0-.5", (0, 500)),
        ("0.0004-0.0016", (0, 2)),
    ],
)
def test_a_gap_as_it_is_written(text: str, gap: tuple[int, int]) -> None:
    assert parse_gap(text, 1000) == gap


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1.3-1.1", "not after its start"),
        ("1.1-1.1", "not after its start"),
        ("1.1+0", "not after its start"),
        ("1200-1300ms", "not after its start"),
        ("-1-2", "negative time"),
        ("1.1", "is not a gap"),
        ("", "is not a gap"),
        ("a-b", "is not a gap"),
        ("1-nan", "is not a gap"),
        ("1e3-2e3", "is not a gap"),
        ("1:2:3:4-2", "is not a gap"),
        ("0:75-0:80", "no clock time"),
        ("0:05ms-1", "no clock time"),
        ("1.0001-1.0002", "holds no sample at 1000 Hz"),
    ],
)
def test_what_is_no_gap_is_said_in_a_line(text: str, said: str) -> None:
    with pytest.raises(SettingError, match=said) as caught:
        parse_gap(text, 1000)
    assert "\n" not in str(caught.value)
    assert repr(text) in str(caught.value)


@hypothesis.given(st.integers(0, 10**7), st.integers(1, 10**6))
def test_samples_survive_being_written_as_seconds(start: int, length: int) -> None:
    for rate in (8000, 44100):
        text = f"{start / rate:.7f}-{(start + length) / rate:.7f}"
        assert parse_gap(text, rate) == (start, start + length)


def listed(folder: Path, text: str) -> list[tuple[int, int]]:
    path = folder / "gaps.txt"
    path.write_text(text, encoding="utf-8")
    return read_gaps(path, 1000)


@pytest.mark.parametrize(
    "text",
    [
        "1.1,1.3\n2,2.5\n",
        "start,end\n1.1,1.3\n\n2,2.5",
        "\ufeffstart;end\r\n1,1;1,3\r\n2;2,5\r\n",
        "1.1\t1.3\tcough\n\\\t200\t4000\n2.0\t2.5\t\n",
    ],
)
def test_files_that_list_the_same_gaps(tmp_path: Path, text: str) -> None:
    assert listed(tmp_path, text) == [(1100, 1300), (2000, 2500)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1.1,1.3\n2,x\n", "line 2: .* is no gap"),
        ("start,end\n1.1,1.3,9\n", "line 2: .* is no gap"),
        ("1,1,1,3\n", "line 1: .* is no gap"),  # decimal commas between commas
        ("1.1\n", "line 1: .* is no gap"),
        ("1,nan\n", "line 1: .* is no gap"),
        ("1.1,1.3\n5,4\n", "line 2: .* not after its start"),
        ("-1,1.3\n", "line 1: .* starts at -1 s"),
        ("1.1\t1.3\tfine\n2\t2\tpoint\n", "line 2: a label for the point 2 s"),
        ("start,end\n", "lists no gap"),
        ("", "lists no gap"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        listed(tmp_path, text)
    assert "gaps.txt" in str(caught.value)


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_gaps(tmp_path / "none.csv", 1000)
    (tmp_path / "raw").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InputError, match="cannot be read"):
        read_gaps(tmp_path / "raw", 1000)


@hypothesis.given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 9)), max_size=8))
def test_merging_keeps_the_lost_samples_and_parts_the_gaps(gaps: list[tuple[int, int]]) -> None:
    given = [(start, start + length) for start, length in gaps]
    merged = merge_gaps(given, 100)
    lost = {sample for start, stop in given for sample in range(start, stop)}
    assert [sample for start, stop in merged for sample in range(start, stop)] == sorted(lost)
    assert all(a[1] < b[0] for a, b in pairwise(merged))


def test_gaps_lie_in_the_file_and_leave_something() -> None:
    with pytest.raises(SettingError, match="from 90 to 101 sample is not within the file, which has 100"):
        merge_gaps([(1, 2), (90, 101)], 100)
    with pytest.raises(SettingError, match="leave none"):
        merge_gaps([(40, 100), (0, 50)], 100)
    assert merge_gaps([(0, 99)], 100) == [(0, 99)]


# What a recording shows.


def sounds() -> list[np.ndarray]:
    recorded = [soundfile.read(SAMPLES / f"{name}.wav")[0] for name in ("speech", "piano", "mix")]
    made = [make(4.0, seed) for make in (voice, piano) for seed in range(3)]
    return [*recorded, *made, hiss(4 * RATE, 0.1)]


def test_clean_sound_has_no_gaps() -> None:
    for x in sounds():
        assert find_gaps(tensor(x), RATE) == []
        assert find_gaps(tensor(x, 0.5 * x), RATE) == []


def clicked(x: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, list[tuple[int, int]]]:
    y, places = x.copy(), []
    for start in range(3000, len(x) - 3000, 5000):
        first, length = start + int(rng.integers(0, 3000)), int(rng.integers(1, 11))
        shape = rng.choice([-1, 1], length) if rng.uniform() < 0.5 else np.full(length, rng.choice([-1, 1]))
        y[first : first + length] += rng.uniform(0.3, 0.8) * shape
        places.append((first, first + length))
    return y, places


# Tones without breath or hammers are predicted so well that a click also spoils what is fitted to them.
@pytest.mark.parametrize(("chosen", "share"), [(slice(0, 6), 0.95), (slice(6, 9), 0.8)])
def test_clicks_are_found_whole(chosen: slice, share: float) -> None:
    rng, whole, total, false = np.random.default_rng(0), 0, 0, 0
    for x in sounds()[chosen]:
        y, places = clicked(x, rng)
        found = find_gaps(tensor(y), RATE)
        assert {gap.reason for gap in found} <= {"click"}
        whole += sum(any(gap.start <= a and b <= gap.stop for gap in found) for a, b in places)
        false += sum(not any(a < gap.stop and gap.start < b for a, b in places) for gap in found)
        total += len(places)
        assert all(gap.stop - gap.start <= 20 for gap in found)
    assert whole >= share * total > 25
    assert false <= 0.02 * total


def test_a_click_across_the_seam_of_segments_is_found_once() -> None:
    x, seams = piano(9.0), (64 * 512, 2 * 64 * 512)
    for seam in seams:
        x[seam - 3 : seam + 3] += 0.7
    found = find_gaps(tensor(x), RATE)
    assert len(found) == len(seams)
    for gap, seam in zip(found, seams, strict=True):
        assert gap.start <= seam - 3 < seam + 3 <= gap.stop <= gap.start + 12


@pytest.mark.parametrize("rate", [300, 8000, 44100, 96000])
def test_other_sample_rates(rate: int) -> None:
    rng = np.random.default_rng(2)
    x = hiss(3 * rate, 0.02)
    assert find_gaps(tensor(x), rate) == []
    places = [int(place) for place in (np.arange(0.2, 2.8, 0.2) + rng.uniform(0, 0.1, 13)) * rate]
    for place in places:
        x[place] = 0.8
    found = find_gaps(tensor(x), rate)
    # 300 Hz have no block of which most is undisturbed.
    assert sum(any(gap.start <= place < gap.stop for gap in found) for place in places) >= (
        0 if rate == 300 else 12
    )
    # Bursts longer than a click, of what no filter predicts, are none, and end the search all the same.
    for place in places:
        length = round(0.01 * rate)
        x[place : place + length] = 0.5 * rng.standard_normal(length)
    assert len(find_gaps(tensor(x), rate)) < 3


def loud(x: np.ndarray, first: int, stop: int) -> bool:
    sides = (x[first - 80 : first], x[stop : stop + 80])
    return min(np.sqrt(np.mean(side**2)) for side in sides) > 0.01


def test_drop_outs_are_found_exactly() -> None:
    rng, hits, total = np.random.default_rng(1), 0, 0
    for x in sounds():
        for _ in range(30):
            length = int(rng.integers(40, 3000))
            first = int(rng.integers(200, len(x) - length - 200))
            if not loud(x, first, first + length):
                continue
            y = x.copy()
            y[first : first + length] = 0
            total += 1
            found = find_dropouts(y[None], RATE)
            # A sample that was zero before belongs to the silence as well.
            hits += any(abs(a - first) <= 2 and abs(b - first - length) <= 2 for a, b in found)
    assert hits >= 0.95 * total > 150


def test_what_is_no_drop_out() -> None:
    x = hiss(RATE, 0.1)
    fade = np.concatenate(
        [np.ones(7000), np.linspace(1, 0, 160), np.zeros(840), np.linspace(0, 1, 160), np.ones(7840)]
    )
    leading = np.where(np.arange(RATE) < 800, 0, x)
    one_side = np.stack([np.where((np.arange(RATE) >= 7000) & (np.arange(RATE) < 7500), 0, x), x])
    coarse = np.round(3 * voice()) / 3
    clipped = np.clip(5 * np.sin(np.arange(RATE) * 0.004), -0.5, 0.5) + 0
    for y in (x * fade, leading, leading[::-1].copy(), *[coarse, clipped]):
        assert [gap for gap in find_gaps(tensor(y), RATE) if gap.reason == "digital silence"] == []
    assert find_gaps(torch.from_numpy(one_side), RATE) == []
    both = find_gaps(tensor(one_side[0], one_side[0]), RATE)
    assert both == [FoundGap(7000, 7500, "digital silence")]


def test_what_is_no_number_is_lost_in_all_channels() -> None:
    x = torch.stack([torch.from_numpy(voice()).float()] * 2)
    x[0, 20000:20300], x[1, 20299], x[1, 40000] = torch.nan, torch.inf, -torch.inf
    assert find_gaps(x, RATE) == [
        FoundGap(20000, 20300, "not a number"),
        FoundGap(40000, 40001, "not a number"),
    ]
    assert find_gaps(torch.full((1, 9), torch.nan), RATE) == [FoundGap(0, 9, "not a number")]


@pytest.mark.parametrize("time", [0, 1, 2, 40, 700])
def test_short_and_silent_recordings_have_no_gaps(time: int) -> None:
    assert find_gaps(torch.zeros(2, time), RATE) == []
    assert find_gaps(tensor(hiss(time, 0.1)), RATE) == []


@pytest.mark.parametrize("window", [1, 1 << 17])
def test_window_by_window_finds_the_same(window: int) -> None:
    """Drop-outs, clicks and not-a-numbers across windows' ends too, and a stretch that is silent for long."""
    rate = 16000
    rng = np.random.default_rng(3)
    time = 11 * rate
    t = np.arange(time) / rate
    x = np.stack([np.sin(2 * np.pi * f * t) * (1.2 + np.sin(t)) for f in (220, 331)]) * 0.2
    x += 0.003 * rng.standard_normal(x.shape)
    segment = segment_length(rate)
    for start in (segment - 60, 2 * segment - 1, 70_000, 4 * segment):  # across ends, and not
        x[:, start : start + 120] = 0.0
    for place in (3 * segment, 3 * segment - 40, 40_000, 90_001):
        x[:, place] += 0.9
    x[0, 5 * segment - 30 : 5 * segment + 30] = np.nan
    x[:, 100_000:101_000] = np.inf
    whole = find_gaps(torch.from_numpy(x).float(), rate)
    raw = torch.from_numpy(x).float().double().numpy()
    assert gaps_in_windows(lambda a, b: raw[:, a:b], time, rate, window) == whole
    assert {gap.reason for gap in whole} == {"digital silence", "click", "not a number"}
    assert len(whole) >= 9


def test_nothing_but_not_a_numbers_window_by_window() -> None:
    raw = np.full((1, 100_000), np.nan)
    found = gaps_in_windows(lambda a, b: raw[:, a:b], 100_000, 16000, 1)
    assert found == find_gaps(torch.from_numpy(raw), 16000)
    assert gaps_in_windows(lambda a, b: raw[:, a:b], 0, 16000) == []
