"""A command of tiny cost that goes through everything the others go through: it halves recordings.

python -m tests.batch.cheap halve IN -o OUT: names of files say what goes wrong with them. Each time that a file is
worked on, its name and the process are added to OUT.log.
"""

# ruff: noqa: ARG002
from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import soundfile

from audiofix.batch.plan import Item
from audiofix.batch.work import Made
from audiofix.cli import many, options
from audiofix.cli.app import app, main
from audiofix.errors import InputError, OutputError


@dataclass(frozen=True)
class Halving:
    destination: Path
    seconds: float = 0.0  # that each file takes
    settings: str = "half"
    task: str = "halve"
    folders: bool = False
    overwrite: bool = False
    dry_run: bool = False
    as_json: bool = False

    def check(self) -> None:
        pass

    def models(self) -> dict[str, str]:
        return {"halver": "1"}

    @contextlib.contextmanager
    def session(self, threads: int | None) -> Iterator[None]:
        yield

    def do(self, item: Item, part: Path, replaces: bool, place: int) -> Made:
        with self.destination.with_name(f"{self.destination.name}.log").open("a") as log:
            log.write(f"{item.name} {os.getpid()}\n")
        target = self.destination / item.name
        if target.exists() and not replaces:
            raise OutputError(f"{target} exists already; add --overwrite")
        try:
            samples, rate = soundfile.read(item.path)
        except soundfile.SoundFileError as error:
            raise InputError(f"{item.path} cannot be read as audio") from error
        time.sleep(self.seconds)
        if "fault" in item.name:
            raise ValueError("oh")
        if "killer" in item.name:
            os.kill(os.getpid(), signal.SIGKILL)
        part.mkdir(parents=True)
        soundfile.write(part / target.name, samples / 2, rate)
        if "half written" in item.name:
            os.kill(os.getpid(), signal.SIGKILL)
        report = part / f"{target.stem}.json"
        report.write_text(json.dumps(self._report(item.path)))
        return Made(
            [(file, target.parent / file.name) for file in (part / target.name, report)],
            [{"name": "halver", "hash": "1"}],
        )

    def found(self, item: Item, sha256: str) -> Made | None:
        target = self.destination / item.name
        report = target.with_suffix(".json")
        try:
            if json.loads(report.read_text()) != self._report(item.path) or not target.is_file():
                return None
        except (OSError, ValueError):
            return None
        return Made([(target, target), (report, report)], [{"name": "halver", "hash": "1"}])

    def _report(self, path: Path) -> dict[str, str]:
        return {"settings": self.settings, "bytes": path.read_bytes().hex()}


@app.command("halve")
def halve(
    files: options.Files,
    output: options.OutputFolder,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    seconds: float = 0.0,
    settings: str = "half",
    task: str = "halve",
    recursive: many.Recursive = False,
    jobs: many.Jobs = None,
    engine: many.Engine = "local",
    shard: many.Shard = None,
    retry_failed: many.RetryFailed = False,
) -> None:
    work = Halving(output, seconds, settings, task, overwrite=overwrite, as_json=as_json)
    many.run(files, work, many.Many(recursive, jobs, engine, shard, retry_failed))


if __name__ == "__main__":
    main()
