"""One file is one process's at a time, and what a process that died left behind is found and cleared away.

A claim is a lock that the kernel gives back when its holder dies, however that happens, and a note of what is
under way. Results are first written into a folder beside their place whose name derives from the item's: only the
holder of the claim touches it, so whatever is found there by the next one is litter.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from filelock import Timeout

from audiofix.batch.guard import Guard
from audiofix.batch.manifest import HIDDEN, locked
from audiofix.batch.plan import key_of


@dataclass(frozen=True)
class Claim:
    """part: where to write first. interrupted: someone died at it, who may have left part of the results."""

    part: Path
    interrupted: bool


@contextlib.contextmanager
def claimed(folder: Path, name: str, wait: bool, guard: Guard) -> Iterator[Claim | None]:
    """Hold the claim on an item of a folder of results; None where another process has it, unless we `wait`.

    Signals wait but where the guard is set free. Whatever ends the block but death clears the part and the note.
    Raises OSError.
    """
    lock, note = _files(folder, name)
    part = folder / PurePosixPath(name).parent / f".audiofix-{key_of(name)}.part"
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(locked(lock, -1 if wait else 0))
        except Timeout:
            yield None
            return
        held.enter_context(guard.hold())
        interrupted = note.exists()
        _clear(part)
        note.write_text(json.dumps({"name": name}), encoding="utf-8")
        try:
            yield Claim(part, interrupted)
        finally:
            _clear(part)
            note.unlink(missing_ok=True)
            lock.unlink(missing_ok=True)  # held still: who waits for it looks for the new one


def sweep(folder: Path, finished: Container[str] = ()) -> set[str]:
    """Clear away what processes that died had begun; the names of what they were at.

    Their notes stay, for whoever takes that up, but those of what is `finished`.
    """
    names = set()
    for note in sorted((folder / HIDDEN).glob("*.json")):
        try:
            name = json.loads(note.read_text(encoding="utf-8"))["name"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        with contextlib.suppress(Timeout, OSError), locked(_files(folder, name)[0], 0):
            _clear(folder / PurePosixPath(name).parent / f".audiofix-{key_of(name)}.part")
            names.add(name)
            if name in finished:
                note.unlink(missing_ok=True)
    return names


def leave(folder: Path) -> None:
    """Remove the hidden folder where nobody works any more and nothing is left to tell the next run."""
    hidden = folder / HIDDEN
    with contextlib.suppress(OSError, Timeout):
        if not any(hidden.glob("*.json")):
            for lock in hidden.glob("*.lock"):
                with locked(lock, 0):
                    lock.unlink(missing_ok=True)
            hidden.rmdir()
            folder.rmdir()  # refused where there is anything in it


def publish(moves: Sequence[tuple[Path, Path]]) -> None:
    """Move what was written to its place, in this order; a folder takes the place of a folder. Raises OSError."""
    for staged, place in moves:
        place.parent.mkdir(parents=True, exist_ok=True)
        old = staged.with_name(f"{staged.name}.old")
        if staged.is_dir() and place.exists():
            os.replace(place, old)
            try:
                os.replace(staged, place)
            except BaseException:
                os.replace(old, place)
                raise
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(staged, place)


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    hidden, key = folder / HIDDEN, key_of(name)
    return hidden / f"{key}.lock", hidden / f"{key}.json"


def _clear(part: Path) -> None:
    for litter in (part, part.with_name(f"{part.name}.old")):
        shutil.rmtree(litter, ignore_errors=True)
