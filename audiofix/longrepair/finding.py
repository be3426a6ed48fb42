"""Finders of faults for a recording on disk."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from audiofix.audio.streaming import blocks
from audiofix.faults.frames import power_of_parts
from audiofix.faults.gaps import FoundGap
from audiofix.faults.longgaps import gaps_in_windows
from audiofix.faults.look import Look
from audiofix.longrepair.lengths import STRETCH
from audiofix.runtime.ranks import pieces
from audiofix.runtime.stores import Store, on_disk
from audiofix.types import Audio


@contextlib.contextmanager
def look_from(path: Path, audio: Audio, scratch: Path) -> Iterator[Look]:
    """What `faults.look.look_at` gives, of a file; it is laid out in `scratch` once anything has to be found."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        held: list[Store] = []

        def store() -> Store:
            if not held:
                held.append(on_disk(Path(folder))((audio.channels, 1), 0, audio.length))
                at = 0
                for block in blocks(path, finite=False):
                    held[0].write(at, block[:, None])
                    at += block.shape[1]
            return held[0]

        def read(start: int, stop: int) -> NDArray[np.float64]:
            return store().read(start, stop)[:, 0].double().numpy()

        def parts() -> Iterator[NDArray[np.float64]]:
            return (read(start, stop) for start, stop in pieces(0, audio.length, STRETCH))

        def frames() -> NDArray[np.float64]:
            return power_of_parts(
                lambda channel, start, stop: np.nan_to_num(read(start, stop)[channel]),
                audio.channels,
                audio.length,
            )

        def gaps() -> list[FoundGap]:
            return gaps_in_windows(read, audio.length, audio.sample_rate)

        yield Look(audio.sample_rate, parts, frames, gaps)
