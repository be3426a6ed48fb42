"""Many files in one run: folders, globs, workers, shards, a manifest. The work itself is in `audiofix.batch`."""

from __future__ import annotations

import contextlib
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from audiofix.cli import show
from audiofix.cli.several import for_each
from audiofix.errors import AudiofixError, SettingError

if TYPE_CHECKING:
    from audiofix.batch.manifest import Record
    from audiofix.batch.plan import Item
    from audiofix.batch.run import Tally
    from audiofix.batch.work import Work

_PANEL = "Many files: a folder, a quoted glob, or any of these"
_NAMED = 20  # failures that are told one by one; the rest is counted
_LINE_EVERY = 60.0  # s between lines of progress where there is no terminal

Recursive = Annotated[
    bool,
    typer.Option("--recursive", "-r", help="Folders at any depth; DIR mirrors them.", rich_help_panel=_PANEL),
]
Jobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        "-j",
        metavar="N",
        min=1,
        help="Worker processes, which share cores and GPUs. Default: none, one file after the other here.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        "--engine",
        metavar="local|ray",
        help="ray: the workers are actors of a Ray cluster.",
        rich_help_panel=_PANEL,
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Only part I of N of the files, 1/N to N/N: for arrays of jobs.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
RetryFailed = Annotated[
    bool,
    typer.Option(
        "--retry-failed",
        help="Try again what has failed. What is done is skipped, unless recording or settings changed.",
        rich_help_panel=_PANEL,
    ),
]
MANY: Mapping[str, tuple[Any, Any]] = {
    "recursive": (Recursive, False),
    "jobs": (Jobs, None),
    "engine": (Engine, "local"),
    "shard": (Shard, None),
    "retry_failed": (RetryFailed, False),
}


@dataclass(frozen=True)
class Many:
    """What was asked for with MANY."""

    recursive: bool = False
    jobs: int | None = None
    engine: str = "local"
    shard: str | None = None
    retry_failed: bool = False

    def wanted(self, paths: Sequence[Path]) -> bool:
        """Whether this is a run over many files: an option of them, a folder or a pattern."""
        from audiofix.batch.plan import is_pattern

        return self != Many() or any(path.is_dir() or is_pattern(path) for path in paths)


@dataclass(frozen=True)
class Stage:
    """Where one of many files writes before its results are moved, and what its report says of the run."""

    part: Path
    stamp: Mapping[str, Any]


class Works(Protocol):
    """What a command does with each of many files, as this module sees it."""

    destination: Path
    folders: bool  # each result is a folder
    overwrite: bool
    dry_run: bool
    as_json: bool

    def check(self) -> None:
        """Raise SettingError for options that are for one file."""

    def alone(self, item: Item) -> None:
        """Do the one file of a dry run."""

    def models(self) -> dict[str, str]:
        """Hashes of the models there are, by name."""
        ...


class ManyFailed(AudiofixError):
    """Not all files could be done; exit status of the first that failed."""

    def __init__(self, failed: int, given: int, manifest: Path, exit_status: int) -> None:
        super().__init__(
            f"{failed} of {given} files failed; {manifest} says why; add --retry-failed to try them again"
        )
        self.exit_status = exit_status


def run(paths: Sequence[Path], works: Any, wish: Many) -> None:
    """Do all files, show how far it is, print records or a summary. Raises what stops the run, or ManyFailed."""
    from audiofix import __version__
    from audiofix.batch import plan
    from audiofix.batch.manifest import name_of
    from audiofix.batch.run import Tally, work_through
    from audiofix.batch.work import Run

    works.check()
    if works.destination.suffix.lower() in plan.SUFFIXES and not works.destination.is_dir():
        raise SettingError(f"-o {works.destination} is one file and several may be written; give a folder")
    shard = None if wish.shard is None else plan.shard_of(wish.shard)
    items = plan.apart(
        plan.gather(paths, wish.recursive, works.destination), works.destination, works.folders
    )
    items = plan.arranged(items if shard is None else plan.share(items, shard))
    if works.dry_run:
        by_path = {item.path: item for item in items}
        for_each(list(by_path), lambda path: works.alone(by_path[path]), True)
        return
    work: Work = works
    batch = Run(
        work,
        works.destination,
        name_of(shard),
        works.models(),
        overwrite=works.overwrite,
        retry_failed=wish.retry_failed,
        version=__version__,
    )
    manifest, tally, began = works.destination / batch.manifest, Tally(), time.monotonic()
    try:
        with (
            _ended_by_sigterm(),
            _watched(items, tally, began) as update,
            contextlib.closing(work_through(batch, items, wish.engine, wish.jobs)) as records,
        ):
            for record in records:
                tally.add(record)
                _tell(record, tally, works.as_json)
                update(record)
    except KeyboardInterrupt:
        finished = tally.counts.total() - tally.counts["failed"]
        raise KeyboardInterrupt(
            f"stopped; {finished} of {len(items)} files are finished and in {manifest}; the same command goes on "
            "from there"
        ) from None
    if not works.as_json:
        _sum_up(tally, len(items), manifest, time.monotonic() - began)
    if tally.counts["failed"]:
        raise ManyFailed(tally.counts["failed"], len(items), manifest, tally.exit_status)


def _tell(record: Record, tally: Tally, as_json: bool) -> None:
    if as_json:
        show.say(record.line().decode("utf-8", "replace").rstrip("\n"))
    elif record.status == "failed":
        number, why = tally.counts["failed"], str(record.error)
        if number <= _NAMED:
            show.warn(why if record.path in why else f"{record.path}: {why}")
        elif number == _NAMED + 1:
            show.warn("more files failed; the manifest says which")


def _sum_up(tally: Tally, given: int, manifest: Path, seconds: float) -> None:
    names = {
        "done": "done",
        "unchanged": "with nothing to restore",
        "skipped": "done before",
        "failed": "failed",
    }
    counts = ", ".join(f"{tally.counts[key]} {name}" for key, name in names.items() if tally.counts[key])
    facts: dict[str, object] = {"files": f"{given}: {counts}" if given else "none in this shard"}
    if tally.audio_seconds:
        speed = tally.audio_seconds / max(seconds, 1e-9)
        facts["audio"] = (
            f"{show.duration(tally.audio_seconds)} in {show.duration(seconds)}, {speed:.3g} s per s"
        )
    show.facts({**facts, "manifest": manifest})


@contextlib.contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """What a cluster sends before it kills does what Ctrl-C does."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, stop)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _watched(items: Sequence[Item], tally: Tally, began: float) -> Iterator[Callable[[Record], None]]:
    """What to call after each file: a bar on a terminal, else a line on stderr each minute."""
    left = sum(item.seconds for item in items)
    lengths = {item.name: item.seconds for item in items}
    told = time.monotonic()

    def where(record: Record | None) -> tuple[str, str]:
        nonlocal left
        left -= lengths[record.name] if record else 0.0
        speed = tally.audio_seconds / max(time.monotonic() - began, 1e-9)
        failed = f"{tally.counts['failed']} failed, " if tally.counts["failed"] else ""
        rest = f"{show.duration(left / speed)} left" if speed else "time left not known yet"
        return f"{tally.counts.total()}/{len(items)} files", f"{failed}{speed:.3g} s of audio per s, {rest}"

    if not sys.stderr.isatty():

        def line(record: Record) -> None:
            nonlocal told
            files, rest = where(record)
            if time.monotonic() - told > _LINE_EVERY:
                told = time.monotonic()
                show.warn(f"{files}, {rest}")

        yield line
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TextColumn("{task.fields[rest]}"),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        files, rest = where(None)
        task = bar.add_task(files, total=len(items), rest=rest)

        def drawn(record: Record) -> None:
            files, rest = where(record)
            bar.update(task, description=files, completed=tally.counts.total(), rest=rest)

        yield drawn
