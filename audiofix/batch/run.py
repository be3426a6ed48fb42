"""A run over many files: what is to be done, by which engine, and what came of it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace

from audiofix.batch.claims import leave, sweep
from audiofix.batch.local import here, processes
from audiofix.batch.manifest import Record, check_folder, history, parse
from audiofix.batch.plan import Item
from audiofix.batch.work import Run, Task, Worker
from audiofix.errors import SettingError

ENGINES = ("local", "ray")


@dataclass
class Tally:
    """What became of the files so far, and the exit status of the first that failed."""

    counts: Counter[str] = field(default_factory=Counter)
    exit_status: int = 0
    audio_seconds: float = 0.0  # worked through now

    def add(self, record: Record) -> None:
        """Count one more."""
        self.counts[record.status] += 1
        if record.status == "failed":
            self.exit_status = self.exit_status or record.exit_status or 1
        elif record.status != "skipped":
            self.audio_seconds += record.audio_seconds


def work_through(run: Run, items: Sequence[Item], engine: str, jobs: int | None) -> Generator[Record]:
    """A record for each item, as they are finished. What another run is at comes last, when it is free.

    However this ends, what was under way is cleared away. Raises SettingError, OutputError, KeyboardInterrupt.
    """
    if engine not in ENGINES:
        raise SettingError(f"there is no engine {engine!r}; choose one of {', '.join(ENGINES)}")
    check_folder(run.folder)
    lines, marks = history(run.folder, frozenset(item.name for item in items))
    run = replace(run, marks=marks)
    finished: set[str] = set()
    try:
        left = sweep(run.folder)
        doing = []
        for item in items:
            earlier = parse(lines.pop(item.name, b""))
            if item.refused is None:
                doing.append(Task(item, earlier))
            elif earlier is not None and earlier.error == item.refused:
                yield earlier
            else:
                yield Worker(run).give_up(item, item.refused, SettingError.exit_status)
        busy = set()
        with contextlib.closing(_engine(run, doing, engine, jobs)) as records:
            for record in records:
                if record.status == "busy":
                    busy.add(record.name)
                    continue
                finished |= left & {record.name}
                yield record
        if busy:
            rest = [task for task in doing if task.item.name in busy]
            yield from _engine(replace(run, wait=True), rest, engine, jobs)
    finally:
        sweep(run.folder, finished)
        leave(run.folder)


def _engine(run: Run, tasks: Sequence[Task], engine: str, jobs: int | None) -> Generator[Record]:
    if engine == "ray" and tasks:
        from audiofix.batch.ray_engine import actors

        return actors(run, tasks, jobs)
    return here(run, tasks) if jobs is None or not tasks else processes(run, tasks, jobs)
