"""The library's front door: a mixture in, its sources out. The command line only formats what this returns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from audiofix.audio.loudness import working_level
from audiofix.audio.resample import band_split, resample
from audiofix.checks import check_input
from audiofix.drawing import Place, draw_all
from audiofix.errors import SettingError
from audiofix.loading import prepare
from audiofix.numerics.metrics import si_sdr
from audiofix.numerics.schedule import Schedule
from audiofix.operators.mixture import Mixture
from audiofix.progress import Progress
from audiofix.reporting import describe, energy_ratio_db, judge, settings_of
from audiofix.runtime.stores import Memory
from audiofix.setup import Setup
from audiofix.types import Audio


@dataclass(frozen=True)
class Separation:
    """Sources of a mixture, in the mixture's rate, channels and length, and how they were made.

    stems + residual add up to the mixture to float32 rounding. With several draws a stem is their mean, the
    estimate of least squared error, and `draws` holds each. With balanced and best the separator's estimate is
    blended in, and the report says with which share.
    """

    stems: dict[str, Audio]
    residual: Audio
    draws: list[dict[str, Audio]]
    report: dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """What a separation would take, before it is started."""

    seconds: float
    channels: int
    network_calls: int
    estimated_seconds: float
    estimated_bytes: int
    schedule: Schedule | None
    models: list[dict[str, Any]]


def plan(
    audio: Audio,
    sources: Sequence[str] = ("speech", "piano"),
    *,
    prior: str | None = None,
    levels: int | None = None,
    steps: int | None = None,
    step_scale: float | None = None,
    draws: int | None = None,
    seed: int = 0,
    device: str = "auto",
    sampler: str | None = None,
    quality: str | None = None,
    references: Mapping[str, Audio] | None = None,
    init: Mapping[str, Audio] | None = None,
    condition: bool = True,
    precision: str = "auto",
) -> Plan:
    """Check everything that `separate` would check and estimate its cost from one short network call."""
    check_input(audio, sources, draws, seed, references, init)
    audio = replace(audio, samples=audio.samples.float())
    begun = init is not None
    setup = prepare(
        sources, prior, levels, steps, step_scale, device, sampler, quality, begun, condition, precision
    )
    draws = number_of_draws(draws, setup)
    low = resample(audio.samples, audio.sample_rate, setup.sample_rate)
    working_level(low, setup.sample_rate)
    seconds, size = setup.cost(len(sources), low.shape[0], low.shape[1])
    held = 4 * audio.samples.numel() * (len(sources) * (draws + 3) + 2)
    return Plan(
        seconds=audio.seconds,
        channels=audio.channels,
        network_calls=setup.network_calls(draws),
        estimated_seconds=seconds * draws,
        estimated_bytes=size + held,
        schedule=setup.schedule,
        models=setup.described(),
    )


def separate(
    audio: Audio,
    sources: Sequence[str] = ("speech", "piano"),
    *,
    prior: str | None = None,
    levels: int | None = None,
    steps: int | None = None,
    step_scale: float | None = None,
    draws: int | None = None,
    seed: int = 0,
    device: str = "auto",
    sampler: str | None = None,
    quality: str | None = None,
    references: Mapping[str, Audio] | None = None,
    init: Mapping[str, Audio] | None = None,
    condition: bool = True,
    precision: str = "auto",
    progress: Callable[[Progress], None] | None = None,
    place: Place | None = None,
) -> Separation:
    """Separate a mixture into sources by sampling from their posterior (PnF, Jayaram & Thickstun 2021).

    Parameters
    ----------
    audio
        Mono or stereo, any rate, at least 0.05 s; channels are sampled independently of each other.
    sources
        What the mixture holds; each is the source of a model, `speech-2` is a second one like `speech`.
    prior
        Names of models, one for each source, separated by commas; or a family; the default, auto, is what the
        quality wants.
    quality
        fast (one call of a separator), balanced (a short chain from there), best (priors' chain from there, mean
        of draws) or pnf (Langevin dynamics on priors alone, as published). `QUALITIES` in `separation.py`.
    levels, steps, step_scale
        Noise levels, Langevin steps on each, and step size over sigma^2; defaults: SAMPLERS in `separation.py`.
    draws
        Posterior draws, >= 1; the default is the quality's. The stems are their mean.
    seed
        >= 0. The same seed, input and settings give the same result on the same machine.
    device
        auto, cpu, cuda, cuda:N or mps.
    sampler
        `consistent` (its noise always fits its level; few steps, draws that spread too little) or `langevin` (as
        published). The default is langevin where `steps` is above 1, else consistent.
    init
        Stems of all sources that something else made, of the mixture's shape and rate: the chain starts there
        instead of at a separator's estimate, and the default quality is best.
    condition
        Let those priors see the mixture that can; False keeps them blind to it.
    precision
        Of the networks: auto (bf16 where the hardware has it), fp32 or bf16.
    references
        Clean sources of the mixture's shape and rate, for SI-SDR in the report.
    progress
        Called after every step.
    place
        Other processes that work on the same file, and where states lie. Where there are several the first one has
        the result, the others an empty one.

    Raises
    ------
    InputError, SettingError, ModelError, DeviceError, DivergenceError
        Each says what was given, what is possible and what to do.
    """
    references = references or {}
    check_input(audio, sources, draws, seed, references, init)
    audio = replace(audio, samples=audio.samples.float())
    begun = init is not None
    setup = prepare(
        sources, prior, levels, steps, step_scale, device, sampler, quality, begun, condition, precision
    )
    draws = number_of_draws(draws, setup)
    began = time.monotonic()
    low, _ = band_split(audio, setup.sample_rate)
    target = setup.source_rms * len(sources) ** 0.5
    gain = working_level(low.samples, setup.sample_rate, target)
    mixture = low.samples * gain
    begin = Memory(_begun(init, sources, mixture, gain, setup)) if init is not None else None
    drawn = draw_all(
        setup,
        Memory(mixture[:, None]),
        len(sources),
        draws=draws,
        seed=seed,
        init=begin,
        place=place,
        progress=progress,
    )
    blend = setup.choice.blend if drawn.estimate is not None and not begun else 0.0
    found = [drawn.collect(store) for store in (drawn.mean(blend), *(drawn.draws if draws > 1 else []))]
    if not drawn.ground.ranks.first:
        return Separation({}, audio, [], {})
    combined, *each = [store.read(0, drawn.ground.length) / gain for store in found]
    mean = _stems(combined, sources, audio, setup)
    residual = replace(audio, samples=audio.samples - sum(stem.samples for stem in mean.values()))
    elapsed = time.monotonic() - began
    settings = settings_of(
        setup,
        sources=list(sources),
        prior=prior,
        draws=draws,
        seed=seed,
        device=device,
        blend=blend,
        init=begun,
    )
    report = describe(setup, audio, settings=settings, seconds=elapsed, gain=gain)
    report["likeness"], remarks = judge(setup, sources, combined * gain)
    report["notes"] += remarks
    report["resumed"] = None if drawn.resumed is None else [drawn.resumed.draw, drawn.resumed.done]
    report["si_sdr"] = _scores(mean, audio, references)
    report["residual_db"] = energy_ratio_db(residual.samples, audio.samples)
    everything = residual.samples + sum(stem.samples for stem in mean.values())
    report["reconstruction_error_db"] = energy_ratio_db(everything - audio.samples, audio.samples)
    return Separation(mean, residual, [_stems(draw, sources, audio, setup) for draw in each], report)


def number_of_draws(wanted: int | None, setup: Setup) -> int:
    """As wanted, else the quality's. Raises SettingError for several where there is nothing to draw."""
    draws = wanted or setup.choice.draws
    if draws > 1 and setup.schedule is None:
        raise SettingError(f"quality {setup.quality} draws nothing, so {draws} draws are the same; take best")
    return draws


def _begun(
    init: Mapping[str, Audio], sources: Sequence[str], mixture: Tensor, gain: float, setup: Setup
) -> Tensor:
    """Somebody's stems at the models' rate and level, (channel, source, time), made to add up to the mixture."""
    low = [band_split(init[source], setup.sample_rate)[0].samples.float() * gain for source in sources]
    return Mixture().project(torch.stack(low, dim=1), mixture[:, None])


def _stems(drawn: Tensor, sources: Sequence[str], audio: Audio, setup: Setup) -> dict[str, Audio]:
    """(channel, source, time) at the priors' rate to stems like the input."""
    return {
        source: replace(
            audio, samples=resample(drawn[:, i], setup.sample_rate, audio.sample_rate, audio.length)
        )
        for i, source in enumerate(sources)
    }


def _scores(
    stems: Mapping[str, Audio], audio: Audio, references: Mapping[str, Audio]
) -> dict[str, dict[str, float]]:
    """SI-SDR of each source that has a reference: of the mixture, of the stem; mean over channels."""
    return {
        source: {
            "before": float(si_sdr(audio.samples, clean.samples).mean()),
            "after": float(si_sdr(stems[source].samples, clean.samples).mean()),
        }
        for source, clean in references.items()
    }
