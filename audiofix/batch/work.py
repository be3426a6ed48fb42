"""One file, from its claim to its line in the manifest: the same wherever it runs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from audiofix.batch.claims import Claim, claimed, publish
from audiofix.batch.guard import Guard
from audiofix.batch.manifest import Manifest, Record, Tail
from audiofix.batch.plan import Item
from audiofix.errors import AudiofixError, OutputError


@dataclass(frozen=True)
class Made:
    """What came of a file: (written, its place) in the order of moving, the report last.

    Without any, nothing was to be done. `models`: name and hash of each.
    """

    moves: Sequence[tuple[Path, Path]]
    models: Sequence[Mapping[str, str]] = ()


class Work(Protocol):
    """What is done with each file. It travels to other processes."""

    task: str
    settings: str  # hash of all that the results depend on

    def session(self, threads: int | None) -> AbstractContextManager[None]:
        """Held while files are worked on: models stay loaded. threads: None, as is."""
        ...

    def do(self, item: Item, part: Path, replaces: bool, place: int) -> Made:
        """Write all results into the folder `part`, which is to be made. replaces: there may be earlier ones;
        place: number of the worker.

        Raises AudiofixError.
        """
        ...

    def found(self, item: Item, sha256: str) -> Made | None:
        """What an earlier run made of this very content with these settings and left there whole."""
        ...


@dataclass(frozen=True)
class Run:
    """What is the same for all files of a run; travels to the workers.

    models: hashes of the models there are now, by name: what others of these names made is out of date.
    marks: how long each manifest was when the run began: what was added later is from now.
    """

    work: Work
    folder: Path
    manifest: str
    models: Mapping[str, str] = field(default_factory=dict)
    marks: Mapping[str, int] = field(default_factory=dict)
    overwrite: bool = False
    retry_failed: bool = False
    wait: bool = False
    version: str = ""


@dataclass(frozen=True)
class Task:
    """An item and the line that the manifests had for it when the run began."""

    item: Item
    earlier: Record | None = None


class Worker:
    """Works on files, one after the other; its session begins with the first that is not done already."""

    def __init__(
        self,
        run: Run,
        threads: int | None = None,
        place: int = 0,
        folder: str | None = None,
        guard: Guard | None = None,
    ) -> None:
        """folder: where paths begin, for a worker that was started elsewhere."""
        if folder is not None:
            os.chdir(folder)
        self.run, self.threads, self.place = run, threads, place
        self.guard, self.manifest = guard or Guard(), manifest_of(run)
        self.tail = Tail(run.folder, {run.manifest: 0, **run.marks})
        self.open = contextlib.ExitStack()
        self.begun = False

    def close(self) -> None:
        """End the session."""
        self.open.close()
        self.begun = False

    def do(self, task: Task) -> Record:
        """Do a file unless it is done, and write down what became of it. Never raises but what stops the run."""
        item = task.item
        sha256 = _digest(item.path)
        known = self._settled(task.earlier, sha256, fresh=False)
        if known is not None:
            return known
        try:
            with claimed(self.run.folder, item.name, self.run.wait, self.guard) as claim:
                if claim is None:
                    return self._record(item, sha256, "busy")
                meanwhile = self.tail.find(item.name)
                known = self._settled(meanwhile, sha256, fresh=True)
                if known is not None:
                    return known
                made = None if self.run.overwrite else self.run.work.found(item, sha256 or "")
                if made is None:
                    record = self._attempt(item, sha256, claim, meanwhile or task.earlier)
                else:
                    record = self._record(item, sha256, "done", made)
                self.manifest.append(record)
                return record
        except AudiofixError as error:  # it could not be written down: the next run sees what is there
            return self._failed(item, sha256, str(error), error.exit_status)
        except OSError as error:
            text = f"cannot work in {self.run.folder} ({error.strerror or error}); choose another -o"
            return self._failed(item, sha256, text, OutputError.exit_status)

    def give_up(self, item: Item, why: str, status: int = AudiofixError.exit_status) -> Record:
        """Write down that a file failed, without trying."""
        sha256 = _digest(item.path)
        record = self._failed(item, sha256, why, status)
        with (
            contextlib.suppress(AudiofixError, OSError),
            claimed(self.run.folder, item.name, True, self.guard),
        ):
            self.manifest.append(record)
        return record

    def _settled(self, before: Record | None, sha256: str | None, fresh: bool) -> Record | None:
        """The answer where nothing is to be done. fresh: it was written down since the run began."""
        if before is None or before.settings != self.run.work.settings or before.sha256 != sha256:
            return None
        if before.status == "failed":
            return before if fresh or not (self.run.retry_failed or self.run.overwrite) else None
        now = self.run.models
        same = all(now.get(model["name"], model["hash"]) == model["hash"] for model in before.models)
        if not same or (self.run.overwrite and not fresh) or not self._there(before):
            return None
        return replace(before, status="skipped")

    def _there(self, before: Record) -> bool:
        with contextlib.suppress(OSError, KeyError):
            return all((self.run.folder / o["path"]).stat().st_size == o["bytes"] for o in before.outputs)
        return False

    def _attempt(self, item: Item, sha256: str | None, claim: Claim, before: Record | None) -> Record:
        mine = before is not None and before.status == "done" and before.task == self.run.work.task
        replaces = self.run.overwrite or claim.interrupted or mine
        if not self.begun:
            with self.guard.free():
                self.open.enter_context(self.run.work.session(self.threads))
            self.begun = True
        began = time.monotonic()
        record = self._made(item, sha256, claim.part, replaces)
        return replace(record, seconds=round(time.monotonic() - began, 3))

    def _made(self, item: Item, sha256: str | None, part: Path, replaces: bool) -> Record:
        try:
            with self.guard.free():
                made = self.run.work.do(item, part, replaces, self.place)
            publish(made.moves)
            return self._record(item, sha256, "done" if made.moves else "unchanged", made)
        except AudiofixError as error:
            return self._failed(item, sha256, str(error), error.exit_status)
        except OSError as error:
            from audiofix.audio.disk import refusal

            return self._failed(item, sha256, str(refusal(item.path, error)), OutputError.exit_status)
        except Exception as error:
            text = (
                f"unexpected {type(error).__name__}: {error}; a fault of audiofix, try it alone with --debug"
            )
            return self._failed(item, sha256, text, AudiofixError.exit_status)

    def _failed(self, item: Item, sha256: str | None, why: str, status: int) -> Record:
        why = " ".join(why.splitlines())
        return replace(self._record(item, sha256, "failed"), error=why, exit_status=status)

    def _record(self, item: Item, sha256: str | None, status: str, made: Made | None = None) -> Record:
        files = [file for _, place in made.moves for file in _files(place)] if made else []
        return Record(
            name=item.name,
            status=status,
            task=self.run.work.task,
            path=str(item.path),
            sha256=sha256,
            settings=self.run.work.settings,
            outputs=[_output(file, self.run.folder) for file in files],
            models=[{"name": model["name"], "hash": model.get("hash", "")} for model in made.models]
            if made
            else [],
            audio_seconds=round(item.seconds, 6),
            worker=f"{platform.node()}:{os.getpid()}",
            at=datetime.now(UTC).isoformat(timespec="milliseconds"),
            audiofix=self.run.version,
        )


def manifest_of(run: Run) -> Manifest:
    """Where a run writes what became of its files."""
    from audiofix.batch.manifest import HIDDEN

    return Manifest(run.folder / run.manifest, run.folder / HIDDEN / f"{run.manifest}.lock")


def settings_hash(settings: Mapping[str, Any]) -> str:
    """16 hex digits that change with any setting; values are what JSON has, or have a text of their own."""
    import json

    text = json.dumps(settings, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None  # the work says what is wrong with it


def _files(place: Path) -> list[Path]:
    return sorted(file for file in place.rglob("*") if file.is_file()) if place.is_dir() else [place]


def _output(file: Path, folder: Path) -> dict[str, Any]:
    digest = _digest(file)
    return {
        "path": os.path.relpath(file, folder).replace(os.sep, "/"),
        "bytes": file.stat().st_size,
        "hash": digest[:16] if digest else None,
    }
