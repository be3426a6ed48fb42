"""Several devices for one file: other processes with the same command line, one for each device."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import distributed

from audiofix.errors import DeviceError
from audiofix.runtime.devices import available_devices, pick_device
from audiofix.runtime.ranks import Ranks, join, ranks_of


@dataclass(frozen=True)
class Company:
    """One process among those that work together, and its device."""

    ranks: Ranks
    device: str


def devices_of(text: str) -> list[str]:
    """Names of devices: "auto" is every GPU, else one CPU; "cpu:4" four processes on the CPU; lists by commas.

    Raises DeviceError for what does not exist.
    """
    found: list[str] = []
    for name in text.split(","):
        several = re.fullmatch(r"cpu:([1-9]\d*)", name.strip())
        if name.strip() == "auto":
            here = available_devices()
            found += [device for device in here if device.startswith("cuda")] or here[:1]
        elif several:
            found += ["cpu"] * int(several[1])
        else:
            found.append(str(pick_device(name.strip())))
    return found


def devices_for(text: str, shares: Callable[[], int]) -> list[str]:
    """As `devices_of`, but "auto" has no more of them than there are shares of the work, and at least one.

    `shares` is asked only where that decides. Devices that were named are all taken.
    """
    found = devices_of(text)
    return found[: max(1, shares())] if text.strip() == "auto" and len(found) > 1 else found


@contextlib.contextmanager
def company(devices: str, shares: Callable[[], int]) -> Iterator[Company]:
    """Join the processes that torchrun or srun have started, or start one more for each further device.

    Each runs this process's own command line; they end with this block. The cores are shared out among the
    processes of a machine. `shares`: how many processes can have a part of the work, for "auto". Raises
    DeviceError.
    """
    rank, size, local = ranks_of(os.environ)
    found = devices_of(devices) if size > 1 else devices_for(devices, shares)
    if size > 1:
        here = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ.get("SLURM_NTASKS_PER_NODE", "1")))
        device = found[local % len(found)]
        with _joined(rank, size, device, here) as ranks:
            yield Company(ranks, device)
        return
    if len(found) == 1:
        yield Company(Ranks(), found[0])
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(len(found))}
    others = [
        subprocess.Popen(
            [sys.executable, "-m", "audiofix", *sys.argv[1:]],
            env={
                **os.environ,
                **group,
                "RANK": str(i),
                "LOCAL_RANK": str(i),
                "LOCAL_WORLD_SIZE": str(len(found)),
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,  # they fail for the reasons that this process tells
        )
        for i in range(1, len(found))
    ]
    before = {name: os.environ.get(name) for name in group}
    try:
        os.environ.update(group)
        with _joined(0, len(found), found[0], len(found)) as ranks:
            yield Company(ranks, found[0])
    finally:
        for other in others:
            with contextlib.suppress(subprocess.TimeoutExpired):
                other.wait(timeout=0 if sys.exc_info()[0] else 10)
            other.kill()
            other.wait()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _joined(rank: int, size: int, device: str, here: int) -> Iterator[Ranks]:
    threads = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // here))
    try:
        ranks = join(rank, size)
        yield ranks
        ranks.agree(False)  # no one leaves before all have what they wait for
    finally:
        torch.set_num_threads(threads)
        if distributed.is_initialized():
            with contextlib.suppress(RuntimeError, DeviceError):
                distributed.destroy_process_group()
