"""What the restoring commands share: read, resolve, restore, write beside a report, show what was done."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiofix.cli import longrepair, many, output, restored, show, targets
from audiofix.cli.restored import Outcome
from audiofix.cli.scaling import Scale
from audiofix.cli.several import for_each
from audiofix.cli.together import refuse_sharing, together
from audiofix.errors import SettingError
from audiofix.faultlist import Wanted
from audiofix.settings import Settings

if TYPE_CHECKING:
    from audiofix.faults.look import Look
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
    wish: many.Many | None = None
    stage: many.Stage | None = None
    scale: Scale = dataclasses.field(default_factory=Scale)

    @property
    def speaks(self) -> bool:
        """Whether this process prints. One of many files is told elsewhere, a shared one by the first process."""
        return self.stage is None and (self.scale.ranks is None or self.scale.ranks.first)

    @property
    def beside(self) -> list[str]:
        """Ends of the names of what is written beside the result."""
        base = [f".baseline{suffix}" for suffix in sorted(targets.SUFFIXES)] if self.compare else []
        return [*([".png"] if self.plot else []), *base]


def run(paths: Sequence[Path], job: Job) -> None:
    """Restore files and folders of files. Raises the error of the only file, or one that names all that failed."""
    if job.wish and job.wish.wanted(paths):
        from audiofix.cli.works import Restoring

        refuse_sharing(job)
        many.run(paths, Restoring(job), job.wish)
        return
    files = targets.audio_files(paths)
    places = targets.destinations(files, job.destination)
    if job.reference and len(files) > 1:
        raise SettingError(f"--reference is for one file and {len(files)} are given; give one at a time")
    given = [*files, *(file for file in (job.reference, job.gaps_file, job.noise_profile) if file)]
    with together(job) as own:
        for_each(files, lambda path: restore_one(path, places[path], given, own), job.dry_run)


def restore_one(path: Path, place: Path, given: Sequence[Path], job: Job) -> dict[str, Any] | None:
    """Restore one file, write, and say what was done, with a stage nothing; the report where it was done."""
    from audiofix.audio.files import read_audio
    from audiofix.preparing import refuse_short
    from audiofix.runtime.memory import keep_freed_memory

    if not job.dry_run and longrepair.wanted(path, job):
        return longrepair.restore_long(path, place, given, job)
    audio = read_audio(path, finite=False)
    refuse_short(audio)  # before anything else is found to be wrong with it
    resolved = resolved_for(audio, path, job)
    if resolved is None:
        return None
    targets.check_before(place, given, audio, job.overwrite, job.beside, job.stage is None)
    clean = _reference(audio, job)
    keep_freed_memory()
    if job.dry_run:
        _tell_cost(audio, path, place, resolved, job)
        return None
    from audiofix.repair import restore

    with show.progress_bar(path.name) if job.stage is None else contextlib.nullcontext() as progress:
        result = restore(audio, resolved.faults, **job.settings, progress=progress)
    outcome = _outcome(audio, result, resolved, clean, job)
    return restored.told(restored.save(path, audio, outcome, resolved, place, given, job), job)


def resolved_for(audio: Audio, path: Path, job: Job, look: Look | None = None) -> Resolved | None:
    """Faults with numbers; None where the user did not want to go on, or there is nothing to do.

    look: finds what is auto where the samples of `audio` are not in memory.
    """
    from audiofix.resolve import examine, resolve

    if job.wanted is None:
        wanted, resolved = examine(audio, look)
        listed = " | ".join(one.kind for one in wanted)
        if job.speaks and not job.as_json:
            for line in resolved.evidence:
                show.say(f"{path.name}: {line}")
        if not wanted:
            _leave(
                path, job, resolved, "no fault was found; name one with --ops, such as --ops 'lowpass:4000'"
            )
            return None
        if (
            job.confirm is not None
            and not job.dry_run
            and not job.confirm(f"{path.name}: restore as {listed}?")
        ):
            _leave(path, job, resolved, "left as it is")
            return None
        return resolved
    resolved = resolve(job.wanted, audio, _spans(audio, job), _profile(audio, job), look)
    if job.speaks and not job.as_json:
        for line in resolved.evidence:
            show.say(f"{path.name}: {line}")
    if not resolved.faults and job.settings.get("to_rate") is None:
        _leave(path, job, resolved, "nothing to restore was found")
        return None
    return resolved


def _leave(path: Path, job: Job, resolved: Resolved, why: str) -> None:
    """Say that nothing was written, and why: a line of text or of JSON."""
    if not job.speaks:
        return
    if not job.as_json:
        show.say(f"{path.name}: {why}")
        return
    found: dict[str, Any] = {"task": job.task, "input": {"path": path}, "faults": [], "output": None}
    show.say(output.dump_json({**found, "evidence": resolved.evidence, "notes": [why]}))


def _spans(audio: Audio, job: Job) -> list[tuple[int, int]]:
    from audiofix.faults.gaps import read_gaps

    return read_gaps(job.gaps_file, audio.sample_rate) if job.gaps_file else []


def _profile(audio: Audio, job: Job) -> Any:
    """Of the recording of noise alone, at the rate of `audio`."""
    if job.noise_profile is None:
        return None
    from torch.nn.functional import interpolate

    from audiofix.audio.files import read_audio
    from audiofix.damages import at_other_rate
    from audiofix.faults.noise import profile_of

    noise = read_audio(job.noise_profile)
    profile = profile_of(noise.samples)
    moved = at_other_rate(profile, noise.sample_rate, audio.sample_rate)
    return interpolate(moved[None, None], len(profile), mode="linear", align_corners=True)[0, 0]


def _tell_cost(audio: Audio, path: Path, place: Path, resolved: Resolved, job: Job) -> None:
    from audiofix.costing import cost

    found = cost(audio, resolved.faults, Settings(**job.settings))
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
        gaps = [[start / audio.sample_rate, stop / audio.sample_rate] for start, stop in resolved.spans]
        measured = {"evidence": resolved.evidence, "gaps": gaps}
        show.say(output.dump_json({"path": path, **dataclasses.asdict(found), **measured}))
    else:
        show.facts(facts)


def _reference(audio: Audio, job: Job) -> Audio | None:
    """The clean recording, which fits what will come of `audio`."""
    if job.reference is None:
        return None
    from audiofix.audio.files import read_audio
    from audiofix.scoring import check_reference

    clean, rate = read_audio(job.reference), job.settings.get("to_rate") or audio.sample_rate
    check_reference(clean, rate, audio.channels, -(-audio.length * rate // audio.sample_rate))
    return clean


def _scores(audio: Audio, after: Audio, clean: Audio | None) -> dict[str, Any] | None:
    if clean is None:
        return None
    from audiofix.scoring import against_reference

    return against_reference(audio, after, clean)


def _outcome(audio: Audio, result: Repair, resolved: Resolved, clean: Audio | None, job: Job) -> Outcome:
    """What is to be written of a recording that was restored in memory."""
    from audiofix.runtime.stores import Memory

    after = result.audio
    report, base = result.report, None
    if job.compare:
        from audiofix.compare import classical, faults_at, methods_for

        faults = faults_at(resolved.faults, audio.sample_rate, after.sample_rate)
        base = dataclasses.replace(after, samples=classical(_at(audio, after), after.sample_rate, faults))
        scores = _scores(audio, base, clean)
        report = {**report, "baseline": {"method": methods_for(faults), "scores": scores}}

    def picture(file: Path) -> None:
        from audiofix.cli.picture import save_restoration

        before = Memory(_at(audio, after)[:, None])
        save_restoration(file, before, Memory(after.samples[:, None]), after.sample_rate)

    return Outcome(
        after,
        Memory(after.samples[:, None]),
        [Memory(draw.samples[:, None]) for draw in result.draws],
        report,
        _scores(audio, after, clean),
        None if base is None else Memory(base.samples[:, None]),
        picture if job.plot else None,
    )


def _at(audio: Audio, after: Audio) -> Any:
    """The recording at the result's rate, finite."""
    import torch

    from audiofix.audio.resample import resample

    finite = torch.nan_to_num(audio.samples, posinf=0.0, neginf=0.0)
    return resample(finite, audio.sample_rate, after.sample_rate, after.length)
