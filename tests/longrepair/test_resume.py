"""A run that was stopped goes on to the samples of one that was not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from audiofix.damages import Cut, LostBand
from audiofix.drawing import Place
from audiofix.longrepair import guesses
from audiofix.longrepair.restore import restore_file
from audiofix.progress import Progress
from audiofix.settings import Settings
from tests.longrepair.test_same import LEVEL, RATE, clip, small, written

__all__ = ["small"]


class Stopped(Exception):
    """In the middle of a run."""


def run(
    path: Path, scratch: Path, place: Place, stop: float = float("inf"), **settings: Any
) -> tuple[Tensor, int]:
    """The result, and steps that were told; stopped in step `stop`."""
    scratch.mkdir()
    told = 0

    def progress(_now: Progress) -> None:
        nonlocal told
        told += 1
        if told >= stop:
            raise Stopped

    faults = [Cut(-LEVEL, LEVEL)] if settings.pop("clipped") else [LostBand(3000.0)]
    asked = Settings(prior="speech", device="cpu", **settings)
    found = restore_file(path, faults, scratch, settings=asked, place=place, progress=progress)
    assert found.result is not None
    return found.result.read(0, found.audio.length), told


@pytest.mark.parametrize(
    "settings",
    [
        {"clipped": True, "quality": "balanced"},
        {"clipped": False, "quality": "fast", "draws": 2},
    ],
    ids=["mean", "draws"],
)
def test_stopped_and_resumed(
    settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "x.wav", RATE, 3.4, 1, clip)
    saved = tmp_path / "saved"
    expected, steps = run(path, tmp_path / "a", Place(), **settings)
    with pytest.raises(Stopped):
        run(path, tmp_path / "b", Place(checkpoints=saved, every=0.0), steps - 1, **settings)
    if settings["clipped"]:  # what has been found is not sought again
        monkeypatch.setattr(guesses, "sparse", None)
    found, left = run(path, tmp_path / "c", Place(checkpoints=saved, resume=True), **settings)
    assert torch.equal(found, expected)
    assert left < steps
    # Another fault's numbers are not taken up.
    different = {**settings, "seed": 9, "clipped": False}
    resuming = Place(checkpoints=saved, resume=True)
    other, whole = (
        run(path, tmp_path / name, place, **different) for name, place in (("d", resuming), ("e", Place()))
    )
    assert other[1] == whole[1]
    assert torch.equal(other[0], whole[0])
    assert not torch.equal(other[0], expected)
