"""Which prior a recording is restored with: the one that was named, else the one that denoises it best."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor

from audiofix.audio.loudness import working_level
from audiofix.audio.resample import resample
from audiofix.choosing import PRIORS, choose_models
from audiofix.errors import InputError, SettingError
from audiofix.hub.card import ModelCard
from audiofix.hub.registry import FAMILIES, load_prior, scan_models
from audiofix.numerics.tweedie import denoised_from_score
from audiofix.priors.base import Prior
from audiofix.runtime.executor import Executor

AUTO = "auto"
RECOGNISED_AT = (0.01, 0.03, 0.1)  # noise levels at which priors are compared
EXCERPT = 8 * 16000  # samples of the middle that are looked at for it


def choose(
    guess: Tensor, rate: int, source: str, prior: str | None, executor: Executor, bf16: bool, any_axis: bool
) -> tuple[tuple[ModelCard, Path], list[str]]:
    """The prior of (channel, time) and remarks on how it was found. Raises SettingError where there is none."""
    cards = [card for card, _ in scan_models().models.values() if card.family in PRIORS]
    named = source if prior in (None, AUTO) else str(prior)
    if named in {card.source for card in cards}:
        return choose_models([named], None, any_axis)[0], []
    # What denoises white noise best is asked of priors of linear amplitude.
    sources = sorted({card.source for card in cards if card.smoothing_axis == "linear"})
    if named != AUTO:
        if "," in named or named in FAMILIES:
            raise SettingError(
                f"--prior {named!r}: restoring takes one model or source; give {', '.join(sources)} or auto"
            )
        return choose_models([named], named, any_axis)[0], []
    if not sources:
        raise SettingError("there is no score prior to recognise the sound by; give --prior")
    found = {name: choose_models([name], None)[0] for name in sources}
    gains = {
        name: recognise(guess, rate, load_prior(home, executor.device, bf16=bf16), executor)
        for name, (_, home) in found.items()
    }
    best = max(gains, key=lambda name: gains[name])
    listed = ", ".join(f"{name} {gain:.1f} dB" for name, gain in gains.items())
    return found[best], [
        f"recognised as {best} (how much each prior denoises it: {listed}); --prior says otherwise"
    ]


def recognise(samples: Tensor, rate: int, prior: Prior, executor: Executor) -> float:
    """How well a prior denoises (channel, time) at RMS 0.1: mean gain over noise levels, dB.

    The error of denoising, over all levels, is the likelihood but for a constant (Song et al. 2021, theorem 1).
    """
    mono = resample(samples.mean(dim=0, keepdim=True), rate, prior.sample_rate)
    middle = max(0, (mono.shape[1] - EXCERPT) // 2)
    part = mono[:, middle : middle + EXCERPT]
    try:
        part = part * working_level(part, prior.sample_rate)
    except InputError:  # silence there
        part = mono * working_level(mono, prior.sample_rate)
    score, gains = executor.together([prior]), []
    for place, sigma in enumerate(RECOGNISED_AT):
        noise = torch.randn(part.shape, generator=torch.Generator().manual_seed(place))
        noisy = (part + sigma * noise)[:, None]
        error = (denoised_from_score(noisy, score(noisy, sigma), sigma)[:, 0] - part).square().mean()
        gains.append(10 * math.log10(sigma**2 / float(error)))
    return sum(gains) / len(gains)
