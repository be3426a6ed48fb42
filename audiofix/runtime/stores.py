"""Where long signals lie: in memory or in a file, read and written by stretches of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Store(Protocol):
    """Samples [start, stop) of a file, (channel, source, time) float32."""

    @property
    def start(self) -> int:
        """First sample that it holds."""
        ...

    @property
    def stop(self) -> int:
        """First sample after those that it holds."""
        ...

    def read(self, start: int, stop: int) -> Tensor:
        """Samples [start, stop), (channel, source, stop - start); all of them must be held."""
        ...

    def write(self, start: int, samples: Tensor) -> None:
        """Put (channel, source, time) from sample `start` on."""
        ...


MakeStore = Callable[[tuple[int, int], int, int], Store]  # (channels, sources), start, stop


@dataclass(frozen=True, eq=False)
class Memory:
    """Samples in memory; `samples` is (channel, source, time) from `start` on."""

    samples: Tensor
    start: int = 0

    @property
    def stop(self) -> int:
        """First sample after those that it holds."""
        return self.start + self.samples.shape[2]

    def read(self, start: int, stop: int) -> Tensor:
        """Samples [start, stop): a view."""
        return self.samples[..., start - self.start : stop - self.start]

    def write(self, start: int, samples: Tensor) -> None:
        """Put samples from `start` on."""
        self.samples[..., start - self.start : start - self.start + samples.shape[2]] = samples


@dataclass(frozen=True, eq=False)
class Disk:
    """Samples in a file of float32, time by time, so that a stretch of time is one piece of the file.

    Read and written, not mapped: pages of a mapping count as the process's memory.
    """

    path: Path
    lead: tuple[int, int]  # channels, sources
    start: int
    stop: int

    def read(self, start: int, stop: int) -> Tensor:
        """Samples [start, stop), new in memory; what was never written is zero."""
        width = self.lead[0] * self.lead[1]
        with self.path.open("rb") as file:
            file.seek(4 * width * (start - self.start))
            found = np.fromfile(file, np.float32, width * (stop - start))
        return torch.from_numpy(found).reshape(stop - start, *self.lead).movedim(0, -1).contiguous()

    def write(self, start: int, samples: Tensor) -> None:
        """Put samples from `start` on."""
        with self.path.open("r+b") as file:
            file.seek(4 * self.lead[0] * self.lead[1] * (start - self.start))
            samples.float().movedim(-1, 0).contiguous().numpy().tofile(file)


def in_memory(lead: tuple[int, int], start: int, stop: int) -> Memory:
    """An empty store in memory."""
    return Memory(torch.zeros(*lead, stop - start), start)


def on_disk(folder: Path) -> MakeStore:
    """Makes empty stores in files of a folder, which whoever made the folder removes."""

    def make(lead: tuple[int, int], start: int, stop: int) -> Disk:
        path = folder / f"{len(list(folder.iterdir()))}.f32"
        with path.open("xb") as file:
            file.truncate(4 * lead[0] * lead[1] * (stop - start))
        return Disk(path, lead, start, stop)

    return make
