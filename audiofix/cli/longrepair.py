"""The restoring commands on what does not fit into memory: the same files, written piece by piece."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiofix.cli import longfile, output, show, targets
from audiofix.cli.formats import format_aimed_at, format_notes, name_as_wanted
from audiofix.errors import InputError, OutputError, SettingError

if TYPE_CHECKING:
    from audiofix.cli.repair import Job
    from audiofix.longrepair.restore import LongRepair
    from audiofix.resolve import Resolved
    from audiofix.runtime.stores import Store
    from audiofix.types import Audio

SHARE = 0.4  # of the memory that what a run keeps may take
HELD = 200  # bytes a sample that restoring in memory keeps at its peak
STORES = 12  # signals as long as the recording that a run lays down


def wanted(path: Path, job: Job) -> bool:
    """Whether to work from the disk: where that is asked for, or memory would not hold all that a run keeps.

    Raises SettingError where other options forbid it.
    """
    whole = [
        option
        for given, option in (
            (job.reference, "--reference"),
            (job.plot, "--plot"),
            (job.compare, "--compare"),
        )
        if given
    ]
    if job.scale.asked:
        if whole:
            raise SettingError(
                f"{whole[0]} needs the whole of {path} in memory; leave out {whole[0]}, or --memory, --resume and "
                "--save-every"
            )
        return True
    from audiofix.audio.streaming import outline

    try:
        audio = outline(path)
    except InputError:
        return False  # said when it is read, or a format that can only be read whole
    return not whole and HELD * audio.channels * audio.length > SHARE * longfile.memory_there()


def restore_long(path: Path, place: Path, given: Sequence[Path], job: Job) -> dict[str, Any] | None:
    """As the command does with what fits into memory; without a baseline and figures, which take the whole."""
    from audiofix.audio.streaming import outline
    from audiofix.cli.repair import resolved_for
    from audiofix.longrepair.finding import look_from
    from audiofix.longrepair.restore import restore_file
    from audiofix.preparing import refuse_short
    from audiofix.runtime.memory import keep_freed_memory

    audio = outline(path)
    refuse_short(audio)
    targets.check_before(place, given, audio, job.overwrite, (), job.stage is None)
    keep_freed_memory()
    with _scratch(place, audio, job) as scratch:
        with look_from(path, audio, scratch) as look:
            resolved = resolved_for(audio, path, job, look)
        if resolved is None:
            return None
        with longfile.saving(place, path, job) as (where, progress):
            result = restore_file(
                path,
                resolved.faults,
                scratch,
                memory=job.scale.memory,
                place=where,
                progress=progress,
                **job.settings,
            )
            if not where.ranks.first:
                return None
            report = {**result.report, "task": job.task, "evidence": resolved.evidence}
            with path.open("rb") as file:
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            report["input"] |= {"path": str(path), "sha256": sha256}
            report["scores"] = None
            _write(audio, result, resolved, place, given, job, report)
    longfile.forget(place)
    if job.stage is not None:
        return report
    if job.as_json:
        show.say(output.dump_json(report))
    else:
        show.restoration(report)
    return report


@contextlib.contextmanager
def _scratch(place: Path, audio: Audio, job: Job) -> Iterator[Path]:
    """A folder beside the result for what is worked on, gone afterwards, as are folders made for it in vain."""
    from audiofix.audio.files import check_space

    rate = job.settings.get("to_rate") or audio.sample_rate
    length = -(-audio.length * rate // audio.sample_rate)
    missing = [parent for parent in place.parents if not parent.exists()]
    size = 4 * audio.channels * length * (STORES + 3 * (job.settings["draws"] or 1))
    check_space(place.parent, size)
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".audiofix-", suffix=".part", dir=place.parent))
    except OSError as error:
        raise OutputError(
            f"{place.parent} cannot be written to ({error.strerror}); choose another place with -o"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            for parent in missing:  # those that hold results refuse to go
                parent.rmdir()


def _write(
    audio: Audio, result: LongRepair, resolved: Resolved, place: Path, given: Sequence[Path], job: Job,
    report: dict[str, Any],
) -> None:  # fmt: skip
    """The restored file, its draws and the report; what was written is added to that."""
    from audiofix.audio.disk import all_or_none, write_bytes_atomically

    assert result.result is not None
    home: contextlib.AbstractContextManager[Path]
    home = all_or_none(place.parent, lambda: output.earlier_files(place, given))
    if job.stage is not None:
        report["batch"] = job.stage.stamp
        job.stage.part.mkdir(parents=True)
        home = contextlib.nullcontext(job.stage.part)
    like, files = format_aimed_at(result.audio, resolved), {}
    with home as part:
        names = ["restored", *(f"draw {number}" for number, _ in enumerate(result.draws, 1))]
        stems = [place.stem, *(f"{place.stem}.draw{number}" for number, _ in enumerate(result.draws, 1))]
        for name, stem, store in zip(names, stems, [result.result, *result.draws], strict=True):
            file, formats, peak = _written(store, like, stem, place, part)
            files[name] = str(place.parent / file)
            if name == "restored":
                report["output"] = {"files": files, "container": formats[0], "subtype": formats[1]}
                report["notes"] += format_notes(audio, result.audio, formats, place, Path(files[name]), peak)
        files["report"] = str(place.parent / f"{place.stem}.report.json")
        text = output.dump_json(report, indent=2) + "\n"
        write_bytes_atomically(part / f"{place.stem}.report.json", text.encode())


def _written(
    store: Store, like: Audio, stem: str, place: Path, part: Path
) -> tuple[str, tuple[str, str], float]:
    """Write a store; the file's name, container and subtype, and the peak."""
    from audiofix.audio.files import output_format, peak_of, quantise
    from audiofix.audio.streaming import BLOCK, Sink
    from audiofix.runtime.ranks import pieces

    spans = list(pieces(0, store.stop, BLOCK))
    loudest = counted = 0.0
    for span in spans:
        samples = store.read(*span)[:, 0]
        if not samples.isfinite().all():
            raise OutputError(f"{place} was not written: the result is not finite (NaN); give another --seed")
        loudest = max(loudest, float(samples.abs().max()))
        counted = max(counted, peak_of(samples, like.subtype))
    container, subtype, suffix = output_format(like, counted)
    name = name_as_wanted(stem, place, suffix)
    as_file = dataclasses.replace(like, container=container, subtype=subtype)
    sink = Sink(part / name, as_file, container, subtype)
    try:
        for span in spans:
            sink.write(quantise(store.read(*span)[:, 0], subtype))
    finally:
        sink.close()
    return name, (container, subtype), loudest
