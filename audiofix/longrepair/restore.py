"""Restore a recording that need not fit into memory: from a file, by way of the disk, in sections."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiofix.audio.streaming import blocks, outline, resampled
from audiofix.compare import faults_at, methods_for
from audiofix.damages import Fault, LostSamples, within
from audiofix.drawing import Place
from audiofix.effect import Changes, exact
from audiofix.errors import SettingError
from audiofix.longrepair import guesses
from audiofix.longrepair.baseline import baseline
from audiofix.longrepair.lengths import STRETCH, Part, filled
from audiofix.longrepair.memory import section_for, shortened
from audiofix.longrepair.work import LongWork
from audiofix.preparing import checked_outline, refuse_lost, refuse_useless
from audiofix.progress import Progress
from audiofix.repair import CONTEXT_SECONDS, Work, pieces_around
from audiofix.repairreport import report_of
from audiofix.runtime.checkpoint import Reached
from audiofix.runtime.ranks import Ranks, pieces
from audiofix.runtime.stores import Store, on_disk
from audiofix.settings import Settings
from audiofix.tools import Tools, ladder_for, prepare_tools, share_beside_sparse
from audiofix.types import Audio

JUDGED = 7.0  # s from the middle that are held against what the prior knows; 5 of them are
Span = tuple[int, int]
WHOLE = 60.0  # s: what lies around gaps is worked on in memory up to this length


@dataclass(frozen=True)
class LongRepair:
    """A recording restored, on disk: (channel, 1, time) each. `audio` has its format and length, no samples.

    `result` is None in a process that is not the first of several. `draws`: as in `repair.Repair`. before: the
    recording at the result's rate; baseline: what the classical method gives, where that was wanted.
    """

    audio: Audio
    result: Store | None
    draws: list[Store]
    report: dict[str, Any]
    before: Store | None = None
    baseline: Store | None = None


def restore_file(
    path: Path,
    faults: Sequence[Fault],
    scratch: Path,
    *,
    settings: Settings,
    memory: float | None = None,
    place: Place | None = None,
    progress: Callable[[Progress], None] | None = None,
    compare: bool = False,
) -> LongRepair:
    """As `repair.restore`, in memory that does not grow with the recording.

    The samples are the same bit for bit where the recording has the models' rate and no band is missing, nor the
    noise coloured, and around gaps at any rate. Else filters of `operators.local` stand for those of the whole
    file, and results differ by what lies within SLOPE of the edge of a band.

    scratch: an empty folder for what is worked on; memory: bytes that the process may take, None for sections of a
    minute; compare: whether the classical method is wanted too, whose time is not counted. All else as
    `repair.restore`, and raises what that raises; SettingError also where the memory does not suffice or the prior
    cannot be cut.
    """
    began = time.monotonic()
    came = outline(path)
    named = faults
    audio, faults = checked_outline(came, faults, settings)
    rate, make = audio.sample_rate, on_disk(scratch)
    y = _loaded(path, came, audio, faults, make((audio.channels, 1), 0, audio.length))
    tools = prepare_tools(guesses.excerpt(y, rate, faults), rate, faults, settings)
    refuse_useless(faults, tools)
    refuse_uncut(tools)
    tools = shortened(memory, tools, audio)
    if tools.typical:
        note = "what draws have in common is told of recordings in memory only: this is one draw"
        tools = replace(tools, typical=False, draws=settings.draws or 1, notes=[*tools.notes, note])
    section = section_for(memory, tools, audio)
    place = replace(place or Place(), section=section, make=make)
    sparse = _sparse(y, rate, faults, place) if tools.sparse else None
    base: Store | None = None
    remarks: list[str] = []
    beside = faults_at(named, came.sample_rate, rate)
    if compare:  # now: what it refuses is not found out after hours
        paused = time.monotonic()
        base, remarks = baseline(y, rate, beside, make, place.ranks, sparse)
        began += time.monotonic() - paused
    begun = sparse is not None and faults[0].kind == "clip"
    guessed = sparse if begun else None
    finite = guessed or guesses.first_guess(y, rate, faults, make, place.ranks)
    gain = guesses.gain_of(finite, rate, tools.sample_rate)
    work = Work(rate, tools, ladder_for(faults, gain, tools), gain, settings, progress)
    long = LongWork(work, _saving_in("chain", place), _key(work, faults, y))
    if all(isinstance(fault, LostSamples) for fault in faults):
        drawn = _in_pieces(y, finite, faults, long)
    else:
        drawn = long.draws(y, finite, faults)
    if not place.ranks.first:
        return LongRepair(audio, None, [], {})
    changes, share = Changes(), share_beside_sparse(faults[0], gain)

    def together(start: int, stop: int) -> Tensor:
        each = [one.read(start, stop)[:, 0] for one in drawn]
        averaged = tools.mean and not tools.leads and len(each) > 1
        result = torch.stack(each).mean(dim=0) if averaged else each[0]
        if sparse is not None:
            result = torch.lerp(sparse.read(start, stop)[:, 0], result, share)
        here, seen = [within(fault, start, stop) for fault in faults], y.read(start, stop)[:, 0]
        result = exact(result, seen, rate, here)
        changes.add(result, seen, finite.read(start, stop)[:, 0], here)
        return result[:, None]

    result = filled(make, (audio.channels, 1), audio.length, together)
    seconds = time.monotonic() - began
    size = min(audio.length, round(JUDGED * rate))
    middle = result.read((audio.length - size) // 2, (audio.length - size) // 2 + size)[:, 0]
    judged = tools.judge(middle * gain, rate)
    report = report_of(audio, faults, work, changes.figures(), judged, seconds)
    report["section_seconds"] = section / tools.sample_rate
    report["notes"] += remarks
    if base is not None:
        report["baseline"] = {"method": methods_for(beside), "scores": None}
    drawn = drawn[1:] if tools.leads else drawn
    return LongRepair(audio, result, drawn if len(drawn) > 1 else [], report, y, base)


def _loaded(path: Path, came: Audio, audio: Audio, faults: Sequence[Fault], y: Store) -> Store:
    """Read a file at the result's rate; zeros in place of what is no number. Raises InputError outside of gaps."""
    at = 0
    if came.sample_rate != audio.sample_rate:
        waves = resampled(blocks(path), came.length, came.sample_rate, audio.sample_rate, audio.length)
    else:
        waves = blocks(path, finite=False)
    for wave in waves:
        refuse_lost(wave, [within(fault, at, at + wave.shape[1]) for fault in faults])
        y.write(at, torch.where(wave.isfinite(), wave, 0.0)[:, None])
        at += wave.shape[1]
    return y


def _saving_in(name: str, place: Place) -> Place:
    """The place, with what is saved in a folder of its own."""
    return replace(place, checkpoints=place.checkpoints / name) if place.checkpoints else place


def _sparse(y: Store, rate: int, faults: Sequence[Fault], place: Place) -> Store | None:
    """`guesses.sparse`, which is half of the work on clipping and rounding: kept for a run that resumes."""
    trail = _saving_in("guess", place).trail(f"{_hash_of(y)} {rate} {faults!r}")
    if trail is not None and trail.holds("sparse"):
        found: Store = place.make((len(y.read(0, 0)), 1), 0, y.stop)
        trail.fill("sparse", found)
        return found
    sparse = guesses.sparse(y, rate, faults, place.make, place.ranks)
    if trail is not None and sparse is not None and place.ranks.first:
        replace(trail, ranks=Ranks()).save(Reached(0, 0), {"sparse": sparse})  # all have it, one saves it
    return sparse


def refuse_uncut(tools: Tools) -> None:
    """Raise SettingError where the prior looks at the whole file."""
    if tools.prior.halo is None:
        raise SettingError(
            f"{tools.cards[0].name} looks at the whole file, so that it cannot be cut; leave out --memory, or "
            "give another --prior"
        )


def _in_pieces(y: Store, finite: Store, gaps: Sequence[Fault], long: LongWork) -> list[Store]:
    """As `repair`: work on what lies around gaps only; all else is y. Long pieces go by way of the disk.

    Several processes share each long piece, and of the short ones each takes every so many-th.
    """
    work, make, channels = long.work, long.place.make, len(y.read(0, 0))
    context = round(CONTEXT_SECONDS * work.rate)
    results = [filled(make, (channels, 1), y.stop, y.read) for _ in range(work.tools.draws)]
    near: list[Span] = []
    inside: list[list[Span]] = []
    for number, piece in enumerate(pieces_around([g for g in gaps if isinstance(g, LostSamples)], context)):
        first, last = max(0, piece[0][0] - context), min(y.stop, piece[-1][1] + context)
        if last - first <= WHOLE * work.rate:
            near.append((first, last))
            inside.append(piece)
            continue
        own = _saving_in(str(number), long.place)
        there = Part(y, first, last - first), Part(finite, first, last - first)
        far = replace(long, place=own).draws(*there, [_within(piece, first)])
        for result, one in zip(results, far if long.place.ranks.first else [], strict=False):
            for start, stop in piece:
                result.write(start, one.read(start - first, stop - first))
    for index in range(long.place.ranks.rank, len(near), long.place.ranks.size):
        first, last = near[index]
        lost = [_within(inside[index], first)]
        found = work.draws(y.read(first, last)[:, 0], finite.read(first, last)[:, 0], lost)
        for result, samples in zip(results, found, strict=True):
            for start, stop in inside[index]:
                result.write(start, samples[:, None, start - first : stop - first])
    for result in results:
        long.place.ranks.gather(inside, result)
    return results


def _within(spans: Sequence[Span], first: int) -> LostSamples:
    return LostSamples(tuple((start - first, stop - first) for start, stop in spans))


def _key(work: Work, faults: Sequence[Fault], y: Store) -> str:
    """Names a run by all that its numbers follow from."""
    listed = [
        (fault.kind, getattr(fault, "profile", torch.zeros(0)).tolist(), repr(fault)) for fault in faults
    ]
    tools = work.tools
    facts = [
        tools.described(), tools.sampler, tools.draws, tools.mean, tools.bf16, listed, work.schedule,
        work.gain, work.settings.seed,
    ]  # fmt: skip
    return hashlib.sha256(f"{facts!r} {_hash_of(y)}".encode()).hexdigest()


def _hash_of(y: Store) -> str:
    found = hashlib.sha256()
    for start, stop in pieces(0, y.stop, STRETCH):
        found.update(y.read(start, stop).contiguous().numpy().tobytes())
    return found.hexdigest()
