"""What a run says about itself: enough to repeat it, and to trust it."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor

from audiofix.choosing import choose_critic, kinds_of
from audiofix.hub.registry import load_prior
from audiofix.likeness import BLOCK, LEAST, likeness
from audiofix.separation import QUALITIES, WITHOUT_SEPARATOR
from audiofix.setup import Setup
from audiofix.types import Audio

SILENT = 1e-3  # RMS of a stem that is not judged, -40 dB re the level that priors are trained at


def energy_ratio_db(part: Tensor, whole: Tensor) -> float:
    """Energy of one signal over another's, dB; -400 where the first is exactly silent."""
    ratio = float(part.double().square().sum() / whole.double().square().sum())
    return -400.0 if ratio == 0 else float(10 * torch.log10(torch.tensor(ratio)))


def describe(
    setup: Setup, audio: Audio, *, settings: dict[str, Any], seconds: float, gain: float
) -> dict[str, Any]:
    """A JSON-ready report: version, settings, models with their hashes, schedule, input, cost, remarks."""
    return {
        "audiofix": _version(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "task": "separate",
        "settings": settings,
        "schedule": {
            "sigmas": list(setup.schedule.sigmas) if setup.schedule else [],
            "network_calls": setup.network_calls(settings["draws"]),
            "network_bf16": setup.bf16,
        },
        "models": setup.described(),
        "device": str(setup.executor.device),
        "input": {
            "seconds": audio.seconds,
            "sample_rate": audio.sample_rate,
            "channels": audio.channels,
            "samples": audio.length,
            "subtype": audio.subtype,
            "container": audio.container,
        },
        "working_gain_db": float(20 * torch.log10(torch.tensor(gain))),
        "seconds": seconds,
        "seconds_per_audio_second": seconds / audio.seconds,
        "notes": _notes(setup, audio, settings["sources"]),
    }


def settings_of(setup: Setup, **given: Any) -> dict[str, Any]:
    """What was asked for, and what the setup made of it."""
    schedule = setup.schedule
    return {
        **given,
        "quality": setup.quality,
        "views": [str(speed) for speed in setup.choice.views],
        "condition": setup.shown is not None,
        "sampler": setup.sampler if schedule else None,
        "levels": len(schedule.sigmas) if schedule else None,
        "steps": schedule.steps if schedule else None,
        "step_scale": schedule.step_scale if schedule else None,
    }


def judge(
    setup: Setup, sources: Sequence[str], stems: Tensor, which: Sequence[int] | None = None
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """Whether stems (channel, source, time), at the priors' rate and level, are like what the priors know.

    Returns for each stem that could be judged its likeness and the least of the prior's held-out material, bits
    a sample, and a remark for each that is below. The judges are priors that know a density and whose card has the
    figure; stems that are too short or silent are not judged, nor is anything where no chain was run: a judge
    costs more than a separator. `which`: the stems to judge, by number; None: all.
    """
    found: dict[str, dict[str, float]] = {}
    remarks: list[str] = []
    for index, (source, kind) in enumerate(zip(sources, kinds_of(sources), strict=True)):
        if which is not None and index not in which:
            continue
        critic, stem = choose_critic(kind, LEAST), stems[:, index].mean(dim=0)
        loud = stem.shape[-1] >= BLOCK and float(stem.square().mean()) ** 0.5 >= SILENT
        if setup.schedule is None or critic is None or not loud or critic[0].sample_rate != setup.sample_rate:
            continue
        card, home = critic
        prior = load_prior(home, setup.executor.device, bf16=setup.bf16)
        least = float(card.validation[LEAST])
        bits = likeness(prior, stem.to(setup.executor.device), torch.Generator().manual_seed(0))
        found[source] = {"bits": round(bits, 3), "least": least}
        if bits < least:
            remarks.append(
                f"what was found as {source} is unlike what {card.name} was trained on ({bits:.2f} bits a sample "
                f"over linear prediction; held-out {card.source} has {least:.2f} or more): mistrust it, or name "
                "other --sources"
            )
    return found, remarks


def _version() -> str:
    try:
        return version("audiofix")
    except PackageNotFoundError:  # a checkout that is on the path but not installed
        return "0+unknown"


def _notes(setup: Setup, audio: Audio, sources: list[str]) -> list[str]:
    notes = []
    if audio.sample_rate > setup.sample_rate:
        notes.append(
            f"the priors know sound up to {setup.sample_rate // 2} Hz: what lies above is not in the stems but "
            "in the residual"
        )
    for source, card in zip(sources, setup.prior_cards, strict=False):
        if card.source != source.partition("-")[0]:
            notes.append(f"{source} was drawn with {card.name}, a prior of {card.source}")
    if setup.choice is WITHOUT_SEPARATOR and QUALITIES[setup.quality].estimate:
        notes.append(f"no separator for {', '.join(sources)} was used: the chain began at the mixture")
    if setup.schedule is None or setup.wanted is None:
        return notes
    (high, low), sigmas = setup.wanted, setup.schedule.sigmas
    if high > sigmas[0] or (len(sigmas) > 1 and low < sigmas[-1]):
        notes.append(
            f"the ladder is cut to what the priors know: sigma {sigmas[0]:g} to {sigmas[-1]:g} instead of "
            f"{high:g} to {low:g}"
        )
    return notes
