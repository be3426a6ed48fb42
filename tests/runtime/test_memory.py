"""Freed memory stays in the process: measured by page faults, in a process of its own, all of which it acts on."""

from __future__ import annotations

import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

import audiofix
from audiofix.runtime import memory
from audiofix.runtime.memory import keep_freed_memory

ROOT = Path(audiofix.__file__).parent.parent
TIMES, BLOCK = 8, 64 << 20  # bytes; above 32 MB glibc never learns by itself to keep a block
HUGE_PAGE = 2 << 20

glibc = pytest.mark.skipif(
    sys.platform != "linux" or platform.libc_ver()[0] != "glibc", reason="about glibc's allocator"
)

COUNT = f"""
import resource, sys, torch
from audiofix.runtime.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range({TIMES}):
        torch.ones({BLOCK} // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
faults()
before = faults()
kept = keep_freed_memory() if sys.argv[1] == "keep" else None
for _ in range(3):  # small blocks settle in the first large ones that are kept
    faults()
print(before, kept, faults())
"""


def counted(what: str) -> tuple[int, str, int]:
    """Page faults of TIMES blocks before, what the call returned, and faults after it."""
    result = subprocess.run(
        [sys.executable, "-c", COUNT, what],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    before, kept, after = result.stdout.split()
    return int(before), kept, int(after)


@pytest.fixture(scope="module")
def kept() -> tuple[int, str, int]:
    return counted("keep")


@glibc
def test_large_blocks_are_reused(kept: tuple[int, str, int]) -> None:
    before, answer, after = kept
    if answer == "False":
        pytest.skip("an older glibc, which allows no such threshold")
    # Mapped anew, each page faults once; where the kernel gives 2 MB pages at most, so often at least.
    assert before >= TIMES * BLOCK // HUGE_PAGE
    assert after < before / 10
    assert after < TIMES * BLOCK // HUGE_PAGE / 10


@glibc
def test_without_it_they_are_not() -> None:
    before, _, after = counted("leave")
    assert after > before / 2


@glibc
@pytest.mark.skipif(
    tuple(map(int, (platform.libc_ver()[1] or "0").split(".")[:2])) < (2, 36), reason="an older glibc"
)
def test_glibc_agrees(kept: tuple[int, str, int]) -> None:
    assert kept[1] == "True"


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_elsewhere_nothing_is_touched(monkeypatch: pytest.MonkeyPatch, system: str) -> None:
    monkeypatch.setattr(memory.sys, "platform", system)
    monkeypatch.setattr(ctypes, "CDLL", lambda *_: pytest.fail("a C library was loaded"))
    assert keep_freed_memory() is False


class Library:
    """A C library whose mallopt notes what it is told and answers as given."""

    def __init__(self, *answers: int) -> None:
        self.answers, self.told = list(answers), []

    def mallopt(self, name: int, value: int) -> int:
        self.told.append((name, value))
        return self.answers.pop(0)


def test_other_c_libraries_and_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory.sys, "platform", "linux")

    def with_library(library: object) -> bool:
        monkeypatch.setattr(ctypes, "CDLL", lambda *_: library)
        return keep_freed_memory()

    assert with_library(object()) is False  # musl has no mallopt
    for refusal in ((0, 1, 1), (1, 0, 1), (1, 1, 0)):
        assert with_library(Library(*refusal)) is False
    willing = Library(1, 1, 1)
    assert with_library(willing) is True
    # malloc.h: M_TRIM_THRESHOLD is -1, M_MMAP_THRESHOLD -3, M_ARENA_MAX -8; a value must fit an int.
    told = dict(willing.told)
    assert told.pop(-8) == 1
    assert set(told) == {-1, -3}
    assert all(BLOCK < value < 2**31 for value in told.values())
