"""Long signals as restoring sees them: in a frame, in part, at another rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from audiofix.audio.streaming import resampled
from audiofix.frame import extent, faded_ends
from audiofix.operators.local import LocalBand, Read
from audiofix.runtime.ranks import pieces
from audiofix.runtime.stores import MakeStore, Store

STRETCH = 1 << 19  # samples of a channel that classical methods and filters are given at a time


class _ReadOnly:
    """A store that shows what others hold."""

    start = 0

    def write(self, _start: int, _samples: Tensor) -> None:
        """Refused."""
        raise ValueError("this store is read only")


@dataclass(frozen=True, eq=False)
class Part(_ReadOnly):
    """Samples [first, first + length) of a store, counted from 0. Read only."""

    inner: Store
    first: int
    length: int

    @property
    def stop(self) -> int:
        """Samples that it holds."""
        return self.length

    def read(self, start: int, stop: int) -> Tensor:
        """Samples [start, stop)."""
        return self.inner.read(self.first + start, self.first + stop)


@dataclass(frozen=True, eq=False)
class Framed(_ReadOnly):
    """`frame.framed` of a store, times a gain: ends (channel, 1, margin) around it, then silence. Read only."""

    inner: Store
    gain: float
    head: Tensor
    tail: Tensor
    length: int

    @property
    def stop(self) -> int:
        """Samples of the frame."""
        return self.length

    def read(self, start: int, stop: int) -> Tensor:
        """Samples [start, stop) of the frame, (channel, 1, stop - start)."""
        margin = self.head.shape[-1]
        end = margin + self.inner.stop
        left, right = max(start, margin), min(stop, end)
        parts = [self.head[..., start:stop]]
        if left < right:
            parts.append(self.inner.read(left - margin, right - margin) * self.gain)
        parts.append(self.tail[..., max(0, start - end) : max(0, stop - end)])
        silence = stop - max(start, end + margin)
        if silence > 0:
            parts.append(parts[0].new_zeros(*self.head.shape[:2], silence))
        return torch.cat(parts, dim=-1)


def framed_stores(y: Store, finite: Store, gain: float, rate: int, block: int) -> tuple[Framed, Framed]:
    """The recording and its first guess, (channel, 1, time) both, in their frame; see `frame.framed`."""
    margin, total = extent(finite.stop, rate, block)
    head = faded_ends(finite.read(0, margin + 1)[:, 0] * gain, margin)[0]
    tail = faded_ends(finite.read(finite.stop - margin - 1, finite.stop)[:, 0] * gain, margin)[1]
    return Framed(y, gain, head, tail, total), Framed(finite, gain, head, tail, total)


def reader(store: Store) -> Read:
    """Reads a store, with silence around it."""
    lead = store.read(0, 0).shape[:2]

    def read(start: int, stop: int) -> Tensor:
        left, right = max(start, 0), min(stop, store.stop)
        if left >= right:
            return torch.zeros(*lead, stop - start)
        return torch.nn.functional.pad(store.read(left, right), (left - start, stop - right))

    return read


def filled(make: MakeStore, lead: tuple[int, int], length: int, work: Callable[[int, int], Tensor]) -> Store:
    """A new store of what `work` gives for each [start, stop), (channel, source, stop - start)."""
    store = make(lead, 0, length)
    for start, stop in pieces(0, length, STRETCH):
        store.write(start, work(start, stop))
    return store


def moved(make: MakeStore, store: Store, band: LocalBand, length: int) -> Store:
    """A store as it is heard through a band, `length` samples."""
    read, lead = reader(store), store.read(0, 0).shape[:2]
    return filled(make, (lead[0], lead[1]), length, lambda start, stop: band.over(read, start, stop))


def at_rate(store: Store, rate: int, to_rate: int) -> Iterator[Tensor]:
    """`resample` of a store (channel, 1, time), (channel, ...) in blocks."""
    waves = (store.read(start, stop)[:, 0] for start, stop in pieces(0, store.stop, STRETCH))
    return resampled(waves, store.stop, rate, to_rate, -(-store.stop * to_rate // rate))
