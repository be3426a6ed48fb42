"""Files and rates block by block, for recordings that are longer than memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor

from audiofix.audio.files import _refuse_unreadable, _step, _stored, prepare_file
from audiofix.errors import InputError, OutputError
from audiofix.types import Audio

BLOCK = 1 << 19  # samples at a time


def outline(path: Path) -> Audio:
    """A recording's format, length and tags, with silence of no size in place of its samples.

    Raises InputError for what libsndfile cannot read.
    """
    _refuse_unreadable(path)
    try:
        with soundfile.SoundFile(path) as file:
            if not file.frames:
                raise InputError(f"{path} holds no samples; give a recording that is not empty")
            silence = torch.zeros(1, 1).expand(file.channels, file.frames)
            tags = {name: text for name, text in file.copy_metadata().items() if text}
            return Audio(silence, file.samplerate, file.subtype, file.format, tags)
    except (soundfile.SoundFileError, TypeError) as error:
        raise InputError(
            f"{path} cannot be read piece by piece ({error}); convert it to wav or flac, or leave out --memory"
        ) from error


def blocks(path: Path, size: int = BLOCK, finite: bool = True) -> Iterator[Tensor]:
    """A file's samples (channel, time) in blocks of `size`. Raises InputError, if `finite`, for what is not."""
    with soundfile.SoundFile(path) as file:
        done = 0
        while len(block := file.read(size, dtype="float32", always_2d=True)):
            if finite and not np.isfinite(block).all():
                raise InputError(
                    f"{path} holds NaN or infinite samples after {done / file.samplerate:.1f} s; silence them in "
                    "an audio editor first"
                )
            done += len(block)
            yield torch.from_numpy(block.T.copy())
        if done < file.frames:
            raise InputError(
                f"{path} ends after {done} of {file.frames} samples; get a whole copy of the file"
            )


def resampled(
    waves: Iterable[Tensor], time: int, from_rate: int, to_rate: int, length: int
) -> Iterator[Tensor]:
    """`resample` of blocks (channel, time): its very samples, (channel, ...) in blocks, `length` of them in all.

    time: samples in all of `waves`.
    """
    if from_rate == to_rate:
        yield from waves
        return
    stream: soxr.ResampleStream | None = None
    left, enough = length, math.ceil((length + 1) * from_rate / to_rate)
    for wave in with_silence(waves, max(0, enough - time)):
        if stream is None:
            stream = soxr.ResampleStream(from_rate, to_rate, len(wave), dtype="float32", quality="VHQ")
        found = stream.resample_chunk(wave.T.contiguous().numpy(), last=False)[:left]
        left -= len(found)
        yield torch.from_numpy(found.T.copy())
        channels = len(wave)
    if stream is not None and left:
        rest = stream.resample_chunk(np.zeros((0, channels), np.float32), last=True)[:left]
        yield torch.from_numpy(rest.T.copy())


def with_silence(waves: Iterable[Tensor], samples: int) -> Iterator[Tensor]:
    """The blocks, and then so many samples of silence."""
    channels = 0
    for wave in waves:
        channels = len(wave)
        yield wave
    if channels and samples:
        yield torch.zeros(channels, samples)


def margin(subtype: str) -> float:
    """By how much rounding to a subtype's grid, remainders included, can lift a peak."""
    return 2 * _step(subtype)


class Sink:
    """A file that is written block by block; the caller sees to it that it appears whole or not at all."""

    def __init__(self, path: Path, like: Audio, container: str, subtype: str) -> None:
        self.path, self.subtype, self.written = path, subtype, 0
        self.file = soundfile.SoundFile(path, "w", like.sample_rate, like.channels, subtype, None, container)
        prepare_file(self.file, like.tags)

    def write(self, samples: Tensor) -> None:
        """Append (channel, time), on the grid of the subtype. Raises OutputError."""
        try:
            self.file.write(_stored(samples, self.subtype))
        except soundfile.SoundFileError as error:
            raise OutputError(
                f"cannot write {self.path} ({error}); free some space, or choose another -o"
            ) from error
        self.written += samples.shape[1]

    def close(self) -> None:
        """Write the header's last word. Raises OutputError where not all has reached the disk."""
        self.file.close()
        held = soundfile.info(self.path).frames
        if held < self.written:
            raise OutputError(
                f"{self.path} holds {held} of {self.written} samples; free some space, or choose another -o"
            )
