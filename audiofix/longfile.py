"""Separate a recording that need not fit into memory: from a file, by way of the disk, in sections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from audiofix.api import number_of_draws
from audiofix.audio.loudness import Level
from audiofix.audio.streaming import BLOCK, blocks, outline, resampled
from audiofix.checks import check_input
from audiofix.drawing import Place, draw_all
from audiofix.errors import SettingError
from audiofix.loading import prepare
from audiofix.progress import Progress
from audiofix.reporting import describe, judge, settings_of
from audiofix.runtime.ranks import UNIT, Ranks, pieces
from audiofix.runtime.stores import Store, in_memory, on_disk
from audiofix.setup import SHORTER, Setup
from audiofix.types import Audio

JUDGED = 60  # s from the middle of a stem that are held against what its prior knows
HELD = 14  # tensors like a section's state that a step holds at its peak: measured
LOADED = 700e6  # bytes of libraries and models


@dataclass(frozen=True)
class LongSeparation:
    """Sources of a recording at its own rate, on disk: (channel, source, time). `audio` has no samples."""

    audio: Audio
    sources: tuple[str, ...]
    stems: Store | None  # None in a process that is not the first of several
    report: dict[str, Any]


def separate_file(
    path: Path,
    sources: Sequence[str],
    scratch: Path,
    *,
    memory: float | None = None,
    place: Place | None = None,
    progress: Callable[[Progress], None] | None = None,
    prior: str | None = None,
    levels: int | None = None,
    steps: int | None = None,
    step_scale: float | None = None,
    draws: int | None = None,
    seed: int = 0,
    device: str = "auto",
    sampler: str | None = None,
    quality: str | None = None,
    condition: bool = True,
    precision: str = "auto",
) -> LongSeparation:
    """As `api.separate`, the same samples, in memory that does not grow with the recording.

    scratch: an empty folder for what is worked on, about 30 bytes a sample and source at the models' rate and 4 at
    the file's; memory: bytes that the process may take, None for sections of one minute. Settings are those of
    `api.separate`. Raises what that raises, SettingError also where the memory does not suffice.
    """
    began = time.monotonic()
    audio = outline(path)
    check_input(replace(audio, samples=audio.samples[:, : audio.sample_rate]), sources, draws, seed, None)
    setup = prepare(
        sources, prior, levels, steps, step_scale, device, sampler, quality, False, condition, precision
    )
    draws = number_of_draws(draws, setup)
    make = on_disk(scratch)
    length = -(-audio.length * setup.sample_rate // audio.sample_rate)
    mixture = make((audio.channels, 1), 0, length)
    target = setup.source_rms * len(sources) ** 0.5
    gain = load(path, audio, setup.sample_rate, target, mixture)
    setup, section = fitted(memory, setup, audio.channels, len(sources))
    place = replace(place or Place(), section=section, make=make)
    drawn = draw_all(setup, mixture, len(sources), draws=draws, seed=seed, place=place, progress=progress)
    blend = setup.choice.blend if drawn.estimate is not None else 0.0
    low = drawn.collect(drawn.mean(blend))
    settings = settings_of(
        setup,
        sources=list(sources),
        prior=prior,
        draws=draws,
        seed=seed,
        device=device,
        blend=blend,
        init=False,
    )
    likeness, remarks = judge_together(setup, sources, low, length, drawn.ground.ranks)
    if not drawn.ground.ranks.first:
        return LongSeparation(audio, tuple(sources), None, {})
    report = describe(setup, audio, settings=settings, seconds=0.0, gain=gain)
    report["likeness"] = likeness
    report["notes"] += remarks
    report["section_seconds"] = section / setup.sample_rate
    report["resumed"] = None if drawn.resumed is None else [drawn.resumed.draw, drawn.resumed.done]
    stems = make((audio.channels, len(sources)), 0, audio.length)
    raise_to_rate(low, stems, setup.sample_rate, audio, gain)
    report["seconds"] = time.monotonic() - began
    report["seconds_per_audio_second"] = report["seconds"] / audio.seconds
    return LongSeparation(audio, tuple(sources), stems, report)


def judge_together(
    setup: Setup, sources: Sequence[str], low: Store, length: int, ranks: Ranks
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """As `judge` of the middle JUDGED s of what the first process holds; each has every `size`-th source."""
    judged = min(length, JUDGED * setup.sample_rate)
    first, lead = (length - judged) // 2, low.read(0, 0).shape[:2]
    heard = in_memory((lead[0], lead[1]), 0, judged)
    if ranks.first:
        heard.write(0, low.read(first, first + judged))
    ranks.gather([[(0, judged)]], heard)
    mine = range(ranks.rank, len(sources), ranks.size)
    verdicts: dict[int, tuple[dict[str, dict[str, float]], list[str]]] = {}
    for told in ranks.told({index: judge(setup, sources, heard.read(0, judged), [index]) for index in mine}):
        verdicts |= told
    found: dict[str, dict[str, float]] = {}
    for index in range(len(sources)):
        found |= verdicts[index][0]
    return found, [remark for index in range(len(sources)) for remark in verdicts[index][1]]


def load(path: Path, audio: Audio, rate: int, target: float, mixture: Store) -> float:
    """Read a file into `mixture` at the models' rate and level; returns the gain. Raises InputError."""
    level, at = Level(rate), 0
    for wave in resampled(blocks(path), audio.length, audio.sample_rate, rate, mixture.stop):
        mixture.write(at, wave[:, None])
        at += wave.shape[1]
        level.hear(wave)
    gain = level.gain(target)
    for start, stop in pieces(0, mixture.stop):
        mixture.write(start, mixture.read(start, stop) * gain)
    return gain


def raise_to_rate(low: Store, stems: Store, rate: int, audio: Audio, gain: float) -> None:
    """Bring drawn sources (channel, source, time) to the file's rate and level."""

    def waves() -> Iterator[Tensor]:
        for start, stop in pieces(0, low.stop, BLOCK):
            yield (low.read(start, stop) / gain).flatten(0, 1)

    at, lead = 0, low.read(0, 0).shape[:2]
    for wave in resampled(waves(), low.stop, rate, audio.sample_rate, audio.length):
        stems.write(at, wave.unflatten(0, lead))
        at += wave.shape[1]


def fitted(memory: float | None, setup: Setup, channels: int, sources: int) -> tuple[Setup, int]:
    """The setup and the samples of a section, so that a run takes `memory` bytes at most.

    Chunks are as long as pays, shorter where memory is short and bits do not depend on them. Raises SettingError
    where nothing fits.
    """
    if memory is None:
        return setup, 20 * UNIT
    each, peak = 4 * channels * sources * HELD, 0
    for halos in SHORTER if setup.unit == setup.grid else (setup.executor.halos,):
        shorter = setup.in_chunks(halos)
        _, peak = shorter.cost(sources, channels, 3600 * setup.sample_rate)
        units = int((memory - LOADED - peak) / (each * UNIT))
        if units >= 1:
            return shorter, units * UNIT
    least = (LOADED + peak + each * UNIT) / 1e9
    raise SettingError(
        f"--memory {memory / 1e9:.3g}GB does not suffice for these models; give {least + 0.05:.1f}GB or more"
    )
