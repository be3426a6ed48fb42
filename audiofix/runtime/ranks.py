"""Processes that work on one file together, a stretch of it each; only edges and flags pass between them."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar, cast

import torch
from torch import Tensor, distributed

from audiofix.errors import DeviceError
from audiofix.numerics.windows import even_cuts
from audiofix.runtime.stores import Store

# Samples: where bits depend on where chunks begin, stretches begin at multiples of it, as chunks do; a multiple of
# every prior's grid.
UNIT = 3 * (1 << 14)
PIECE = 20 * UNIT  # samples that travel at once when results are collected

T = TypeVar("T")
Stretch = tuple[int, int]  # samples [start, stop) of a file that are a process's


def shares(length: int, least: int, unit: int = UNIT) -> int:
    """How many processes can have a stretch of a file that is `least` samples long or more; one at least."""
    return max(1, -(-length // unit) // max(1, -(-least // unit)))


def divide(length: int, size: int, least: int, unit: int = UNIT, halo: int = 0) -> list[Stretch]:
    """The stretches of `size` processes: none for the last ones where the file is too short for all.

    Each begins at a multiple of `unit` and is `least` samples long or more. They are alike in size with the `halo`
    that a process works out anew on each side of its own; the first and the last have one halo less, and are
    longer by as much. A length of 0 has stretches of 0.
    """
    units, fewest = -(-length // unit), max(1, -(-least // unit))
    busy = min(size, shares(length, least, unit))
    more = min(halo // unit, (units - busy * fewest) // 2) if busy > 1 else 0
    cuts = [min(length, unit * cut) for cut in even_cuts(units, busy, more, more)]
    return [*pairwise(cuts), *[(length, length)] * (size - busy)]


@dataclass(frozen=True)
class Ranks:
    """One of `size` processes, counted from 0; alone where there is one. Messages need an open group."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and reports."""
        return self.rank == 0

    def edges(self, store: Store, pad: int, stretches: Sequence[Stretch]) -> Store:
        """The store, of this rank's stretch, with up to `pad` samples of its neighbours on both sides."""
        length = stretches[-1][1]
        if self.size == 1 or pad == 0 or store.stop - store.start in (0, length):
            return store
        before = self.rank - 1 if store.start > 0 else None
        after = self.rank + 1 if store.stop < length else None
        head = store.read(store.start, min(store.start + pad, store.stop)).contiguous()
        width = stretches[after][1] - store.stop if after is not None else 0
        tail = store.read(max(store.start, store.stop - pad), store.stop).contiguous()
        left, right = (head.new_empty(*head.shape[:2], size) for size in (pad, min(pad, width)))
        wanted = []
        if before is not None:
            wanted += [
                distributed.P2POp(distributed.isend, head, before),
                distributed.P2POp(distributed.irecv, left, before),
            ]
        if after is not None:
            wanted += [
                distributed.P2POp(distributed.isend, tail, after),
                distributed.P2POp(distributed.irecv, right, after),
            ]
        with telling_lost_ranks():
            for request in distributed.batch_isend_irecv(wanted):
                request.wait()
        return Edged(store, left if before is not None else None, right if after is not None else None)

    def agree(self, *flags: bool) -> tuple[bool, ...]:
        """Each flag as soon as any process has it."""
        if self.size == 1:
            return flags
        told = torch.tensor([float(flag) for flag in flags])
        with telling_lost_ranks():
            distributed.all_reduce(told, distributed.ReduceOp.MAX)
        return tuple(bool(flag) for flag in told)

    def same(self, number: int) -> int:
        """The first process's number, of 62 bits at most, in all."""
        if self.size == 1:
            return number
        told = torch.tensor(number)
        with telling_lost_ranks():
            distributed.broadcast(told, 0)
        return int(told)

    def told(self, value: T) -> list[T]:
        """What each process says, in the order of ranks; it must survive pickling."""
        if self.size == 1:
            return [value]
        found: list[T | None] = [None] * self.size
        with telling_lost_ranks():
            distributed.all_gather_object(found, value)
        return cast("list[T]", found)

    def shared(self, spans: Sequence[Stretch], work: Callable[[int], Tensor], into: Store) -> None:
        """Fill spans of a store: each process works out every `size`-th of them, and gets those of the others.

        work: (channel, source, stop - start) of the span of an index, the same in whichever process.
        """
        for index in range(self.rank, len(spans), self.size):
            into.write(spans[index][0], work(index))
        self.gather([[span] for span in spans], into)

    def gather(self, groups: Sequence[Sequence[Stretch]], into: Store) -> None:
        """Give all processes the spans of a store that one has: group i those of process i modulo `size`."""
        if self.size == 1:
            return
        for index, spans in enumerate(groups):
            owner = index % self.size
            for left, right in (piece for span in spans for piece in pieces(*span)):
                held = into.read(left, right).float().contiguous()
                with telling_lost_ranks():
                    distributed.broadcast(held, owner)
                if owner != self.rank:
                    into.write(left, held)

    def collect(self, store: Store, whole: Store, stretches: Sequence[Stretch]) -> None:
        """Bring every process's stretch into the first one's `whole`; the others' `whole` stays empty."""
        if self.first:
            for start, stop in pieces(store.start, store.stop):
                whole.write(start, store.read(start, stop))
        for rank in range(1, self.size):
            for start, stop in pieces(*stretches[rank]):
                with telling_lost_ranks():
                    if self.rank == rank:
                        distributed.send(store.read(start, stop).contiguous(), 0)
                    elif self.first:
                        found = torch.empty_like(whole.read(start, stop))
                        distributed.recv(found, rank)
                        whole.write(start, found)


class telling_lost_ranks:
    """Turn what a broken group raises into one line."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, RuntimeError):
            raise DeviceError(
                "a process that worked on the file was lost; start again with --resume to go on from there"
            ) from error


@dataclass(frozen=True, eq=False)
class Edged:
    """A store and what lies next to it on either side."""

    store: Store
    left: Tensor | None
    right: Tensor | None

    @property
    def start(self) -> int:
        """First sample that it holds."""
        return self.store.start - (0 if self.left is None else self.left.shape[2])

    @property
    def stop(self) -> int:
        """First sample after those that it holds."""
        return self.store.stop + (0 if self.right is None else self.right.shape[2])

    def read(self, start: int, stop: int) -> Tensor:
        """Samples [start, stop)."""
        own = self.store.read(max(start, self.store.start), min(stop, self.store.stop))
        parts = [own]
        if start < self.store.start and self.left is not None:
            parts.insert(0, self.left[..., start - self.start :])
        if stop > self.store.stop and self.right is not None:
            parts.append(self.right[..., : stop - self.store.stop])
        return torch.cat(parts, dim=-1) if len(parts) > 1 else own

    def write(self, start: int, samples: Tensor) -> None:
        """Put samples into the store itself."""
        self.store.write(start, samples)


def pieces(start: int, stop: int, size: int = PIECE) -> Iterator[tuple[int, int]]:
    """[start, stop) in pieces of `size` samples, counted from 0."""
    while start < stop:
        end = min(stop, (start // size + 1) * size)
        yield start, end
        start = end


def ranks_of(environment: Mapping[str, str]) -> tuple[int, int, int]:
    """Rank, their number, and rank on this machine, as torchrun or Slurm's srun tell them; (0, 1, 0) else."""
    for rank, size, local in (
        ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
        ("SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID"),
    ):
        if rank in environment and size in environment:
            return int(environment[rank]), int(environment[size]), int(environment.get(local, 0))
    return 0, 1, 0


def join(rank: int, size: int) -> Ranks:
    """Join the group that MASTER_ADDR and MASTER_PORT name. Raises DeviceError where it does not come about."""
    if size == 1:
        return Ranks()
    if "MASTER_ADDR" not in os.environ or "MASTER_PORT" not in os.environ:
        raise DeviceError(
            f"this is process {rank} of {size} and MASTER_ADDR and MASTER_PORT are not set; start with torchrun, "
            "or set them to the first machine's name and a free port"
        )
    import_before_groups()
    # Between steps states are in main memory, and only their edges travel: gloo serves GPUs as well as CPUs.
    with telling_lost_ranks():
        distributed.init_process_group("gloo", rank=rank, world_size=size)
    return Ranks(rank, size)


def import_before_groups() -> None:
    """Import what would hold on to a group that is open when it is first imported.

    The functions of that module have the open group for a default. A group that is held keeps its threads, and one
    that still runs when the interpreter ends can abort the process.
    """
    importlib.import_module("torch.distributed.nn.functional")
