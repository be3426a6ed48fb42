"""What a restoring command leaves and says: files and report, all or none, from memory or from the disk."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiofix.cli import output, show
from audiofix.cli.formats import format_aimed_at, format_notes, name_as_wanted
from audiofix.errors import OutputError

if TYPE_CHECKING:
    from audiofix.cli.repair import Job
    from audiofix.resolve import Resolved
    from audiofix.runtime.stores import Store
    from audiofix.types import Audio


@dataclass(frozen=True)
class Outcome:
    """What came of a recording, (channel, 1, time) each at the rate of `audio`, whose samples are not looked at.

    baseline: None where none was wanted; picture: draws one into a file, None where none was wanted.
    """

    audio: Audio
    result: Store
    draws: Sequence[Store]
    report: dict[str, Any]
    scores: dict[str, Any] | None = None
    baseline: Store | None = None
    picture: Callable[[Path], None] | None = None

    @property
    def signals(self) -> dict[str, Store]:
        """What is written, by its name in the report."""
        draws = {f"draw {number}": one for number, one in enumerate(self.draws, 1)}
        base = {} if self.baseline is None else {"baseline": self.baseline}
        return {"restored": self.result, **draws, **base}


def save(
    path: Path, came: Audio, outcome: Outcome, resolved: Resolved, place: Path, given: Sequence[Path], job: Job
) -> dict[str, Any]:  # fmt: skip
    """Write the restored file, its draws, baseline, picture and report; the report.

    path, came: the recording; place: where the restored file is to be; given: files of this run, which are never
    replaced. Raises OutputError.
    """
    from audiofix.audio.disk import all_or_none, write_bytes_atomically

    report = {**outcome.report, "task": job.task, "evidence": resolved.evidence, "scores": outcome.scores}
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    report["input"] |= {"path": str(path), "sha256": sha256}
    home: contextlib.AbstractContextManager[Path]
    home = all_or_none(place.parent, lambda: output.earlier_files(place, given))
    if job.stage is not None:
        report["batch"] = job.stage.stamp
        job.stage.part.mkdir(parents=True)
        home = contextlib.nullcontext(job.stage.part)
    like = format_aimed_at(outcome.audio, resolved)
    files: dict[str, str] = {}
    with home as part:
        for name, store in outcome.signals.items():
            stem = place.stem if name == "restored" else f"{place.stem}.{name.replace(' ', '')}"
            file_name, formats, peak = _written(store, like, stem, place, part)
            files[name] = str(place.parent / file_name)
            if name == "restored":
                report["output"] = {"files": files, "container": formats[0], "subtype": formats[1]}
                notes = format_notes(came, outcome.audio, formats, place, Path(files[name]), peak)
                report["notes"] += notes
        if outcome.picture is not None:
            files["picture"] = str(place.parent / f"{place.stem}.png")
            outcome.picture(part / f"{place.stem}.png")
        files["report"] = str(place.parent / f"{place.stem}.report.json")
        text = output.dump_json(report, indent=2) + "\n"
        write_bytes_atomically(part / f"{place.stem}.report.json", text.encode())
    return report


def told(report: dict[str, Any], job: Job) -> dict[str, Any]:
    """The report, after it was printed; among many files it is not."""
    if job.stage is None:
        if job.as_json:
            show.say(output.dump_json(report))
        else:
            show.restoration(report)
    return report


def _written(
    store: Store, like: Audio, stem: str, place: Path, part: Path
) -> tuple[str, tuple[str, str], float]:
    """Write a signal in a format that holds it; the file's name, container and subtype, and the peak."""
    from audiofix.audio.files import output_format, peak_of, quantise, write_audio
    from audiofix.audio.streaming import BLOCK, Sink
    from audiofix.runtime.ranks import pieces
    from audiofix.runtime.stores import Memory

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
    if isinstance(store, Memory):  # formats that can only be written whole among them
        samples = quantise(store.samples[:, 0], subtype)
        write_audio(part / name, dataclasses.replace(as_file, samples=samples))
    else:
        sink = Sink(part / name, as_file, container, subtype)
        try:
            for span in spans:
                sink.write(quantise(store.read(*span)[:, 0], subtype))
        finally:
            sink.close()
    return name, (container, subtype), loudest
