"""The manifest: a line of JSON for each file that was finished or failed. Lines are only ever added."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from filelock import FileLock

from audiofix.errors import OutputError

HIDDEN = ".audiofix"  # folder for locks and what is under way
_ATTEMPTS = 20
KEPT = "done", "unchanged", "failed"  # what lines say; "skipped" and "busy" are for those who watch


@dataclass(frozen=True)
class Record:
    """What became of one file.

    status: done; unchanged: nothing to restore was found; failed; skipped: done earlier; busy: another run has it.
    settings: hash of what was asked for. outputs: path below the folder of results, bytes, hash. seconds: of work.
    """

    name: str
    status: str
    task: str = ""
    path: str = ""
    sha256: str | None = None
    settings: str = ""
    outputs: Sequence[Mapping[str, Any]] = field(default_factory=list)
    models: Sequence[Mapping[str, str]] = field(default_factory=list)
    audio_seconds: float = 0.0
    seconds: float = 0.0
    error: str | None = None
    exit_status: int = 0
    worker: str = ""
    at: str = ""
    audiofix: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)  # of other versions

    def line(self) -> bytes:
        """As the manifest has it."""
        values = asdict(self)
        text = json.dumps({**values.pop("extra"), **values}, ensure_ascii=False, separators=(",", ":"))
        return text.encode("utf-8", "surrogatepass") + b"\n"


def parse(line: bytes) -> Record | None:
    """The record of a line; None for what is none, such as a line that was cut."""
    try:
        values = json.loads(line.decode("utf-8", "surrogatepass"))
        known = {f.name for f in fields(Record)} - {"extra"}
        extra = {name: value for name, value in values.items() if name not in known}
        record = Record(**{name: value for name, value in values.items() if name in known}, extra=extra)
        return record if isinstance(record.name, str) and record.status in KEPT else None
    except (ValueError, TypeError, AttributeError):
        return None


@dataclass(frozen=True)
class Manifest:
    """One file of records, which several processes may add to at once."""

    path: Path
    lock: Path

    def append(self, record: Record) -> None:
        """Add a line, whole or not at all; what a crash left of another gets a line of its own.

        Raises OutputError where the disk does not take it.
        """
        from audiofix.audio.disk import refusal

        try:
            with locked(self.lock), self.path.open("ab+", buffering=0) as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(0, end - 1))
                torn = end > 0 and file.read(1) != b"\n"
                data = b"\n" * torn + record.line()
                try:
                    if file.write(data) != len(data):
                        raise OSError(errno.ENOSPC, "only part of a line reached the disk")
                    os.fsync(file.fileno())
                except OSError:
                    file.truncate(end)
                    raise
        except OSError as error:
            raise refusal(self.path, error) from error


class Tail:
    """What was added to the manifests of a folder since a given place in each, read on as they grow."""

    def __init__(self, folder: Path, marks: Mapping[str, int]) -> None:
        self.folder, self.marks = folder, dict(marks)
        self.latest: dict[str, bytes] = {}

    def find(self, name: str) -> Record | None:
        """The last record of a name among what is new."""
        for line in self._grown():
            record = parse(line)
            if record is not None:
                self.latest[record.name] = line
        return parse(self.latest.get(name, b""))

    def _grown(self) -> Iterator[bytes]:
        # Not by listing the results, of which there may be a million: whoever writes a manifest has a lock for it.
        locks = (lock.stem for lock in (self.folder / HIDDEN).glob("manifest*.lock"))
        for path in [self.folder / name for name in sorted({*self.marks, *locks})]:
            start = self.marks.get(path.name, 0)
            if not path.exists() or path.stat().st_size <= start:
                continue
            with path.open("rb") as file:
                file.seek(start)
                whole, newline, _ = file.read().rpartition(b"\n")  # the last may be half written still
            self.marks[path.name] = start + len(whole) + len(newline)
            yield from whole.split(b"\n")


@contextlib.contextmanager
def locked(path: Path, timeout: float = -1) -> Iterator[None]:
    """Hold a lock that the kernel gives back when the process dies. Raises Timeout, OSError.

    Its folder may be removed by another run that ends, between being made and being used: then once more.
    """
    lock = FileLock(path, timeout=timeout)
    for attempt in range(_ATTEMPTS):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
            break
        except FileNotFoundError:
            if attempt + 1 == _ATTEMPTS:
                raise
    try:
        yield
    finally:
        lock.release()


def manifests(folder: Path) -> list[Path]:
    """All manifests of a folder of results: of whole runs and of shards."""
    return sorted(folder.glob("manifest*.jsonl"))


def name_of(shard: tuple[int, int] | None) -> str:
    """What the manifest of a run is called: a shard has its own, so that nodes do not wait for each other."""
    return "manifest.jsonl" if shard is None else f"manifest.{shard[0]}-of-{shard[1]}.jsonl"


def history(folder: Path, names: frozenset[str]) -> tuple[dict[str, bytes], dict[str, int]]:
    """The last line of each of `names` in any manifest of a folder, and where each manifest ended.

    Of lines in several manifests the latest by its own clock counts.
    """
    latest: dict[str, tuple[str, bytes]] = {}
    marks: dict[str, int] = {}
    for path in manifests(folder):
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break  # cut by a crash, or being written
                record = parse(line)
                if record is not None and record.name in names:
                    at = latest.get(record.name, ("", b""))[0]
                    if record.at >= at:
                        latest[record.name] = record.at, line
                marks[path.name] = marks.get(path.name, 0) + len(line)
    return {name: line for name, (_, line) in latest.items()}, marks


def check_folder(folder: Path) -> None:
    """Make the folder of results and its hidden one. Raises OutputError."""
    from audiofix.audio.disk import refusal

    try:
        (folder / HIDDEN).mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise OutputError(f"{folder} cannot be written to; choose another folder with -o")
    except OSError as error:
        raise refusal(folder, error) from error
