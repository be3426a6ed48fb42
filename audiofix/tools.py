"""From names and options to what restoring needs: a prior on a device, and a ladder that suits the faults."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiofix.audio.loudness import working_level
from audiofix.audio.resample import resample
from audiofix.axes import curve_of, highest_along, ladder, sample_by_sample, walked
from audiofix.choosing import INPAINTING, PRIORS, choose_critic, choose_models, figure
from audiofix.damages import Cut, Fault, LostBand, LostSamples, Noisy, Rounded, scaled
from audiofix.errors import InputError, SettingError
from audiofix.hub.card import ModelCard
from audiofix.hub.registry import (
    FAMILIES,
    load_prior,
    model_hash,
    models_for_source,
    resolve_model,
    scan_models,
)
from audiofix.likeness import BLOCK, LEAST, likeness
from audiofix.numerics.companding import LINEAR, Curve
from audiofix.numerics.schedule import Schedule
from audiofix.numerics.tweedie import denoised_from_score
from audiofix.numerics.windows import Chunk
from audiofix.operators.gap import FILL_ORDERS
from audiofix.operators.noise import Noise
from audiofix.posterior import ScoreFn
from audiofix.priors.base import Posterior, Prior
from audiofix.runtime.devices import has_native_bf16, pick_device
from audiofix.runtime.executor import Executor
from audiofix.separation import SAMPLERS

CHUNK = 20 * 16000  # samples in one network call
TRUSTED = 0.95  # share of a lower rate's band that is known: above it its filter has begun to fall
AUTO = "auto"
RECOGNISED_AT = (0.01, 0.03, 0.1)  # noise levels at which priors are compared
EXCERPT = 8 * 16000  # samples of the middle that are looked at for it


@dataclass(frozen=True)
class Effort:
    """How much a quality spends: levels of the ladder for the mean and for a draw, and draws for their mean."""

    mean_levels: int
    draw_levels: int
    draws: int


# Measured on held-out clips: models/recipes/EXPERIMENTS.md.
EFFORTS = {"fast": Effort(10, 5, 1), "balanced": Effort(30, 20, 1), "best": Effort(50, 30, 4)}
TYPICAL_LEVELS = 10  # of each draw, where only what several have in common is wanted
# Highest noise level to start from, by fault, at the working level: where the errors of a first guess drown.
HIGHEST = {"lowpass": 0.1, "gap": 0.3, "clip": 0.3}
AFTER_SPARSE = 0.03  # for clipping where a consistent sparse signal was found to start from
# What the chain's share is beside that sparse signal: two estimators err in different ways, and their mean less.
SHARES = {"clip": 0.35, "quantise": 0.6}
LOWEST = 0.003  # for the mean: below it nothing is left to decide
ROUNDING = 0.3  # of a step, the standard deviation of rounding: the level of noise that it is taken for
# For the mean fresh noise at every level, which draws that spread too little; for a draw a second-order chain with
# as much new noise as it takes: a first-order one leaves missing highs too soft.
MEAN_CHAIN, DRAW_CHAIN = ("consistent", 1.0), ("heun", 0.3)


@dataclass(frozen=True)
class Tools:
    """What a run needs. `inpainter`: the mean of lost samples in one call, where that is all that is asked."""

    source: str
    cards: tuple[ModelCard, ...]
    prior: Prior
    inpainter: Posterior | None
    executor: Executor
    effort: Effort
    draws: int
    mean: bool
    bf16: bool
    notes: list[str] = field(default_factory=list)
    typical: bool = False  # of several draws, give what their spectrograms have in common, not the first
    sparse: bool = False  # begin with a consistent sparse signal where there is one, and keep a share of it

    @property
    def sampler(self) -> str:
        """Name of the chain."""
        return (MEAN_CHAIN if self.mean else DRAW_CHAIN)[0]

    @property
    def sample_rate(self) -> int:
        """Hz."""
        return self.prior.sample_rate

    def score(self, part: Chunk | None = None) -> ScoreFn:
        """The prior's score of (batch, 1, time) on its axis, in chunks; `part` as in `Executor.together`."""
        return self.executor.together([walked(self.prior)], part=part)

    @property
    def curve(self) -> Curve:
        """The axis that the chain goes along."""
        return curve_of(self.prior)

    def fill(self, evidence: Tensor, part: Chunk | None = None) -> Tensor:
        """The inpainter's mean given (batch, 3, time), (batch, 1, time); `part` as in `score`."""
        if self.inpainter is None:
            raise ValueError("there is no inpainter")
        return self.executor.jointly(self.inpainter, evidence, part)(
            torch.zeros_like(evidence[:, :1]), math.inf
        )

    @property
    def fill_orders(self) -> tuple[int, ...]:
        """Orders of the classical fills that the inpainter is shown."""
        return getattr(self.inpainter, "orders", None) or FILL_ORDERS

    def calls(self, schedule: Schedule | None) -> int:
        """Network calls in all, of each piece that is worked on."""
        return 1 if schedule is None else self.draws * (SAMPLERS[self.sampler].calls(schedule) + 1)

    def described(self) -> list[dict[str, Any]]:
        """What the models are, for a report."""
        return [
            {"name": card.name, "source": card.source, "family": card.family, "hash": model_hash(card)}
            for card in self.cards
        ]

    def judge(self, result: Tensor, rate: int) -> list[str]:
        """A remark where the result (channel, time), at the working level, is unlike what its prior knows."""
        critic = choose_critic(self.source, LEAST)
        if critic is None or critic[0].sample_rate != self.sample_rate:
            return []
        card, home = critic
        whole = resample(result.mean(dim=0, keepdim=True), rate, self.sample_rate)[0]
        if len(whole) < BLOCK:
            return []
        judge = load_prior(home, self.executor.device, bf16=self.bf16)
        bits = likeness(judge, whole.to(self.executor.device), torch.Generator().manual_seed(0))
        least = float(card.validation[LEAST])
        if bits >= least:
            return []
        return [
            f"this is unlike the {self.source} that {card.name} was trained on ({bits:.2f} bits a sample over "
            f"linear prediction; held-out {self.source} has {least:.2f} or more): mistrust what was "
            "filled in, or give another --prior"
        ]


def prepare_tools(
    guess: Tensor,
    rate: int,
    faults: Sequence[Fault],
    source: str,
    prior: str | None,
    quality: str,
    draws: int | None,
    mean: bool | None,
    device: str,
) -> Tools:
    """Choose and load what restoring (channel, time) takes. Raises SettingError for what does not exist."""
    if quality not in EFFORTS:
        raise SettingError(f"there is no quality {quality!r} here; choose one of {', '.join(EFFORTS)}")
    where = pick_device(device)
    bf16 = has_native_bf16(where)
    executor = Executor(where, CHUNK)
    chosen, notes = _choose(guess, rate, source, prior, executor, bf16, sample_by_sample(faults))
    card, home = chosen
    loaded: Prior = load_prior(home, where, bf16=bf16)
    banded = any(isinstance(fault, LostBand) for fault in faults)
    typical, mean = banded and mean is None and quality == "best", not banded if mean is None else mean
    only_gaps = all(isinstance(fault, LostSamples) for fault in faults)
    filler = _inpainter(card.source) if only_gaps and mean and draws is None else None
    effort = EFFORTS[quality]
    cards, inpainter = (card,), None
    if filler is not None and filler[0].sample_rate != card.sample_rate:
        filler = None
    if filler is not None:
        cards, inpainter = (filler[0],), load_prior(filler[1], where, bf16=bf16)
    number = draws or (effort.draws if typical or (mean and filler is None) else 1)
    return Tools(
        card.source,
        cards,
        loaded,
        inpainter,
        executor,
        effort,
        number,
        mean,
        bf16,
        notes,
        typical=typical and number > 1,
        sparse=mean and quality != "fast",
    )


def ladder_for(faults: Sequence[Fault], gain: float, tools: Tools) -> Schedule | None:
    """From the noise level at which the guess's errors drown to the lowest that matters; None for one call."""
    if tools.inpainter is not None or (
        tools.draws == 1 and tools.mean and tools.curve is LINEAR and level_of(faults, gain) is not None
    ):
        return None
    faults = [scaled(fault, gain) for fault in faults]
    most, least = tools.prior.sigmas[0], tools.prior.sigmas[-1]
    high = max(_highest(f) for f in faults) if tools.curve is LINEAR else highest_along(tools.curve, faults)
    high = min(most, high)
    if tools.sparse and len(faults) == 1 and isinstance(faults[0], Cut) and tools.curve is LINEAR:
        high = AFTER_SPARSE
    low = max(least, min(LOWEST, high / 20)) if tools.mean else least
    _, scale = MEAN_CHAIN if tools.mean else DRAW_CHAIN
    levels = tools.effort.mean_levels if tools.mean else tools.effort.draw_levels + 1
    levels = min(levels, TYPICAL_LEVELS + 1) if tools.typical else levels
    return ladder(tools.prior, high, low, levels, scale)


def level_of(faults: Sequence[Fault], gain: float) -> float | None:
    """The noise level of a recording that one call of a denoiser restores, white noise or rounding; else None."""
    (fault, *others) = [scaled(fault, gain) for fault in faults]
    if others:
        return None
    if isinstance(fault, Rounded):
        return ROUNDING * fault.step
    return float(fault.profile[0]) if isinstance(fault, Noisy) and Noise(fault.profile).white else None


def _highest(fault: Fault) -> float:
    if isinstance(fault, Rounded):
        return fault.step
    if isinstance(fault, Noisy):
        return float(fault.profile.max())
    return HIGHEST[fault.kind]


def _inpainter(source: str) -> tuple[ModelCard, Path] | None:
    fitting = [c for c in models_for_source(source) if c.family == "inpainter"]
    best = max(fitting, key=lambda card: figure(card, INPAINTING), default=None)
    return resolve_model(best.name) if best else None


def _choose(
    guess: Tensor, rate: int, source: str, prior: str | None, executor: Executor, bf16: bool, any_axis: bool
) -> tuple[tuple[ModelCard, Path], list[str]]:
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
