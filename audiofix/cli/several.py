"""Do the same with each of several files: one bad file stops none of the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from audiofix.cli import show
from audiofix.errors import AudiofixError


class SomeFailed(AudiofixError):
    """Several files were given and not all could be done; exit status of the first that failed."""

    def __init__(self, failed: Mapping[Path, AudiofixError], given: int) -> None:
        super().__init__(f"{len(failed)} of {given} files failed: {', '.join(map(str, failed))}")
        self.exit_status = next(iter(failed.values())).exit_status


def for_each(files: Sequence[Path], work: Callable[[Path], object], dry_run: bool) -> None:
    """Call `work` with each file. Raises the error of the only one, else SomeFailed, or KeyboardInterrupt."""
    failed: dict[Path, AudiofixError] = {}
    finished: list[Path] = []
    for file in files:
        try:
            work(file)
            finished.append(file)
        except AudiofixError as error:
            if len(files) == 1:
                raise
            show.warn(str(error) if str(file) in str(error) else f"{file}: {error}")
            failed[file] = error
        except KeyboardInterrupt as stop:
            before = f"; finished before: {', '.join(map(str, finished))}" if finished and not dry_run else ""
            which = f" for {file}" if len(files) > 1 else ""
            raise KeyboardInterrupt(f"stopped; nothing was written{which}{before}{stop}") from None
    if failed:
        raise SomeFailed(failed, len(files)) from next(iter(failed.values()))
