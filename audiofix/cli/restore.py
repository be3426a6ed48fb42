"""`audiofix separate`: read, check, separate, write, report. The work is done by `audiofix.api`."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiofix.cli import options, output, show
from audiofix.errors import AudiofixError, InputError, SettingError

if TYPE_CHECKING:
    from audiofix.api import Separation
    from audiofix.types import Audio

MOST_DRAWS = 4  # that any quality makes by itself
_NAME = re.compile(r"\w[\w.+-]*")


class SomeFailed(AudiofixError):
    """Several files were given and not all could be done; exit status of the first that failed."""

    def __init__(self, failed: Mapping[Path, AudiofixError], given: int) -> None:
        super().__init__(f"{len(failed)} of {given} files failed: {', '.join(map(str, failed))}")
        self.exit_status = next(iter(failed.values())).exit_status


@dataclass(frozen=True)
class Job:
    """What was asked for, the same for every mixture."""

    sources: list[str]
    settings: dict[str, Any]  # as `audiofix.api.separate` takes them
    references: dict[str, Path]
    parent: Path
    residual: bool | None
    as_json: bool
    overwrite: bool
    dry_run: bool


def separate(
    mixtures: options.Mixtures,
    parent: options.OutputFolder = Path("separated"),
    sources: options.SourceNames = "speech,piano",
    quality: options.Quality = None,
    prior: options.Prior = None,
    levels: options.Levels = None,
    steps: options.Steps = None,
    step_scale: options.StepScale = None,
    sampler: options.Sampler = None,
    draws: options.Draws = None,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    reference: options.References = None,
    residual: options.Residual = None,
    as_json: options.Json = False,
    dry_run: options.DryRun = False,
    overwrite: options.Overwrite = False,
    _debug: options.Debug = False,
) -> None:
    """Separate mixtures into their sources: DIR/MIX/SOURCE.wav and a report.json to repeat it by."""
    settings = {
        "quality": quality,
        "prior": prior,
        "levels": levels,
        "steps": steps,
        "step_scale": step_scale,
        "sampler": sampler,
        "draws": draws,
        "seed": seed,
        "device": device,
    }
    names = stem_names(_source_list(sources))
    references = _reference_list(reference or [], names)
    _refuse_confusion(mixtures, references, parent)
    job = Job(names, settings, references, parent, residual, as_json, overwrite, dry_run)
    failed: dict[Path, AudiofixError] = {}
    finished: list[Path] = []
    for mixture in mixtures:
        try:
            _separate_one(mixture, job)
            finished.append(mixture)
        except AudiofixError as error:
            if len(mixtures) == 1:
                raise
            show.warn(str(error) if str(mixture) in str(error) else f"{mixture}: {error}")
            failed[mixture] = error
        except KeyboardInterrupt:
            before = f"; finished before: {', '.join(map(str, finished))}" if finished and not dry_run else ""
            which = f" for {mixture}" if len(mixtures) > 1 else ""
            raise KeyboardInterrupt(f"stopped; nothing was written{which}{before}") from None
    if failed:
        raise SomeFailed(failed, len(mixtures)) from next(iter(failed.values()))


def stem_names(sources: Sequence[str]) -> list[str]:
    """Names of the stems: the sources', and speech, speech-2 where one is wanted twice."""
    total: Counter[str] = Counter()
    names = []
    for source in sources:
        total[source] += 1
        names.append(source if total[source] == 1 else f"{source}-{total[source]}")
    return names


def _separate_one(path: Path, job: Job) -> None:
    from audiofix import api
    from audiofix.audio.files import bytes_needed, read_audio
    from audiofix.runtime.memory import keep_freed_memory

    folder = output.folder_of(path, job.parent)
    mixture = read_audio(path)
    draws = job.settings["draws"] or MOST_DRAWS
    files = len(job.sources) * (1 + draws * (draws > 1)) + 1
    size = files * bytes_needed(mixture.channels, mixture.length, "FLOAT")
    output.check_before(folder, [path, *job.references.values()], size, job.overwrite)
    references = {name: _read_reference(file, path, mixture) for name, file in job.references.items()}
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    keep_freed_memory()
    if job.dry_run:
        planned = api.plan(mixture, job.sources, **job.settings, references=references)
        if job.as_json:
            show.say(output.dump_json({"path": path, "sha256": sha256, **dataclasses.asdict(planned)}))
        else:
            show.plan(planned, folder)
        return
    with show.progress_bar(path.name) as progress:
        result = api.separate(mixture, job.sources, **job.settings, references=references, progress=progress)
    report = _completed(result.report, path, sha256, job)
    _write(mixture, result, folder, job, report)
    if job.as_json:
        show.say(output.dump_json(report))
    else:
        show.separation(report)


def _write(mixture: Audio, result: Separation, folder: Path, job: Job, report: dict[str, Any]) -> None:
    """Write stems, draws, residual and report; what was written is added to `report`."""
    from audiofix.audio.files import write_audio

    draws = result.draws if len(result.draws) > 1 else []
    files = output.adding_up(mixture, result.stems, result.residual, draws, job.residual)
    if files.left_out:
        message = (
            f"the residual (peak {files.left_out:.2g}) was not written: the stems alone are not the mixture"
        )
        report["notes"] = [*report.get("notes", []), message]
    first = next(iter(files.audio.values()))

    def fill(part: Path) -> None:
        for name, audio in files.audio.items():
            write_audio(part / name, audio)
        summed = [*files.stems.values(), *([files.residual] if files.residual else [])]
        report["output"] = {
            "folder": str(folder),
            "files": [*files.audio, output.REPORT],
            "stems": files.stems,
            "draws": files.draws,
            "residual": files.residual,
            "container": first.container,
            "subtype": first.subtype,
            **output.measure_sum(part, summed, mixture),
        }
        (part / output.REPORT).write_text(output.dump_json(report, indent=2) + "\n", encoding="utf-8")

    output.publish(folder, fill, job.overwrite)


def _completed(report: Mapping[str, Any], path: Path, sha256: str, job: Job) -> dict[str, Any]:
    """The library's report and what only the command knows: which files, which options about them."""
    references = {name: str(file) for name, file in job.references.items()}
    return {
        **report,
        "settings": {**report["settings"], "residual": job.residual, "references": references},
        "input": {**report["input"], "path": str(path), "sha256": sha256},
    }


def _source_list(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if not _NAME.fullmatch(name) or name == output.RESIDUAL:
            raise SettingError(
                f"--sources {text!r}: {name!r} cannot be a source; give names with commas between them, "
                "such as speech,piano"
            )
    return names


def _reference_list(texts: Sequence[str], stems: Sequence[str]) -> dict[str, Path]:
    references: dict[str, Path] = {}
    for text in texts:
        name, equals, file = text.partition("=")
        if not equals or not file:
            raise SettingError(
                f"--reference {text!r}: give a source and its clean file, such as speech=clean.wav"
            )
        if name not in stems:
            raise SettingError(
                f"--reference {text!r}: {name!r} is not separated; possible: {', '.join(stems)}"
            )
        if name in references:
            raise SettingError(
                f"--reference {text!r}: {name} has {references[name]} already; give one for each"
            )
        references[name] = Path(file)
    return references


def _refuse_confusion(mixtures: Sequence[Path], references: Mapping[str, Path], parent: Path) -> None:
    if references and len(mixtures) > 1:
        raise SettingError(
            f"--reference is for one mixture and {len(mixtures)} are given; give one at a time"
        )
    taken: dict[Path, Path] = {}
    for mixture in mixtures:
        folder = output.folder_of(mixture, parent)
        if folder in taken:
            raise SettingError(
                f"{taken[folder]} and {mixture} would both go to {folder}; separate them apart"
            )
        taken[folder] = mixture


def _read_reference(path: Path, mixture_path: Path, mixture: Audio) -> Audio:
    from audiofix.audio.files import read_audio
    from audiofix.numerics.metrics import si_sdr

    reference = read_audio(path)
    for what in ("sample_rate", "length", "channels"):
        got, expected = getattr(reference, what), getattr(mixture, what)
        if got != expected:
            unit = {"sample_rate": "Hz", "length": "samples", "channels": "channel(s)"}[what]
            raise InputError(
                f"reference {path} has {got} {unit}, the mixture {mixture_path} has {expected}; "
                "give the source as it is in the mixture"
            )
    try:
        si_sdr(mixture.samples, reference.samples)
    except InputError as error:  # found out now rather than after the sampling
        raise InputError(f"reference {path}: {error}") from error
    return reference
