"""What the restoring commands share: read, resolve, restore, write beside a report, show what was done."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiofix.cli import output, show, targets
from audiofix.cli.several import for_each
from audiofix.errors import SettingError
from audiofix.faultlist import Wanted

if TYPE_CHECKING:
    from audiofix.repair import Repair
    from audiofix.resolve import Resolved
    from audiofix.types import Audio

Confirm = Callable[[str], bool]


@dataclass(frozen=True)
class Job:
    """What was asked for, the same for every file. `wanted` None: look at the file and propose."""

    task: str
    wanted: Sequence[Wanted] | None
    settings: dict[str, Any]  # as `audiofix.repair.restore` takes them
    destination: Path
    gaps_file: Path | None = None
    noise_profile: Path | None = None
    reference: Path | None = None
    plot: bool = False
    compare: bool = False
    as_json: bool = False
    dry_run: bool = False
    overwrite: bool = False
    confirm: Confirm | None = None


def run(paths: Sequence[Path], job: Job) -> None:
    """Restore files and folders of files. Raises the error of the only file, or one that names all that failed."""
    files = targets.audio_files(paths)
    places = targets.destinations(files, job.destination)
    if job.reference and len(files) > 1:
        raise SettingError(f"--reference is for one file and {len(files)} are given; give one at a time")
    for_each(files, lambda path: _one(path, places[path], job), job.dry_run)


def _one(path: Path, place: Path, job: Job) -> None:
    from audiofix.audio.files import read_audio
    from audiofix.runtime.memory import keep_freed_memory

    audio = read_audio(path, finite=False)
    resolved = _resolve(audio, path, job)
    if resolved is None:
        return
    targets.check_before(place, [path], audio, job.overwrite)
    keep_freed_memory()
    if job.dry_run:
        _tell_cost(audio, path, place, resolved, job)
        return
    from audiofix.repair import restore

    with show.progress_bar(path.name) as progress:
        result = restore(audio, resolved.faults, **job.settings, progress=progress)
    report = {**result.report, "task": job.task, "evidence": resolved.evidence}
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    report["input"] |= {"path": str(path), "sha256": sha256}
    report["scores"] = _scores(result, audio, job)
    _write(audio, result, resolved, place, job, report)
    if job.as_json:
        show.say(output.dump_json(report))
    else:
        show.restoration(report)


def _resolve(audio: Audio, path: Path, job: Job) -> Resolved | None:
    """Faults with numbers; None where the user did not want to go on, or there is nothing to do."""
    from audiofix.resolve import examine, resolve

    if job.wanted is None:
        wanted, resolved = examine(audio)
        listed = " | ".join(one.kind for one in wanted)
        if not job.as_json:
            for line in resolved.evidence:
                show.say(f"{path.name}: {line}")
        if not wanted:
            show.say(f"{path.name}: no fault was found; name one with --ops, such as --ops 'lowpass:4000'")
            return None
        if (
            job.confirm is not None
            and not job.dry_run
            and not job.confirm(f"{path.name}: restore as {listed}?")
        ):
            show.say(f"{path.name}: left as it is")
            return None
        return resolved
    resolved = resolve(job.wanted, audio, _spans(audio, job), _profile(job))
    if not job.as_json:
        for line in resolved.evidence:
            show.say(f"{path.name}: {line}")
    if not resolved.faults and job.settings.get("to_rate") is None:
        show.say(f"{path.name}: nothing to restore was found")
        return None
    return resolved


def _spans(audio: Audio, job: Job) -> list[tuple[int, int]]:
    from audiofix.faults.gaps import read_gaps

    return read_gaps(job.gaps_file, audio.sample_rate) if job.gaps_file else []


def _profile(job: Job) -> Any:
    if job.noise_profile is None:
        return None
    from audiofix.audio.files import read_audio
    from audiofix.faults.noise import profile_of

    return profile_of(read_audio(job.noise_profile).samples)


def _tell_cost(audio: Audio, path: Path, place: Path, resolved: Resolved, job: Job) -> None:
    from audiofix.costing import cost

    found = cost(audio, resolved.faults, **job.settings)
    facts = {
        "audio": f"{audio.seconds:.2f} s, {audio.channels} channel(s), {audio.sample_rate} Hz",
        "faults": "; ".join(found.faults),
        "models": ", ".join(found.models),
        "network calls": found.network_calls,
        "time": f"about {show.duration(found.seconds)}",
        "memory": f"about {found.bytes / 1e6:.0f} MB",
        "file": f"{place} (nothing was written)",
    }
    if job.as_json:
        show.say(output.dump_json({"path": path, **dataclasses.asdict(found)}))
    else:
        show.facts(facts)


def _scores(result: Repair, audio: Audio, job: Job) -> dict[str, Any] | None:
    if job.reference is None:
        return None
    from audiofix.audio.files import read_audio
    from audiofix.scoring import against_reference

    return against_reference(audio, result.audio, read_audio(job.reference))


def _write(
    audio: Audio, result: Repair, resolved: Resolved, place: Path, job: Job, report: dict[str, Any]
) -> None:
    """The restored file, its draws, baseline and picture, and the report; what was written is added to that."""
    from audiofix.audio.files import output_format, peak_of, quantise, write_audio, write_bytes_atomically

    restored = result.audio
    container, subtype, suffix = output_format(restored, peak_of(restored.samples, audio.subtype))
    if (container, subtype) != (audio.container, audio.subtype):
        report["notes"].append(
            f"written as {container} {subtype}: {audio.container} {audio.subtype} cannot hold the result (peak "
            f"{float(restored.samples.abs().max()):.3g})"
        )

    def written(one: Audio, name: str) -> str:
        file = place.parent / name
        write_audio(file, dataclasses.replace(
            one, samples=quantise(one.samples, subtype), container=container, subtype=subtype
        ))  # fmt: skip
        return str(file)

    # A suffix that was wanted stays, as long as it says what is inside.
    end = place.suffix if place.suffix.lower() == suffix else suffix
    files = {"restored": written(restored, place.stem + end)}
    for number, draw in enumerate(result.draws, 1):
        files[f"draw {number}"] = written(draw, f"{place.stem}.draw{number}{suffix}")
    if job.compare:
        from audiofix.compare import METHODS, classical

        faults = _faults_at(resolved, result, audio)
        base = dataclasses.replace(
            restored, samples=classical(_at(audio, restored), restored.sample_rate, faults)
        )
        container, subtype, suffix = output_format(base, peak_of(base.samples, subtype))
        files["baseline"] = written(base, f"{place.stem}.baseline{suffix}")
        report["baseline"] = {
            "method": ", ".join(dict.fromkeys(METHODS[f.kind] for f in faults)),
            "scores": _baseline_scores(base, audio, job),
        }
    if job.plot:
        from audiofix.cli.picture import save_restoration

        files["picture"] = str(place.parent / f"{place.stem}.png")
        save_restoration(Path(files["picture"]), _at(audio, restored), restored.samples, restored.sample_rate)
    files["report"] = str(place.parent / f"{place.stem}.report.json")
    report["output"] = {"files": files, "container": container, "subtype": subtype}
    write_bytes_atomically(Path(files["report"]), (output.dump_json(report, indent=2) + "\n").encode())


def _baseline_scores(base: Audio, audio: Audio, job: Job) -> dict[str, Any] | None:
    if job.reference is None:
        return None
    from audiofix.audio.files import read_audio
    from audiofix.scoring import against_reference

    return against_reference(audio, base, read_audio(job.reference))


def _at(audio: Audio, restored: Audio) -> Any:
    """The recording at the result's rate, finite."""
    import torch

    from audiofix.audio.resample import resample

    return resample(torch.nan_to_num(audio.samples), audio.sample_rate, restored.sample_rate, restored.length)


def _faults_at(resolved: Resolved, result: Repair, audio: Audio) -> list[Any]:
    """Faults at the result's rate: a higher rate lacks its upper band."""
    from audiofix.damages import LostBand

    if result.audio.sample_rate == audio.sample_rate:
        return list(resolved.faults)
    return [LostBand(audio.sample_rate / 2)]
