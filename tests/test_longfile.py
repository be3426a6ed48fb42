"""A recording that is worked on from the disk: the samples of one in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

import audiofix
from audiofix import longfile
from audiofix.audio.files import read_audio
from audiofix.audio.resample import resample
from audiofix.audio.streaming import blocks, outline, resampled
from audiofix.errors import InputError, SettingError
from audiofix.loading import prepare
from audiofix.longfile import HELD, LOADED, fitted, separate_file
from audiofix.runtime import ranks
from audiofix.runtime.ranks import Ranks
from audiofix.runtime.stores import in_memory
from audiofix.setup import SHORTER

SMALL = "audiofix.longfile.fitted"


def written(path: Path, seconds: float, channels: int, rate: int, subtype: str = "PCM_16") -> Path:
    sound = 0.1 * np.random.default_rng(0).standard_normal((round(seconds * rate), channels))
    soundfile.write(path, sound, rate, subtype)
    return path


@pytest.mark.usefixtures("tiny_separator")
@pytest.mark.parametrize(("channels", "rate"), [(1, 16000), (2, 44100)])
def test_the_disk_gives_the_samples_of_memory(
    channels: int, rate: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "mix.wav", 6.5, channels, rate)
    settings = {"levels": 3, "seed": 2, "device": "cpu"}
    expected = audiofix.separate(read_audio(path), **settings)
    monkeypatch.setattr(SMALL, lambda _memory, setup, *_: (setup, ranks.UNIT))
    (tmp_path / "scratch").mkdir()
    found = separate_file(path, ("speech", "piano"), tmp_path / "scratch", **settings)
    assert found.stems is not None
    stems = found.stems.read(0, found.audio.length)
    for index, source in enumerate(("speech", "piano")):
        # Divided by the gain before they are averaged and resampled, in both: the same numbers.
        assert torch.equal(stems[:, index], expected.stems[source].samples)
    assert found.report["settings"] == expected.report["settings"]
    assert found.report["working_gain_db"] == expected.report["working_gain_db"]


@pytest.mark.parametrize(
    ("rates", "length"), [((44100, 16000), 100_001), ((16000, 44100), 40_000), ((8000, 8000), 77)]
)
@pytest.mark.parametrize("size", [1, 4096, 10**6])
def test_resampling_block_by_block(rates: tuple[int, int], length: int, size: int) -> None:
    length = length if size > 1 else 500
    wave = torch.randn(2, length, generator=torch.Generator().manual_seed(0))
    wanted = -(-length * rates[1] // rates[0])
    cut = (wave[:, i : i + size] for i in range(0, length, size))
    found = torch.cat(list(resampled(cut, length, *rates, wanted)), dim=1)
    assert torch.equal(found, resample(wave, *rates))


def test_blocks_are_the_file(tmp_path: Path) -> None:
    path = written(tmp_path / "a.flac", 1.0, 2, 8000)
    assert torch.equal(torch.cat(list(blocks(path, 999)), dim=1), read_audio(path).samples)
    like, whole = outline(path), read_audio(path)
    assert (like.length, like.channels, like.sample_rate) == (whole.length, whole.channels, whole.sample_rate)
    assert (like.subtype, like.container) == (whole.subtype, whole.container)


def test_what_is_not_finite_is_refused(tmp_path: Path) -> None:
    sound = np.zeros((1000, 1))
    sound[700] = np.nan
    soundfile.write(tmp_path / "a.wav", sound, 8000, "FLOAT")
    with pytest.raises(InputError, match=r"after 0\.1 s"):
        list(blocks(tmp_path / "a.wav", 400))


@pytest.mark.usefixtures("tiny_separator")
def test_too_little_memory_says_how_much(tmp_path: Path) -> None:
    path = written(tmp_path / "mix.wav", 1.0, 1, 16000)
    with pytest.raises(
        SettingError, match=r"--memory 0\.1GB does not suffice for these models; give \d\.\dGB"
    ):
        separate_file(path, ("speech", "piano"), tmp_path, memory=1e8, device="cpu")


@pytest.mark.usefixtures("tiny_separator")
def test_where_memory_is_short_chunks_are_too() -> None:
    setup = prepare(("speech", "piano"), None, None, None, None, "cpu", None, "fast")
    assert setup.unit != setup.grid  # so small a network's bits depend on its chunks
    with pytest.raises(SettingError, match="does not suffice"):
        fitted(LOADED + setup.in_chunks(1).cost(2, 1, 3600 * 16000)[1] + 1e8, setup, 1, 2)
    vars(setup.posterior)["anywhere"] = True
    assert setup.unit == setup.grid
    peaks = [setup.in_chunks(halos).cost(2, 1, 3600 * 16000)[1] for halos in SHORTER]
    assert peaks == sorted(peaks, reverse=True)
    section = 4 * 2 * HELD * ranks.UNIT  # bytes
    assert peaks[0] - peaks[-1] > 2 * section
    memory = LOADED + peaks[-1] + 1.5 * section
    found, length = fitted(memory, setup, 1, 2)
    assert length == ranks.UNIT
    assert found.executor.halos == SHORTER[-1]
    assert fitted(LOADED + peaks[0] + 3.5 * section, setup, 1, 2) == (setup, 3 * ranks.UNIT)


def test_level(tmp_path: Path) -> Tensor | None:
    """In blocks that cut frames: the level of the whole."""
    from audiofix.audio.loudness import working_level
    from audiofix.longfile import load
    from audiofix.runtime.stores import in_memory

    path = written(tmp_path / "mix.wav", 1.23, 2, 16000)
    store = in_memory((2, 1), 0, outline(path).length)
    whole = read_audio(path).samples
    gain = load(path, outline(path), 16000, 0.1, store)
    assert gain == working_level(whole, 16000)
    assert torch.equal(store.read(0, store.stop)[:, 0], whole * gain)


class Told(Exception):
    """What a process says to the others."""


@dataclass(frozen=True, eq=False)
class Alone(Ranks):
    """One of three processes, which never meet: it is given what the others say, or leaves with what it says."""

    heard: Tensor | None = None
    others: tuple[Any, ...] | None = None

    def gather(self, groups: Any, into: Any) -> None:
        assert groups == [[(0, into.stop)]]
        if not self.first:
            into.write(0, self.heard)

    def told(self, value: Any) -> list[Any]:
        if self.others is None:
            raise Told(value)
        return [value, *self.others]


def test_processes_judge_a_source_each_and_say_what_one_says(monkeypatch: pytest.MonkeyPatch) -> None:
    sources, rate = ["a", "b", "c", "d"], 100
    asked: list[int] = []

    def judged(_setup: Any, names: list[str], stems: Tensor, which: list[int]) -> Any:
        (index,) = which
        asked.append(index)
        bits = {names[index]: {"bits": float(stems[:, index].mean())}} if index != 2 else {}
        return bits, [f"{names[index]} is odd"] if index % 2 else []

    monkeypatch.setattr(longfile, "judge", judged)
    setup: Any = SimpleNamespace(sample_rate=rate)
    length = (longfile.JUDGED + 7) * rate
    low = in_memory((1, 4), 0, length)
    low.write(0, torch.arange(4.0)[None, :, None] + torch.linspace(0, 1, length))
    empty = in_memory((1, 4), 0, 0)
    expected = longfile.judge_together(setup, sources, low, length, Ranks())
    assert (list(expected[0]), expected[1], asked) == (
        ["a", "b", "d"],
        ["b is odd", "d is odd"],
        [0, 1, 2, 3],
    )
    first = (length - longfile.JUDGED * rate) // 2
    middle = low.read(first, first + longfile.JUDGED * rate)
    assert expected[0]["b"]["bits"] == float(middle[:, 1].mean())
    said = []
    for rank in (1, 2):
        with pytest.raises(Told) as left:
            longfile.judge_together(setup, sources, empty, length, Alone(rank, 3, middle))
        said.append(left.value.args[0])
    asked.clear()
    found = longfile.judge_together(setup, sources, low, length, Alone(0, 3, None, tuple(said)))
    assert asked == [0, 3]
    assert found == expected
    assert list(found[0]) == list(expected[0])
