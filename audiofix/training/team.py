"""The processes that train one network together, as torchrun starts them; alone without torchrun."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from audiofix.errors import DeviceError
from audiofix.runtime.devices import pick_device
from audiofix.runtime.ranks import import_before_groups

# The first process validates and saves while the others wait for it.
PATIENCE = timedelta(hours=1)


class LostRank(DeviceError):
    """Another process of the run has gone, or does not answer."""


@dataclass(frozen=True)
class Team:
    """Which of how many processes this is, and the device that it trains on."""

    rank: int = 0
    world: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def share(self, module: nn.Module) -> nn.Module:
        """The module, with gradients that are averaged over the processes in its backward pass."""
        if self.world == 1:
            return module
        return DistributedDataParallel(module)

    def total(self, values: Sequence[float]) -> list[float]:
        """Sums over the processes; every process must ask, in the same order. Raises LostRank."""
        if self.world == 1:
            return list(values)
        numbers = torch.tensor(values, dtype=torch.float64, device=self.device)
        try:
            distributed.all_reduce(numbers)
            return [float(n) for n in numbers.cpu()]
        except RuntimeError as error:
            raise lost(error) from error

    def any(self, said: bool) -> bool:
        """Whether one process says so. Raises LostRank."""
        return self.total([float(said)])[0] > 0

    def bytes_of_first(self, data: bytes | None) -> bytes | None:
        """What the first process has, in all processes."""
        if self.world == 1:
            return data
        size = int(self.total([float(len(data) if data is not None else -1) if self.first else 0.0])[0])
        if size < 0:
            return None
        buffer = torch.empty(size, dtype=torch.uint8, device=self.device)
        if self.first:
            assert data is not None
            buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8).to(self.device)
        distributed.broadcast(buffer, 0)
        return buffer.cpu().numpy().tobytes()


def join(device: str = "auto") -> Team:
    """The team that torchrun's variables describe, gloo on processors and nccl on GPUs; alone without them.

    `device`: auto, cpu, or cuda, of which each process of a machine takes its own. Raises DeviceError.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    cuda = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    if world == 1 or "RANK" not in os.environ:
        return Team(device=pick_device(device) if cuda else torch.device("cpu"))
    place = torch.device("cpu")
    if cuda:
        place = pick_device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}")
        torch.cuda.set_device(place)
    import_before_groups()
    try:
        distributed.init_process_group("nccl" if cuda else "gloo", timeout=PATIENCE)
    except (RuntimeError, ValueError) as error:  # ValueError: variables of torchrun that are not set
        raise LostRank(
            f"the processes of this run did not find each other ({_reason(error)}); start it anew"
        ) from error
    return Team(distributed.get_rank(), distributed.get_world_size(), place)


def leave() -> None:
    """End what `join` began."""
    if distributed.is_initialized():
        distributed.destroy_process_group()


def is_lost(error: RuntimeError) -> bool:
    """Whether an error of torch says that another process does not answer: gloo has no class for it."""
    return isinstance(error, distributed.DistError) or "gloo" in str(error).lower()


def lost(error: RuntimeError) -> RuntimeError | LostRank:
    """The error as LostRank, if it is one."""
    if not is_lost(error):
        return error
    return LostRank(f"another process of this run has gone or does not answer ({_reason(error)})")


def _reason(error: Exception) -> str:
    """What gloo says without its own source lines, and without the advice that follows."""
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return re.sub(r"\[/[^\]]*\]\s*", "", first).split(". ")[0][:160]
