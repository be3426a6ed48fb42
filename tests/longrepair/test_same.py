"""A recording that is restored from the disk, in sections: the samples of one in memory, or near them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from audiofix.audio.files import read_audio
from audiofix.baselines import declipping, dequantising
from audiofix.baselines.spade import Spade
from audiofix.damages import Cut, Fault, LostBand, LostSamples, Noisy, Rounded
from audiofix.errors import InputError, SettingError
from audiofix.longrepair import guesses, lengths
from audiofix.longrepair import restore as module
from audiofix.longrepair.restore import restore_file
from audiofix.operators.local import DEPTH, SLOPE
from audiofix.repair import restore
from audiofix.runtime.ranks import UNIT
from audiofix.settings import Settings
from audiofix.tools import TRUSTED, Effort

RATE = 16000
LEVEL, STEP = 0.25, 2.0**-5
GAPS = ((9000, 9400), (30000, 30320), (48900, 49500))  # the last one across two sections
COLOURED = 0.02 * (1.2 + torch.cos(torch.linspace(0, 9, 1025)))


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sections and stretches that a few seconds have several of, short frames for the sparse guess, few levels."""
    monkeypatch.setattr(module, "section_for", lambda *_: UNIT)
    for there in (guesses, lengths, module):
        monkeypatch.setattr(there, "STRETCH", 1 << 14)
    monkeypatch.setattr("audiofix.tools.EFFORTS", {"fast": Effort(2, 2, 1), "balanced": Effort(3, 2, 1)})
    monkeypatch.setattr(declipping, "SPARSE", Spade(frame=256, rise=8.0))
    monkeypatch.setattr(dequantising, "SPARSE", Spade(frame=256, rise=8.0, tolerance=0.2))


def written(path: Path, rate: int, seconds: float, channels: int, damage: Callable[[Any], Any]) -> Path:
    t = np.arange(round(rate * seconds)) / rate
    tones = [sum(np.sin(2 * np.pi * f * (1 + 0.1 * c) * t) / k for k, f in enumerate((220, 447, 910), 1))
             for c in range(channels)]  # fmt: skip
    noise = 0.02 * np.random.default_rng(0).standard_normal((len(t), channels))
    x = 0.15 * np.stack(tones, axis=1) * (1 + 0.5 * np.sin(4 * t))[:, None] + noise
    soundfile.write(path, damage(x), rate, "FLOAT")
    return path


def from_disk(path: Path, faults: Sequence[Fault], scratch: Path, **settings: Any) -> tuple[Tensor, Any]:
    scratch.mkdir()
    asked = Settings(prior="speech", device="cpu", **settings)
    found = restore_file(path, faults, scratch, settings=asked)
    assert found.result is not None
    return found.result.read(0, found.audio.length)[:, 0], found


def clip(x: Any) -> Any:
    return x.clip(-LEVEL, LEVEL)


def rounded(x: Any) -> Any:
    return np.round(x / STEP) * STEP


def same(x: Any) -> Any:
    return x


def lost(x: Any) -> Any:
    x = x.copy()
    x[GAPS[0][0] : GAPS[0][1]] = np.nan
    return x


SAME: dict[str, tuple[list[Fault], Callable[[Any], Any], int, dict[str, Any]]] = {
    "clip": ([Cut(-LEVEL, LEVEL)], clip, 1, {"quality": "balanced"}),
    "clip without sparse": ([Cut(-LEVEL, math.inf)], lambda x: x.clip(max=LEVEL), 2, {"quality": "fast"}),
    "clip, draws": ([Cut(-LEVEL, LEVEL)], clip, 1, {"quality": "fast", "draws": 2}),
    "quantise": ([Rounded(STEP)], rounded, 2, {"quality": "balanced"}),
    "white noise": ([Noisy(torch.tensor([0.02]))], same, 2, {}),
    "gaps": ([LostSamples(GAPS)], lost, 2, {}),
    "gaps, a draw": ([LostSamples(GAPS)], lost, 1, {"quality": "fast", "mean": False}),
    "clip and gaps": (
        [Cut(-LEVEL, LEVEL), LostSamples(GAPS)],
        lambda x: lost(clip(x)),
        1,
        {"quality": "fast"},
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_the_disk_gives_the_samples_of_memory(name: str, tmp_path: Path) -> None:
    faults, damage, channels, settings = SAME[name]
    path = written(tmp_path / "x.wav", RATE, 3.4, channels, damage)
    expected = restore(read_audio(path, finite=False), faults, prior="speech", device="cpu", **settings)
    found, long = from_disk(path, faults, tmp_path / "scratch", **settings)
    assert torch.equal(found, expected.audio.samples)
    assert len(long.draws) == len(expected.draws)
    for one, other in zip(long.draws, expected.draws, strict=True):
        assert torch.equal(one.read(0, long.audio.length)[:, 0], other.samples)
    passing = {"seconds", "seconds_per_audio_second", "section_seconds", "notes", "change"}
    assert {k: v for k, v in long.report.items() if k not in passing} == {
        k: v for k, v in expected.report.items() if k not in passing
    }
    level = "level_db"  # a sum of squares, stretch by stretch
    assert long.report["change"].pop(level) == pytest.approx(expected.report["change"].pop(level), abs=1e-9)
    assert long.report["change"] == expected.report["change"]


@pytest.mark.parametrize("settings", [{}, {"quality": "fast", "draws": 1}], ids=["inpainter", "chain"])
def test_long_pieces_around_gaps_go_by_way_of_the_disk(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "x.wav", RATE, 5.0, 1, same)
    faults = [LostSamples(GAPS)]
    expected = restore(read_audio(path), faults, prior="speech", device="cpu", **settings)
    monkeypatch.setattr(module, "WHOLE", 0.5)
    found, _ = from_disk(path, faults, tmp_path / "scratch", **settings)
    assert torch.equal(found, expected.audio.samples)


@pytest.mark.parametrize("rate", [11025, 44100])
def test_gaps_are_filled_the_same_at_any_rate(rate: int, tmp_path: Path) -> None:
    path = written(tmp_path / "x.wav", rate, 2.0, 1, same)
    faults = [LostSamples(((rate, rate + 200),))]
    expected = restore(read_audio(path), faults, prior="speech", device="cpu")
    assert torch.equal(from_disk(path, faults, tmp_path / "scratch")[0], expected.audio.samples)


FILTERED: dict[str, tuple[int, list[Fault], Callable[[Any], Any], dict[str, Any]]] = {
    "coloured noise": (RATE, [Noisy(COLOURED)], same, {"quality": "fast"}),
    "low-pass": (RATE, [LostBand(3000.0)], same, {"quality": "fast"}),
    "another rate": (22050, [Cut(-LEVEL, LEVEL)], clip, {"quality": "fast"}),
    "another rate, noise": (48000, [Noisy(torch.tensor([0.02]))], same, {}),
    "another rate, low-pass": (22050, [LostBand(3000.0)], same, {"quality": "fast"}),
}


@pytest.mark.parametrize("name", FILTERED)
def test_sections_change_no_bit_where_filters_are_local(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate, faults, damage, settings = FILTERED[name]
    path = written(tmp_path / "x.wav", rate, 3.4, 1, damage)
    found, _ = from_disk(path, faults, tmp_path / "two", **settings)
    monkeypatch.setattr(module, "section_for", lambda *_: 100 * UNIT)
    assert torch.equal(found, from_disk(path, faults, tmp_path / "one", **settings)[0])


class Pointwise:
    """White sound: what is restored under it is a linear function of the recording."""

    sample_rate, sigmas, halo, grid = RATE, (1.0, 0.001), 0, 1

    def score(self, x: Tensor, sigma: float) -> Tensor:
        return -x / (0.01 + sigma**2)


@pytest.mark.parametrize(
    ("rate", "fault", "settings"),
    [
        (RATE, LostBand(3000.0), {"mean": True, "quality": "fast"}),
        (44100, LostBand(3000.0), {"mean": True, "quality": "fast"}),
        (44100, Noisy(torch.tensor([0.05])), {}),
        (8000, LostBand(3000.0), {"to_rate": RATE, "mean": True, "quality": "fast"}),
    ],
)
def test_away_from_the_edges_of_bands_it_is_what_memory_gives(
    rate: int, fault: Fault, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a linear prior: near an edge and in a mean's slope it differs, else by DEPTH of each filter."""
    monkeypatch.setattr("audiofix.tools.load_prior", lambda *_, **__: Pointwise())
    path = written(tmp_path / "x.wav", rate, 3.0, 1, same)
    faults = [] if "to_rate" in settings else [fault]
    expected = restore(read_audio(path), faults, prior="tiny-speech", device="cpu", **settings).audio
    found, _ = from_disk(path, faults, tmp_path / "scratch", **settings)
    inner = slice(expected.sample_rate // 2, -expected.sample_rate // 2)  # away from ends, which fade
    window = torch.hann_window(found[:, inner].shape[1], periodic=False).double() ** 4
    apart = torch.fft.rfft((found - expected.samples)[:, inner].double() * window).abs()[0]
    whole = torch.fft.rfft(expected.samples[:, inner].double() * window).abs()[0]
    hertz = torch.arange(len(apart)) * expected.sample_rate / found[:, inner].shape[1]
    edges = [RATE / 2, 3000.0, 3000.0 / TRUSTED, TRUSTED * 4000]
    near = torch.stack([(hertz - edge).abs() < 2 * SLOPE + 8 for edge in edges]).any(dim=0)
    # Where a filter's slope is raised, by factors that change from one 8 Hz to the next, all of it is near.
    near |= torch.stack([(hertz > TRUSTED * top) & (hertz < top) for top in (3000 / TRUSTED, 4000)]).any(
        dim=0
    )
    size = float(whole.square().mean().sqrt())
    steps = 12  # filters one after the other, each DEPTH off; and float32
    assert float(apart[~near].square().mean().sqrt()) < (steps * DEPTH + 1e-6) * size * 2
    assert float(apart[near].square().mean().sqrt()) > 10 * float(apart[~near].square().mean().sqrt())


def test_not_a_number_outside_of_gaps_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "x.wav", RATE, 1.0, 1, lost)
    with pytest.raises(InputError, match="outside the gaps"):
        from_disk(path, [Cut(-LEVEL, LEVEL)], tmp_path / "scratch")


def test_a_prior_that_cannot_be_cut_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = type("Whole", (Pointwise,), {"halo": None})
    monkeypatch.setattr("audiofix.tools.load_prior", lambda *_, **__: whole())
    path = written(tmp_path / "x.wav", RATE, 1.0, 1, same)
    with pytest.raises(SettingError, match="leave out --memory"):
        from_disk(path, [Noisy(torch.tensor([0.02]))], tmp_path / "scratch")
