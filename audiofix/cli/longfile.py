"""`audiofix separate` of what does not fit into memory: the same files, written piece by piece."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiofix.cli import inputs, output, references, show
from audiofix.errors import InputError, SettingError

if TYPE_CHECKING:
    from audiofix.cli.repair import Job as RestoringJob
    from audiofix.cli.separate import Job
    from audiofix.drawing import Place
    from audiofix.longfile import LongSeparation
    from audiofix.runtime.stores import Store

_SHARE = 0.4  # of the memory that what a run keeps may take
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


def bytes_of(text: str) -> float:
    """Bytes of "4GB", "800M", "2.5 g". Raises SettingError."""
    found = re.fullmatch(r"\s*(\d+\.?\d*)\s*([kmgt]?)i?b?\s*", text, re.IGNORECASE)
    if not found or float(found[1]) <= 0:
        raise SettingError(f"--memory {text!r} is not an amount; give one such as 4GB or 800MB")
    return float(found[1]) * _UNITS[found[2].lower()]


def wanted(path: Path, job: Job) -> bool:
    """Whether to work from the disk: where that is asked for, or memory would not hold all that a run keeps.

    Raises SettingError where other options forbid it.
    """
    if job.scale.memory is None:
        from audiofix.audio.streaming import outline

        try:
            audio = outline(path)
        except InputError:
            return False  # said when it is read, or a format that can only be read whole
        kept = (
            4
            * audio.channels
            * audio.length
            * (3 * len(job.sources) * (2 + (job.settings["draws"] or 1)) + 4)
        )
        if kept < _SHARE * memory_there():
            return False
    for given, option in ((job.init, "--init"), (job.spread, "--spread")):
        if given:
            raise SettingError(
                f"{option} needs the whole of {path} in memory; leave out {option} or --memory"
            )
    return True


def separate_long(path: Path, job: Job) -> dict[str, Any] | None:
    """As the command does with what fits into memory, but for draws, of which only the mean is written."""
    from audiofix.audio.files import bytes_needed
    from audiofix.audio.streaming import outline
    from audiofix.longfile import separate_file
    from audiofix.runtime.memory import keep_freed_memory

    folder, audio = output.folder_of(path, job.parent), outline(path)
    each = bytes_needed(audio.channels, audio.length, "FLOAT")
    # Stems and residual, the stems before rounding, and states at the models' rate.
    size = each * (10 * len(job.sources) + 2 + len(job.references))
    output.check_before(folder, [path, *job.references.values()], size, job.overwrite)
    for other in job.references.values():
        inputs.check_like(outline(other), other, path, audio, "reference")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    keep_freed_memory()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix=".audiofix-", suffix=".part", dir=folder.parent) as scratch,
        saving(folder, path, job) as (place, progress),
    ):
        clean = {name: references.laid_out(file, Path(scratch)) for name, file in job.references.items()}
        work = Path(scratch, "work")
        work.mkdir()
        result = separate_file(
            path,
            job.sources,
            work,
            memory=job.scale.memory,
            place=place,
            progress=progress,
            **job.settings,
        )
        if not place.ranks.first:
            return None
        report = {**result.report, "input": {**result.report["input"], "path": str(path), "sha256": sha256}}
        report["settings"] |= {"references": {name: str(file) for name, file in job.references.items()}}
        report["si_sdr"] = _scores(path, result, clean)
        if report["settings"]["draws"] > 1:
            report["notes"] += [
                "of a recording that is worked on from the disk only the mean of the draws is written"
            ]
        if job.stage is not None:
            report["batch"] = job.stage.stamp
            job.stage.part.mkdir(parents=True)
            write(job.stage.part, path, result, job.residual, folder, report)
            return report
        output.publish(
            folder, lambda part: write(part, path, result, job.residual, folder, report), job.overwrite
        )
    forget(folder)
    if job.as_json:
        show.say(output.dump_json(report))
    else:
        show.separation(report)
    return report


def _scores(path: Path, result: LongSeparation, clean: Mapping[str, Store]) -> dict[str, dict[str, float]]:
    """SI-SDR of each source that has a reference: of the mixture, of the stem; mean over channels."""
    import soundfile
    import torch

    from audiofix.scoring import sample_figures

    assert result.stems is not None
    found = {}
    with soundfile.SoundFile(path) as file:

        def mixture(start: int, stop: int) -> Any:
            file.seek(start)
            return torch.from_numpy(file.read(stop - start, dtype="float32", always_2d=True).T)

        for name, store in clean.items():
            stem = references.reader(result.stems, result.sources.index(name))
            figures = [sample_figures(one, references.reader(store), store.stop) for one in (mixture, stem)]
            found[name] = {
                when: each["si_sdr_db"] for when, each in zip(("before", "after"), figures, strict=True)
            }
    return found


@contextlib.contextmanager
def saving(
    folder: Path, path: Path, job: Job | RestoringJob
) -> Iterator[tuple[Place, Callable[..., None] | None]]:
    """Where a run saves itself, and its progress bar; an interrupt says how to go on."""
    from audiofix.drawing import Place
    from audiofix.runtime.ranks import Ranks

    if job.stage is not None:  # one of many files: what tells of them all does it
        yield Place(), None
        return
    scale, ranks = job.scale, job.scale.ranks or Ranks()
    place = Place(ranks, checkpoints=_saved_at(folder), resume=scale.resume, every=scale.save_every)
    try:
        with show.progress_bar(path.name) if ranks.first else contextlib.nullcontext() as progress:
            yield place, progress
    except KeyboardInterrupt:
        on = "; --resume goes on from what was saved" if _saved_at(folder).exists() else ""
        raise KeyboardInterrupt(on) from None


def forget(folder: Path) -> None:
    """Remove what a run has saved: its results are there."""
    shutil.rmtree(_saved_at(folder), ignore_errors=True)


def _saved_at(folder: Path) -> Path:
    return folder.parent / f".{folder.name}.audiofix-resume"


def memory_there() -> float:
    """Bytes of memory that the machine has, where the system tells; else no limit."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return math.inf


def write(
    part: Path,
    path: Path,
    result: LongSeparation,
    want_residual: bool | None,
    folder: Path,
    report: dict[str, Any],
) -> None:
    """Write stems and residual into `part`, adding up to the recording; what was written is added to `report`."""
    from audiofix.audio.files import output_format
    from audiofix.audio.streaming import Sink, blocks

    if result.stems is None:
        raise ValueError("only the first process writes")
    audio, names = result.audio, result.sources
    peak, rest, whole = _peaks(path, result.stems, audio.subtype)
    container, subtype, suffix = output_format(audio, peak)
    matters = rest > output.AUDIBLE * whole
    keep = matters if want_residual is None else want_residual
    if matters and not keep:
        report["notes"] += [
            f"the residual (peak {rest:.2g}) was not written: the stems alone are not the mixture"
        ]
    files = [f"{name}{suffix}" for name in (*names, *([output.RESIDUAL] if keep else []))]
    sinks = [Sink(part / file, audio, container, subtype) for file in files]
    at = 0
    for block in blocks(path):
        stems = result.stems.read(at, at + block.shape[1])
        sets = [{name: stems[:, i] for i, name in enumerate(names)}]
        rounded, residual, _ = output.rounded(block, sets, block - stems.sum(dim=1), subtype, keep)
        for sink, samples in zip(
            sinks, [*rounded[0].values(), *([] if residual is None else [residual])], strict=True
        ):
            sink.write(samples)
        at += block.shape[1]
    for sink in sinks:
        sink.close()
    report["output"] = {
        "folder": str(folder),
        "files": [*files, output.REPORT],
        "stems": dict(zip(names, files, strict=False)),
        "draws": [],
        "residual": files[-1] if keep else None,
        "container": container,
        "subtype": subtype,
        **_sum(part, files, path),
    }
    (part / output.REPORT).write_text(output.dump_json(report, indent=2) + "\n", encoding="utf-8")


def _peaks(path: Path, stems: Store, subtype: str) -> tuple[float, float, float]:
    """Largest magnitude among stems and residual with room for rounding, of the residual, of the recording."""
    from audiofix.audio.files import peak_of
    from audiofix.audio.streaming import blocks, margin

    at, peak, rest, whole, step = 0, 0.0, 0.0, 0.0, margin(subtype)
    for block in blocks(path):
        found = stems.read(at, at + block.shape[1])
        residual = block - found.sum(dim=1)
        peak = max(peak, peak_of(found, subtype) + step, peak_of(residual, subtype) + step)
        rest, whole = max(rest, float(residual.abs().max())), max(whole, float(block.abs().max()))
        at += block.shape[1]
    return peak, rest, whole


def _sum(part: Path, files: list[str], path: Path) -> dict[str, float | None]:
    """As `output.measure_sum`, piece by piece."""
    from audiofix.audio.streaming import blocks

    largest = power = whole = 0.0
    for mixture, *parts in zip(blocks(path), *(blocks(part / file) for file in files), strict=True):
        error = mixture.double() - sum(one.double() for one in parts)
        largest = max(largest, float(error.abs().max()))
        power, whole = power + float(error.square().sum()), whole + float(mixture.double().square().sum())
    decibels = 10 * math.log10(power / whole) if power > 0 and whole > 0 else None
    return {"largest_error": largest, "error_db": decibels}
