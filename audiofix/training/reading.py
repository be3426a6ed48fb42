"""Reading sets that are larger than memory: windows straight from the files, shards, batches drawn ahead.

Memory holds the list of clips, a bounded number of batches, and the sound of a set only where that is small.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiofix.audio.resample import resample
from audiofix.errors import InputError
from audiofix.training.data import AudioFile, Folder
from audiofix.training.sets import Clip, Part
from audiofix.training.stem_files import read_stream, stream_info

HELD_BYTES = 256 << 20  # sound of a set up to this size stays in memory, 50 minutes at 22,050 Hz
MARGIN_S = 0.05  # read on both sides of a window that is resampled; the filter has died away by then
SCANNERS, READERS = 16, 4  # threads: headers are all waiting, windows some waiting and some resampling

Wave = NDArray[np.float32]


@dataclass(frozen=True)
class ClipFile(AudioFile):
    """A clip of a set: `frames` at the rate that is trained, the files' own rate and channels, what is summed."""

    rate: int = 0
    channels: int = 1
    parts: Clip = ()


class Clips(Folder):
    """Clips at any rate, seen as `Folder` shows its files: resampled, one channel at a time, parts summed.

    A stereo file is a batch of mono ones when it is restored, so a window is of one channel, drawn.
    Raises InputError for a file that cannot be read, and for parts of one clip that do not fit together.
    """

    def __init__(self, clips: Sequence[Clip], sample_rate: int) -> None:
        with ThreadPoolExecutor(SCANNERS) as pool:
            files = list(pool.map(lambda clip: _described(clip, sample_rate), clips))
        self._take([f for f in files if f.frames], sample_rate)
        size = sum(4 * f.frames * f.channels for f in self.files)
        self._held: dict[Clip, Wave] | None = {} if size <= HELD_BYTES else None
        self._shards: dict[tuple[int, int, int], Clips] = {}

    def _take(self, files: Sequence[ClipFile], sample_rate: int) -> None:
        if not files:
            raise InputError("the set holds only empty files; give recordings")
        self.sample_rate = sample_rate
        self.files: list[ClipFile] = list(files)  # type: ignore[assignment]
        self._ends = np.cumsum([f.frames for f in files])

    @property
    def held_bytes(self) -> int:
        """Size of the sound that stays in memory, at most HELD_BYTES."""
        return sum(wave.nbytes for wave in list((self._held or {}).values()))

    def shard(self, epoch: int, rank: int, world: int) -> Clips:
        """The clips that one of `world` processes reads during an epoch: disjoint, of about equal length.

        Drawn anew for each epoch, so that every process comes to see everything. With fewer clips than
        processes they all read all of them.
        """
        if world == 1 or len(self.files) < world:
            return self
        key = (epoch, rank, world)
        if key not in self._shards:
            order = np.random.default_rng([epoch, world]).permutation(len(self.files))
            seconds = [0] * world
            mine = []
            for index in order:
                least = min(range(world), key=seconds.__getitem__)
                seconds[least] += self.files[index].frames
                if least == rank:
                    mine.append(self.files[index])
            shard = Clips.__new__(Clips)
            shard._take(mine, self.sample_rate)
            shard._held, shard._shards = self._held, {}
            recent = {k: s for k, s in self._shards.items() if k[0] >= epoch - 1}
            self._shards = {**recent, key: shard}
        return self._shards[key]

    def _read(self, file: AudioFile, start: int, length: int, generator: np.random.Generator) -> Wave:
        assert isinstance(file, ClipFile)
        channel = int(generator.integers(file.channels)) if file.channels > 1 else 0
        if self._held is None:
            return _window(file, start, length, self.sample_rate)[:, channel]
        if file.parts not in self._held:
            self._held[file.parts] = _window(file, 0, file.frames, self.sample_rate)
        return self._held[file.parts][start : start + length, channel]


def _described(clip: Clip, sample_rate: int) -> ClipFile:
    found = {_info(part) for part in clip}
    shapes = {(rate, channels) for rate, channels, _ in found}
    if len(shapes) > 1:
        raise InputError(f"{clip[0].path} and what it is summed with differ in rate or channels: {shapes}")
    rate, channels = shapes.pop()
    frames = min(frames for *_, frames in found)
    return ClipFile(clip[0].path, frames * sample_rate // rate, rate, channels, clip)


def _info(part: Part) -> tuple[int, int, int]:
    if part.stream is not None:
        return stream_info(part.path, part.stream)
    try:
        info = soundfile.info(part.path)
    except soundfile.SoundFileError as error:
        raise InputError(f"{part.path} cannot be read ({error}); get a whole copy of it") from error
    return info.samplerate, info.channels, info.frames


def _window(file: ClipFile, start: int, length: int, sample_rate: int) -> Wave:
    """Samples [start, start + length) at the rate that is trained, (time, channel), parts summed."""
    up, down = (r // math.gcd(file.rate, sample_rate) for r in (sample_rate, file.rate))
    # Whole periods of the two rates' common grid, so that resampled windows are those of the whole file.
    first = max(0, start - math.ceil(MARGIN_S * sample_rate)) // up
    last = -(-(start + length + math.ceil(MARGIN_S * sample_rate)) // up)
    if file.rate == sample_rate:
        return sum(_samples(part, start, length) for part in file.parts)  # type: ignore[return-value]
    source = sum(_samples(part, first * down, (last - first) * down) for part in file.parts)
    found = resample(torch.from_numpy(np.asarray(source).T.copy()), file.rate, sample_rate)
    skip = start - first * up
    return found[:, skip : skip + min(length, file.frames - start)].T.numpy()


def _samples(part: Part, start: int, length: int) -> Wave:
    """(length, channel), zero after the file's end."""
    if part.stream is not None:
        found = read_stream(part.path, part.stream, start, length)
    else:
        try:
            found, _ = soundfile.read(part.path, length, start, dtype="float32", always_2d=True)
        except soundfile.SoundFileError as error:
            raise InputError(f"{part.path} cannot be read ({error}); get a whole copy of it") from error
    return np.pad(found, ((0, length - len(found)), (0, 0)))


Batch = tuple[Tensor, ...]


class Ahead:
    """Batches by step, of which a bounded number is drawn in advance by threads.

    A batch is a function of its step alone (`draw`), so what is drawn ahead changes no number, and a run that is
    resumed goes on with the batches that would have come.
    """

    def __init__(self, draw: Callable[[int], Batch], depth: int) -> None:
        """`depth`: batches in advance; 0 draws each when it is asked for."""
        self._draw, self._depth = draw, depth
        self._coming: dict[int, Future[Batch]] = {}
        self._threads: ThreadPoolExecutor | None = None

    def __call__(self, step: int) -> Batch:
        """The batch of a step. Raises what drawing it raised."""
        if not self._depth:
            return self._draw(step)
        if self._threads is None:
            # The first one alone: what a task loads at its first batch is loaded once.
            self._threads = ThreadPoolExecutor(min(self._depth, READERS), "audiofix-read")
            batch = self._draw(step)
        else:
            mine = self._coming.pop(step, None)
            batch = mine.result() if mine else self._draw(step)
        ahead = range(step + 1, step + 1 + self._depth)
        for other in [s for s in self._coming if s not in ahead]:
            self._coming.pop(other).cancel()
        for later in ahead:
            if later not in self._coming:
                self._coming[later] = self._threads.submit(self._draw, later)
        return batch

    def close(self) -> None:
        """Give up what is being drawn."""
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
            self._threads, self._coming = None, {}
