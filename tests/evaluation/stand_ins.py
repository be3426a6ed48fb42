"""Systems whose results are known in advance, named as `--system tests.evaluation.stand_ins:NAME`."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor

from audiofix.errors import InputError
from audiofix.evaluation.scores import untouched
from audiofix.evaluation.systems.base import KINDS, Task

SLOW = 90.0  # seconds


class Same:
    """What came, for every source."""

    name = "same"
    kinds = frozenset(KINDS)
    oracle = False

    def run(self, task: Task) -> dict[str, Tensor]:
        return untouched(task)


class Truth:
    """The truth with white noise a tenth of its RMS: an SNR of 20 dB."""

    name = "truth"
    kinds = frozenset(KINDS)
    oracle = True

    def run(self, task: Task) -> dict[str, Tensor]:
        generator = torch.Generator().manual_seed(task.seed)
        return {
            name: wave + 0.1 * wave.square().mean().sqrt() * torch.randn(wave.shape, generator=generator)
            for name, wave in task.clean.items()
        }


class Fails:
    """Refuses one track, crashes at another, does the rest."""

    name = "fails"
    kinds = frozenset({"separate"})
    oracle = False

    def run(self, task: Task) -> dict[str, Tensor]:
        if task.track == "track 0":
            raise InputError("too quiet for me; turn it up")
        if task.track == "track 1":
            raise ZeroDivisionError("a fault of its own")
        return untouched(task)


class Spoils:
    """Overwrites all that it was given."""

    name = "spoils"
    kinds = frozenset(KINDS)
    oracle = False

    def run(self, task: Task) -> dict[str, Tensor]:
        task.given.samples.zero_()
        return {name: wave.zero_() for name, wave in task.clean.items()}


class Stopped:
    """Ctrl-C at the second track."""

    name = "stopped"
    kinds = frozenset({"separate"})
    oracle = False
    calls: tuple[str, ...] = ()

    def run(self, task: Task) -> dict[str, Tensor]:
        Stopped.calls += (task.track,)
        if len(Stopped.calls) == 2:
            raise KeyboardInterrupt
        return untouched(task)


class Slow:
    """Says in started.txt that it began, and takes long."""

    name = "slow"
    kinds = frozenset({"separate"})
    oracle = False

    def run(self, task: Task) -> dict[str, Tensor]:
        with Path("started.txt").open("a", encoding="utf-8") as file:
            file.write(f"{task.track}\n")
        time.sleep(SLOW)
        return untouched(task)


class Loads:
    """Needs a quarter of a second for its first track, and says that it spent that on loading."""

    name = "loads"
    kinds = frozenset(KINDS)
    oracle = False
    loading = 0.0

    def run(self, task: Task) -> dict[str, Tensor]:
        if not self.loading:
            began = time.perf_counter()
            time.sleep(0.25)
            self.loading = time.perf_counter() - began
        return untouched(task)


def loads() -> Loads:
    return Loads()


def slow() -> Slow:
    return Slow()


def same() -> Same:
    return Same()


def truth() -> Truth:
    return Truth()


def fails() -> Fails:
    return Fails()


def spoils() -> Spoils:
    return Spoils()


def stopped() -> Stopped:
    return Stopped()
