"""The restoring commands on what does not fit into memory: the same files, written piece by piece."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiofix.cli import longfile, restored, targets
from audiofix.cli.references import laid_out, reader
from audiofix.cli.restored import Outcome
from audiofix.errors import InputError, OutputError
from audiofix.settings import Settings

if TYPE_CHECKING:
    from audiofix.cli.repair import Job
    from audiofix.longrepair.restore import LongRepair
    from audiofix.runtime.stores import Store
    from audiofix.types import Audio

SHARE = 0.4  # of the memory that what a run keeps may take
HELD = 200  # bytes a sample that restoring in memory keeps at its peak
STORES = 12  # signals as long as the recording that a run lays down


def wanted(path: Path, job: Job) -> bool:
    """Whether to work from the disk: where that is asked for, or memory would not hold all that a run keeps."""
    if job.scale.asked:
        return True
    from audiofix.audio.streaming import outline

    try:
        audio = outline(path)
    except InputError:
        return False  # said when it is read, or a format that can only be read whole
    return HELD * audio.channels * audio.length > SHARE * longfile.memory_there()


def restore_long(path: Path, place: Path, given: Sequence[Path], job: Job) -> dict[str, Any] | None:
    """As the command does with what fits into memory."""
    from audiofix.audio.streaming import outline
    from audiofix.cli.repair import resolved_for
    from audiofix.longrepair.finding import look_from
    from audiofix.longrepair.restore import restore_file
    from audiofix.preparing import refuse_short
    from audiofix.runtime.memory import keep_freed_memory

    audio = outline(path)
    refuse_short(audio)
    targets.check_before(place, given, audio, job.overwrite, job.beside, job.stage is None)
    keep_freed_memory()
    with _scratch(place, audio, job) as scratch:
        clean = _reference(audio, scratch, job)
        with look_from(path, audio, scratch) as look:
            resolved = resolved_for(audio, path, job, look)
        if resolved is None:
            return None
        with longfile.saving(place, path, job) as (where, progress):
            result = restore_file(
                path,
                resolved.faults,
                scratch,
                settings=Settings(**job.settings),
                memory=job.scale.memory,
                place=where,
                progress=progress,
                compare=job.compare,
            )
            if not where.ranks.first:
                return None
            outcome = _outcome(result, clean, job)
            report = restored.save(path, audio, outcome, resolved, place, given, job)
    longfile.forget(place)
    return restored.told(report, job)


def _reference(audio: Audio, scratch: Path, job: Job) -> Store | None:
    """The clean recording on disk, which fits what will come of `audio`. Raises InputError."""
    if job.reference is None:
        return None
    from audiofix.audio.streaming import outline
    from audiofix.scoring import check_shape

    rate = job.settings.get("to_rate") or audio.sample_rate
    length = -(-audio.length * rate // audio.sample_rate)
    check_shape(outline(job.reference), rate, audio.channels, length)
    return laid_out(job.reference, scratch)


def _scores(before: Store, after: Store, clean: Store | None) -> dict[str, Any] | None:
    if clean is None:
        return None
    from audiofix.scoring import against_in_parts

    return against_in_parts(reader(before), reader(after), reader(clean), clean.stop)


def _outcome(result: LongRepair, clean: Store | None, job: Job) -> Outcome:
    """What is to be written of a recording that was restored from the disk."""
    before, after = result.before, result.result
    assert before is not None
    assert after is not None

    def picture(file: Path) -> None:
        from audiofix.cli.picture import save_restoration

        save_restoration(file, before, after, result.audio.sample_rate)

    plotted, report = picture if job.plot else None, result.report
    if result.baseline is not None:
        scores = _scores(before, result.baseline, clean)
        report = {**report, "baseline": {**report["baseline"], "scores": scores}}
    figures = _scores(before, after, clean)
    return Outcome(result.audio, after, result.draws, report, figures, result.baseline, plotted)


@contextlib.contextmanager
def _scratch(place: Path, audio: Audio, job: Job) -> Iterator[Path]:
    """A folder beside the result for what is worked on, gone afterwards, as are folders made for it in vain."""
    from audiofix.audio.files import check_space
    from audiofix.runtime.ranks import Ranks

    ranks = job.scale.ranks or Ranks()
    rate = job.settings.get("to_rate") or audio.sample_rate
    length = -(-audio.length * rate // audio.sample_rate)
    missing = [parent for parent in place.parents if not parent.exists()]
    size = (
        4
        * audio.channels
        * length
        * (STORES + bool(job.reference) + 3 * (job.settings["draws"] or 1) + 4 * job.compare)
    )
    check_space(place.parent, size * ranks.size)
    run = f".audiofix-{ranks.same(secrets.randbits(48)):012x}"
    folder = place.parent / f"{run}.{ranks.rank}.part"
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise OutputError(
            f"{place.parent} cannot be written to ({error.strerror}); choose another place with -o"
        ) from error
    try:
        yield folder
    finally:
        for left in place.parent.glob(f"{run}.*.part") if ranks.first else [folder]:
            shutil.rmtree(left, ignore_errors=True)  # those of processes that were killed too
        with contextlib.suppress(OSError):
            for parent in missing:  # those that hold results refuse to go
                parent.rmdir()
