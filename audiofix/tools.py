"""From names and options to what restoring needs: a prior on a device, and a ladder that suits the faults."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from audiofix.audio.resample import resample
from audiofix.axes import curve_of, highest_along, ladder, sample_by_sample, walked
from audiofix.choosing import ENVELOPE, INPAINTING, choose_critic, figure
from audiofix.damages import Cut, Fault, LostBand, LostSamples, Noisy, Rounded, scaled
from audiofix.errors import SettingError
from audiofix.hub.card import ModelCard
from audiofix.hub.registry import load_prior, model_hash, models_for_source, resolve_model
from audiofix.likeness import BLOCK, LEAST, likeness
from audiofix.numerics.agreement import FEWEST
from audiofix.numerics.companding import LINEAR, Curve
from audiofix.numerics.fills import USUAL, Fills
from audiofix.numerics.schedule import ROUNDING, Schedule
from audiofix.numerics.windows import Chunk
from audiofix.operators.noise import Noise
from audiofix.posterior import ScoreFn
from audiofix.priors.base import Inpainting, Prior
from audiofix.priors.envelope import Envelope
from audiofix.recognising import choose
from audiofix.runtime.devices import has_native_bf16, pick_device
from audiofix.runtime.executor import Executor
from audiofix.separation import SAMPLERS
from audiofix.settings import Settings

CHUNK = 20 * 16000  # samples in one network call
TRUSTED = 0.95  # share of a lower rate's band that is known: above it its filter has begun to fall


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
CLIP_SHARE = 0.35
# Of rounding: at 4 bits for sound at the working level, and how much more for each bit; at most.
QUANTISE_SHARE, MORE_A_BIT, MOST_SHARE = 0.6, 0.065, 0.9
LOWEST = 0.003  # for the mean: below it nothing is left to decide
# For the mean fresh noise at every level, which draws that spread too little; for a draw a second-order chain with
# as much new noise as it takes: a first-order one leaves missing highs too soft.
MEAN_CHAIN, DRAW_CHAIN = ("consistent", 1.0), ("heun", 0.3)


@dataclass(frozen=True)
class Tools:
    """What a run needs.

    inpainter: the mean of lost samples in one call, where that is all that is asked; envelope: how loud the bands
    of a draw are that are missing in the recording.
    """

    source: str
    cards: tuple[ModelCard, ...]
    prior: Prior
    inpainter: Inpainting | None
    executor: Executor
    effort: Effort
    draws: int
    mean: bool
    bf16: bool
    notes: list[str] = field(default_factory=list)
    typical: bool = False  # of several draws, give what their spectrograms have in common, not the first
    agreed: bool = False  # of several draws, give their mean, shrunk where they do not agree
    envelope: Envelope | None = None
    sparse: bool = False  # begin with a consistent sparse signal where there is one, and keep a share of it

    @property
    def sampler(self) -> str:
        """Name of the chain."""
        return (MEAN_CHAIN if self.estimates else DRAW_CHAIN)[0]

    @property
    def estimates(self) -> bool:
        """Whether chains go for the mean, so that they spread too little for draws."""
        return self.mean and not self.agreed

    @property
    def leads(self) -> bool:
        """Whether the result is made of all draws and stands before them."""
        return self.typical or self.agreed

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
    def finishes(self) -> bool:
        """Whether draws of a missing band are worked on after the chain."""
        return self.typical or self.envelope is not None

    def shape(self, x: Tensor, cutoff: float) -> Tensor:
        """(batch, 1, time) at the working level, with the levels above `cutoff` Hz that the envelope tells."""
        return x if self.envelope is None else self.envelope.shape(x[:, 0], cutoff)[:, None]

    @property
    def fills(self) -> Fills:
        """The classical fills that the inpainter is shown."""
        return USUAL if self.inpainter is None else self.inpainter.fills

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


def prepare_tools(guess: Tensor, rate: int, faults: Sequence[Fault], settings: Settings) -> Tools:
    """Choose and load what restoring (channel, time) takes. Raises SettingError for what does not exist."""
    quality, draws, mean = settings.quality, settings.draws, settings.mean
    if quality not in EFFORTS:
        raise SettingError(f"there is no quality {quality!r} here; choose one of {', '.join(EFFORTS)}")
    where = pick_device(settings.device)
    bf16 = has_native_bf16(where)
    executor = Executor(where, CHUNK)
    any_axis = sample_by_sample(faults)
    (card, home), notes = choose(guess, rate, settings.source, settings.prior, executor, bf16, any_axis)
    loaded: Prior = load_prior(home, where, bf16=bf16)
    banded = any(isinstance(fault, LostBand) for fault in faults)
    typical, mean = banded and mean is None and quality == "best", not banded if mean is None else mean
    only_gaps = all(isinstance(fault, LostSamples) for fault in faults)
    wanted, effort = only_gaps and mean and draws is None, EFFORTS[quality]
    filler = _best(card, "inpainter", INPAINTING) if wanted else None
    shaper = _best(card, "envelope", ENVELOPE, sign=-1) if banded and not mean else None
    cards: tuple[ModelCard, ...] = (card,)
    inpainter, envelope = None, None
    if filler is not None:
        cards, inpainter = (filler[0],), load_prior(filler[1], where, bf16=bf16)
    if shaper is not None:
        cards, envelope = (card, shaper[0]), load_prior(shaper[1], where)
    number = draws or (effort.draws if typical or (mean and filler is None) else 1)
    only_bands = all(isinstance(fault, LostBand) for fault in faults)
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
        agreed=only_bands and mean and number >= FEWEST,
        envelope=envelope,
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
    low = max(least, min(LOWEST, high / 20)) if tools.estimates else least
    _, scale = MEAN_CHAIN if tools.estimates else DRAW_CHAIN
    levels = tools.effort.mean_levels if tools.estimates else tools.effort.draw_levels + 1
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


def share_beside_sparse(fault: Fault, gain: float) -> float:
    """Share of the chain or call in its mean with the consistent sparse signal; gain: to the working level.

    The finer the steps, the less sparsity adds: the error is then noise, which the priors know.
    """
    if not isinstance(fault, Rounded):
        return CLIP_SHARE
    bits = 1 - math.log2(fault.step * gain)
    return min(MOST_SHARE, max(QUANTISE_SHARE, QUANTISE_SHARE + MORE_A_BIT * (bits - 4)))


def _best(prior: ModelCard, family: str, name: str, sign: int = 1) -> tuple[ModelCard, Path] | None:
    """The model of a family for the same source and rate whose figure `name`, times the sign, is highest."""
    cards = [c for c in models_for_source(prior.source) if c.family == family]
    fitting = [c for c in cards if c.sample_rate == prior.sample_rate]

    def good(card: ModelCard) -> float:
        return sign * found if math.isfinite(found := figure(card, name)) else -math.inf

    best = max(fitting, key=good, default=None)
    return resolve_model(best.name) if best else None
