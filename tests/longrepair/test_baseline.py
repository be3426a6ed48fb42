"""The classical method by way of the disk: the samples of the one in memory, or near them where it says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from audiofix.audio.files import read_audio
from audiofix.compare import classical
from audiofix.damages import Cut, Fault, LostBand, LostSamples, Noisy, Rounded
from audiofix.longrepair import baseline as module
from audiofix.longrepair.baseline import baseline
from audiofix.longrepair.restore import restore_file
from audiofix.operators.local import SLOPE
from audiofix.runtime.ranks import Ranks
from audiofix.runtime.stores import Memory, in_memory
from audiofix.settings import Settings
from tests.longrepair.test_same import (
    COLOURED,
    GAPS,
    LEVEL,
    RATE,
    STEP,
    clip,
    lost,
    rounded,
    same,
    small,
    written,
)

__all__ = ["small"]


@pytest.fixture(autouse=True)
def short(small: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STRETCH", 1 << 14)


def recording(path: Path, rate: int, channels: int, damage: Callable[[Any], Any]) -> Tensor:
    return torch.nan_to_num(read_audio(written(path, rate, 3.4, channels, damage), finite=False).samples)


def from_stretches(y: Tensor, rate: int, faults: list[Fault]) -> tuple[Tensor, list[str]]:
    found, notes = baseline(Memory(y[:, None].clone()), rate, faults, in_memory, Ranks())
    return found.read(0, y.shape[1])[:, 0], notes


SAME: dict[str, tuple[int, list[Fault], Callable[[Any], Any]]] = {
    "gaps": (RATE, [LostSamples(GAPS)], lost),
    "gaps, another rate": (32000, [LostSamples(((9000, 9400), (11000, 11100), (98000, 98200)))], same),
    "clip": (RATE, [Cut(-LEVEL, LEVEL)], clip),
    "quantise": (RATE, [Rounded(STEP)], rounded),
    "white noise": (RATE, [Noisy(torch.tensor([0.02]))], same),
    "coloured noise": (22050, [Noisy(COLOURED)], same),
    "a band above all there is": (RATE, [LostBand(RATE / 2)], same),
}


@pytest.mark.parametrize("name", SAME)
def test_one_fault_gives_the_samples_of_memory(name: str, tmp_path: Path) -> None:
    rate, faults, damage = SAME[name]
    y = recording(tmp_path / "x.wav", rate, 2, damage)
    found, notes = from_stretches(y, rate, faults)
    expected = classical(y, rate, faults)
    if name == "a band above all there is":  # a filter lets all of it pass, but for its slope
        assert float((found - expected).square().mean() / expected.square().mean()) < 1e-3
        return
    assert torch.equal(found, expected)
    assert not torch.equal(found, y)
    assert notes == []


def test_several_faults_are_rounded_between_and_the_report_says_so(tmp_path: Path) -> None:
    y = recording(tmp_path / "x.wav", RATE, 1, lost)
    faults: list[Fault] = [Noisy(torch.tensor([0.02])), LostSamples(GAPS)]
    found, notes = from_stretches(y, RATE, faults)
    # The Wiener filter is given the gaps' fills to 2^-24; its gains go up to 1 and change no faster than 1/sigma².
    assert float((found - classical(y, RATE, faults)).abs().max()) < 1e-5
    assert len(notes) == 1
    assert "float32" in notes[0]


def test_a_missing_band_differs_at_its_edge_alone_and_the_report_says_so(tmp_path: Path) -> None:
    y, cutoff = recording(tmp_path / "x.wav", RATE, 1, same), 3000.0
    found, notes = from_stretches(y, RATE, [LostBand(cutoff)])
    expected = classical(y, RATE, [LostBand(cutoff)])
    inner = slice(RATE // 2, -RATE // 2)
    window = torch.hann_window(expected[:, inner].shape[1], periodic=False).double() ** 4
    apart = torch.fft.rfft((found - expected)[:, inner].double() * window).abs()[0]
    whole = torch.fft.rfft(expected[:, inner].double() * window).abs()[0]
    hertz = torch.arange(len(apart)) * RATE / expected[:, inner].shape[1]
    near = (hertz - cutoff).abs() < SLOPE + 8
    near |= hertz > RATE / 2 - 2 * SLOPE - 8
    size = float(whole.square().mean().sqrt())
    assert float(apart[~near].square().mean().sqrt()) < 1e-4 * size
    assert float(apart[near].square().mean().sqrt()) > 10 * float(apart[~near].square().mean().sqrt())
    assert len(notes) == 1
    assert "3000 Hz" in notes[0]


def test_sections_of_a_file_are_joined_without_a_seam(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the bits of memory are not to be had, those of one stretch are."""
    y = recording(tmp_path / "x.wav", RATE, 1, same)
    found, _ = from_stretches(y, RATE, [LostBand(3000.0)])
    for there in ("audiofix.longrepair.lengths", "audiofix.longrepair.baseline"):
        monkeypatch.setattr(f"{there}.STRETCH", 1 << 20)
    assert torch.equal(found, from_stretches(y, RATE, [LostBand(3000.0)])[0])


def test_restoring_gives_it_and_the_recording(tmp_path: Path) -> None:
    path = written(tmp_path / "x.wav", 8000, 1.0, 1, same)
    (tmp_path / "scratch").mkdir()
    found = restore_file(
        path,
        [],
        tmp_path / "scratch",
        settings=Settings(RATE, prior="speech", device="cpu", quality="fast"),
        compare=True,
    )
    assert found.before is not None
    assert found.baseline is not None
    assert found.before.stop == found.baseline.stop == RATE
    assert found.report["baseline"] == {"method": "spectral replication", "scores": None}
    assert any("4000 Hz" in note for note in found.report["notes"])
    # The band below is that of the recording, to DEPTH and the window's tails.
    window = torch.hann_window(RATE, periodic=False).double() ** 4
    added = torch.fft.rfft((found.baseline.read(0, RATE) - found.before.read(0, RATE))[0, 0] * window).abs()
    assert float(added[100:3950].max()) < 1e-4 * float(added[4050:].max())
