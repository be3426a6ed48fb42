"""Windows of clean audio from folders of files, drawn at random, ready for training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiofix.errors import InputError
from audiofix.training.sets import SUFFIXES


@dataclass(frozen=True)
class AudioFile:
    """One file of a corpus: where it is and how many samples it has."""

    path: Path
    frames: int


class Folder:
    """Every audio file under some folders, at one sample rate.

    Raises InputError when a folder is missing, holds no audio, or holds another rate.
    """

    def __init__(self, roots: Sequence[Path], sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.files = [file for root in roots for file in _scan(Path(root), sample_rate)]
        self._ends = np.cumsum([f.frames for f in self.files])

    @property
    def seconds(self) -> float:
        """Total length."""
        return float(self._ends[-1]) / self.sample_rate

    def window(self, length: int, generator: np.random.Generator) -> Tensor:
        """One window, (length,) float32, from a uniformly drawn place; a file that is too short is zero-padded."""
        index = int(np.searchsorted(self._ends, generator.integers(self._ends[-1]), side="right"))
        file = self.files[index]
        start = int(generator.integers(max(1, file.frames - length + 1)))
        audio = self._read(file, start, length, generator)
        window = torch.zeros(length)
        window[: len(audio)] = torch.from_numpy(audio)
        return window

    def _read(
        self, file: AudioFile, start: int, length: int, _generator: np.random.Generator
    ) -> NDArray[np.float32]:
        """(time,) from one file, fewer samples at its end: here the mean of all channels."""
        audio, _ = soundfile.read(file.path, length, start, dtype="float32", always_2d=True)
        mean: NDArray[np.float32] = audio.mean(axis=1)
        return mean


def _scan(root: Path, sample_rate: int) -> list[AudioFile]:
    if not root.is_dir():
        raise InputError(f"{root} is not a folder; give a folder of audio files, or build the corpus first")
    paths = sorted(p for p in root.rglob("*") if p.suffix.lower() in SUFFIXES)
    found = []
    for path in paths:
        info = soundfile.info(path)
        if info.samplerate != sample_rate:
            raise InputError(
                f"{path} has {info.samplerate} Hz, training wants {sample_rate}; resample it first"
            )
        found.append(AudioFile(path, info.frames))
    if not found:
        raise InputError(f"{root} holds no audio ({', '.join(SUFFIXES)}); build the corpus first")
    return found


def training_batch(
    folder: Folder, batch: int, length: int, gain_db: tuple[float, float], generator: np.random.Generator
) -> Tensor:
    """(batch, length) windows at random gain and polarity; peaks stay within full scale."""
    windows = torch.stack([folder.window(length, generator) for _ in range(batch)])
    gains = 10 ** (generator.uniform(*gain_db, size=batch) / 20) * generator.choice([-1.0, 1.0], size=batch)
    windows = windows * torch.from_numpy(gains).float()[:, None]
    return windows / windows.abs().amax(dim=1, keepdim=True).clamp(min=1.0)


def spread_sigmas(batch: int, low: float, high: float, generator: np.random.Generator) -> Tensor:
    """(batch,) noise levels, log-uniform, one from each of `batch` equal slices so that every step sees all."""
    place = (np.arange(batch) + generator.uniform(size=batch)) / batch
    return torch.from_numpy(low * (high / low) ** place).float()
