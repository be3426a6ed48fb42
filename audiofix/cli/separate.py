"""`audiofix separate`: read, check, separate, write, report. The work is done by `audiofix.api`."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiofix.cli import inputs, longfile, many, options, output, scaling, show
from audiofix.cli.scaling import Scale
from audiofix.cli.several import for_each
from audiofix.errors import InputError, SettingError

if TYPE_CHECKING:
    from audiofix.api import Separation
    from audiofix.cli.many import Stage
    from audiofix.types import Audio

MOST_DRAWS = 4  # that any quality makes by itself


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
    spread: bool
    init: Path | None
    scale: Scale
    stage: Stage | None = None


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
    device: scaling.Devices = "auto",
    resume: scaling.GoOn = False,
    save_every: scaling.SaveEvery = 30.0,
    memory: scaling.Memory = None,
    precision: scaling.Precision = "auto",
    reference: options.References = None,
    residual: options.Residual = None,
    spread: options.Spread = False,
    init: options.Init = None,
    condition: options.Condition = True,
    as_json: options.Json = False,
    dry_run: options.DryRun = False,
    overwrite: options.Overwrite = False,
    _debug: options.Debug = False,
    recursive: many.Recursive = False,
    jobs: many.Jobs = None,
    engine: many.Engine = "local",
    shard: many.Shard = None,
    retry_failed: many.RetryFailed = False,
) -> None:
    """Separate mixtures into their sources: DIR/MIX/SOURCE.wav and a report.json to repeat it by."""
    if spread and draws is None:
        draws = MOST_DRAWS
    if spread and (draws == 1 or quality == "fast"):
        raise SettingError(
            "--spread needs two draws or more and a quality that draws; leave --draws out, or take best"
        )
    settings = {
        "quality": quality,
        "prior": prior,
        "levels": levels,
        "steps": steps,
        "step_scale": step_scale,
        "sampler": sampler,
        "draws": draws,
        "seed": seed,
        "condition": condition,
        "precision": precision,
    }
    names = inputs.stem_names(inputs.source_list(sources))
    references = inputs.reference_list(reference or [], names)
    scale = Scale(resume, save_every, None if memory is None else longfile.bytes_of(memory))
    job = Job(names, settings, references, parent, residual, as_json, overwrite, dry_run, spread, init, scale)
    settings["device"] = device
    wish = many.Many(recursive, jobs, engine, shard, retry_failed)
    if wish.wanted(mixtures):
        from audiofix.cli.works import Separating

        if "," in device or device.startswith("cpu:"):
            raise SettingError(
                f"--devices {device} share one file and many are given; --jobs N works on N at a time"
            )

        many.run(mixtures, Separating(job), wish)
        return
    inputs.refuse_confusion(mixtures, references, parent)
    from audiofix.runtime.launch import company, devices_of
    from audiofix.runtime.ranks import ranks_of

    if dry_run:
        if ranks_of(os.environ)[0]:
            return  # the first one tells it
        settings["device"] = devices_of(device)[0]
        for_each(mixtures, lambda mixture: separate_one(mixture, job), dry_run)
        return
    with company(device, lambda: shares(mixtures, job)) as together:
        settings["device"] = together.device
        job = dataclasses.replace(job, scale=dataclasses.replace(scale, ranks=together.ranks))
        for_each(mixtures, lambda mixture: separate_one(mixture, job), dry_run)


def shares(mixtures: Sequence[Path], job: Job) -> int:
    """How many processes can have a part of the longest of the files: one for what cannot be looked at."""
    from audiofix.audio.streaming import outline
    from audiofix.drawing import Place, ground_of
    from audiofix.loading import prepare

    seconds = 0.0
    for path in mixtures:
        with contextlib.suppress(InputError):  # it is told when the file is read
            seconds = max(seconds, outline(path).seconds)
    wanted = {name: value for name, value in job.settings.items() if name not in ("draws", "seed", "device")}
    setup = prepare(job.sources, **wanted, device="cpu", begun=job.init is not None)
    return ground_of(setup, round(seconds * setup.sample_rate), Place()).shares


def separate_one(path: Path, job: Job) -> dict[str, Any] | None:
    """Separate one mixture, write, and say what was done, with a stage nothing; the report where it was done."""
    from audiofix import api
    from audiofix.audio.files import bytes_needed, read_audio
    from audiofix.runtime.memory import keep_freed_memory

    if not job.dry_run and longfile.wanted(path, job):
        return longfile.separate_long(path, job)
    folder = output.folder_of(path, job.parent)
    mixture = read_audio(path)
    draws = job.settings["draws"] or MOST_DRAWS
    files = len(job.sources) * (1 + draws * (draws > 1) + job.spread) + 1
    size = files * bytes_needed(mixture.channels, mixture.length, "FLOAT")
    begun = {name: inputs.stem_file(job.init, path, name) for name in job.sources} if job.init else {}
    output.check_before(folder, [path, *job.references.values(), *begun.values()], size, job.overwrite)
    init = {name: inputs.read_like(file, path, mixture, "init") for name, file in begun.items()} or None
    references = {name: inputs.read_reference(file, path, mixture) for name, file in job.references.items()}
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    keep_freed_memory()
    if job.dry_run:
        planned = api.plan(mixture, job.sources, **job.settings, references=references, init=init)
        if job.as_json:
            show.say(output.dump_json({"path": path, "sha256": sha256, **dataclasses.asdict(planned)}))
        else:
            show.plan(planned, folder)
        return None
    with longfile.saving(folder, path, job) as (place, progress):
        result = api.separate(
            mixture,
            job.sources,
            **job.settings,
            references=references,
            init=init,
            progress=progress,
            place=place,
        )
    if not place.ranks.first:
        return None
    report = _completed(result.report, path, sha256, job, begun)
    _write(mixture, result, folder, job, report)
    longfile.forget(folder)
    if job.stage is not None:
        return report
    if job.as_json:
        show.say(output.dump_json(report))
    else:
        show.separation(report)
    return report


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
        spread = write_spread(part, result.draws, mixture) if job.spread else []
        summed = [*files.stems.values(), *([files.residual] if files.residual else [])]
        report["output"] = {
            "folder": str(folder),
            "files": [*files.audio, *spread, output.REPORT],
            "stems": files.stems,
            "draws": files.draws,
            "residual": files.residual,
            "container": first.container,
            "subtype": first.subtype,
            **output.measure_sum(part, summed, mixture),
        }
        (part / output.REPORT).write_text(output.dump_json(report, indent=2) + "\n", encoding="utf-8")

    if job.stage is not None:
        report["batch"] = job.stage.stamp
        job.stage.part.mkdir(parents=True)
        fill(job.stage.part)
    else:
        output.publish(folder, fill, job.overwrite)


def write_spread(part: Path, draws: Sequence[Mapping[str, Audio]], mixture: Audio) -> list[str]:
    """Standard deviation over draws and a picture of it, for each stem; the names of what was written."""
    from audiofix.audio.files import write_audio
    from audiofix.cli.picture import save_spread
    from audiofix.numerics.spread import standard_deviation

    names = []
    for source in draws[0]:
        each = [draw[source].samples for draw in draws]
        names += [f"spread/{source}.wav", f"spread/{source}.png"]
        deviation = dataclasses.replace(
            mixture, samples=standard_deviation(each), container="WAV", subtype="FLOAT"
        )
        write_audio(part / names[-2], deviation)
        save_spread(part / names[-1], each, mixture.sample_rate, f"{source}: mean of {len(draws)} draws")
    return names


def _completed(
    report: Mapping[str, Any], path: Path, sha256: str, job: Job, begun: Mapping[str, Path]
) -> dict[str, Any]:
    """The library's report and what only the command knows: which files, which options about them."""
    references = {name: str(file) for name, file in job.references.items()}
    init = {name: str(file) for name, file in begun.items()}
    return {
        **report,
        "settings": {
            **report["settings"],
            "residual": job.residual,
            "references": references,
            "spread": job.spread,
            "init": init,
        },
        "input": {**report["input"], "path": str(path), "sha256": sha256},
    }
