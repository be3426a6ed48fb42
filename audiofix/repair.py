"""The library's other front door: a damaged recording and its faults in, the recording restored out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from audiofix.axes import along
from audiofix.damages import (
    Fault,
    LostBand,
    LostSamples,
    Noisy,
    at_other_rate,
    explained,
    known_mask,
    scaled,
    shifted,
)
from audiofix.effect import changes, exact
from audiofix.faults.background import background
from audiofix.faults.frames import Signal, power_frames
from audiofix.faults.rolloff import slope_among
from audiofix.frame import Frame, framed
from audiofix.guesses import without_noise
from audiofix.numerics.agreement import agreed
from audiofix.numerics.rng import unit_noise
from audiofix.numerics.schedule import Schedule
from audiofix.numerics.typical import typical
from audiofix.operators.band import Band
from audiofix.operators.gap import Gap
from audiofix.operators.local import within
from audiofix.operators.noise import Noise
from audiofix.operators.weighted import Weighted
from audiofix.preparing import prepared
from audiofix.progress import Progress, teller
from audiofix.repairreport import report_of
from audiofix.restoration import Damage, draw_restoration
from audiofix.settings import Settings
from audiofix.tools import TRUSTED, Tools, level_of, share_beside_sparse
from audiofix.types import Audio

CONTEXT_SECONDS = 2.0  # on both sides of a gap: the receptive field of the priors, and what fills learn from
HISS = 1 << 20  # keys noise that no level of a ladder has
WIDER = 8  # samples at the priors' rate that a gap is wider by on each side, where the rates differ


@dataclass(frozen=True)
class Repair:
    """A recording restored, at its own rate unless another was wanted, and how.

    With several draws `audio` is their mean where `report["settings"]["mean"]` says so (what they agree on where a
    band is missing, `numerics.agreement`), what is typical of them (`numerics.typical`) where "typical" does, else
    the first; `draws` holds each.
    """

    audio: Audio
    draws: list[Audio]
    report: dict[str, Any]


def restore(
    audio: Audio,
    faults: Sequence[Fault],
    *,
    to_rate: int | None = None,
    source: str = "auto",
    prior: str | None = None,
    quality: str = "balanced",
    draws: int | None = None,
    mean: bool | None = None,
    seed: int = 0,
    device: str = "auto",
    progress: Callable[[Progress], None] | None = None,
) -> Repair:
    """Restore a recording by sampling from its posterior under a prior of clean sound.

    Parameters
    ----------
    audio
        Any rate and number of channels, at least 0.05 s; channels are worked on independently. Samples inside gaps
        may be anything, not-a-number too.
    faults
        What happened to it, in that order; at the rate of `audio`. With `to_rate` above that rate, that its upper
        band is missing is understood.
    to_rate
        Hz of the result; None: as it came.
    source
        What sounds: the source of a model, or auto: recognised by which prior denoises it best.
    prior
        A model by name or folder; the default is the best measured one of the source.
    quality
        fast, balanced or best: how many network calls.
    draws, mean
        How many draws, and whether their mean is the result (of least squared error, but dull where much is
        guessed) or the first of them. Defaults: the quality's; the mean, except where a band is missing: there
        the first, for quality best what is typical of them.
    seed
        >= 0. The same seed, input and settings give the same result on the same machine.

    Raises
    ------
    InputError, SettingError, ModelError, DeviceError, DivergenceError
        Each says what was given, what is possible and what to do.
    """
    began = time.monotonic()
    settings = Settings(to_rate, source, prior, quality, draws, mean, seed, device)
    ready = prepared(audio, faults, settings)
    audio, faults, y, finite, sparse = ready.audio, ready.faults, ready.y, ready.finite, ready.sparse
    tools, gain = ready.tools, ready.gain
    gaps = [fault for fault in faults if isinstance(fault, LostSamples)]
    work = Work(audio.sample_rate, tools, ready.schedule, gain, settings, progress)
    if all(isinstance(fault, LostSamples) for fault in faults):
        drawn = _in_pieces(y, finite, gaps, work)
    else:
        drawn = work.draws(y, finite, faults)
    averaged = tools.mean and not tools.leads and len(drawn) > 1
    result = torch.stack(drawn).mean(dim=0) if averaged else drawn[0]
    drawn = drawn[1:] if tools.leads else drawn
    if sparse is not None:
        result = torch.lerp(sparse, result, share_beside_sparse(faults[0], gain))
    result = exact(result, y, audio.sample_rate, faults)
    seconds = time.monotonic() - began
    change, judged = changes(result, y, finite, faults), tools.judge(result * gain, audio.sample_rate)
    report = report_of(audio, faults, work, change, judged, seconds)
    each = [replace(audio, samples=one) for one in drawn] if len(drawn) > 1 else []
    return Repair(replace(audio, samples=result), each, report)


@dataclass(frozen=True)
class Work:
    """What is the same for every piece of a file."""

    rate: int
    tools: Tools
    schedule: Schedule | None
    gain: float
    settings: Settings
    progress: Callable[[Progress], None] | None

    def draws(self, y: Tensor, finite: Tensor, faults: Sequence[Fault]) -> list[Tensor]:
        """Each draw of (channel, time), at the file's rate and level."""
        tools, model_rate = self.tools, self.tools.sample_rate
        down, up = Band(self.rate, model_rate), Band(model_rate, self.rate)
        frame = framed(y * self.gain, finite * self.gain, self.rate, down.block)
        faults = [shifted(scaled(fault, self.gain), frame.lead) for fault in faults]
        same = self.rate == model_rate
        begin = frame.finite if same else down.forward(frame.finite)
        heard = without_noise(frame.finite, self.rate, faults) if self.rate > model_rate else frame.finite
        rest = heard - (begin if same else up.forward(down.forward(heard)))
        if tools.inpainter is not None:
            found = [self._filled(begin, faults, same)]
        else:
            curve, score = tools.curve, tools.score()
            damage, begin = along(curve, self._damage(frame, faults, begin, rest), begin)
            found = [
                curve.expand(draw_restoration(
                    damage, score, begin, self.schedule, seed=self.settings.seed, sampler=tools.sampler,
                    draw=k, callback=teller(self.progress, k, tools.draws, self.schedule),
                ))
                for k in range(tools.draws)
            ] if self.schedule else [damage.denoised(score, begin, self.level(faults))]  # fmt: skip
        floor = self.floor(faults, lambda cutoff: background(torch.nan_to_num(y), self.rate, cutoff))
        if floor and damage.operator is not None:
            found = [
                damage.operator.project(x + floor * self._hiss(x, k), damage.y) for k, x in enumerate(found)
            ]
        slope = self.slope(faults, lambda: power_frames(torch.nan_to_num(y).cpu().double().numpy()))
        if slope is not None:
            left = slope.forward(begin)
            if tools.agreed:
                found = [_agreed(found, cutoff_of(faults), model_rate) + left, *found]
            else:
                found = [x + left for x in found]
        cut = cutoff_of(faults)
        if cut is not None and tools.finishes and damage.operator is not None:
            draws = [typical(found), *found] if tools.typical else found
            found = [damage.operator.project(tools.shape(x, cut), damage.y) for x in draws]
        joined = [x if same else up.forward(x) + rest for x in found]
        return [frame.inner(x) / self.gain for x in joined]

    def floor(self, faults: Sequence[Fault], measured: Callable[[float], float]) -> float:
        """Noise of the recording's pauses that its missing band lacks: of a draw only, a mean has none to add.

        measured: see `background`, for a cut-off.
        """
        cut = cutoff_of(faults)
        if cut is None or self.tools.mean or self.schedule is None:
            return 0.0
        density = measured(cut) * self.gain
        return density * (self.tools.sample_rate / self.rate) ** 0.5

    def slope(self, faults: Sequence[Fault], frames: Callable[[], Signal]) -> Weighted | None:
        """Takes from a recording what its own filter left above the cut-off, raised again; None: nothing is.

        A mean keeps it: that much is known of a missing band, and without it a mean is further from the truth than
        the recording is. A draw has its own highs there. frames: power spectra of the recording at its own rate.
        """
        cut = cutoff_of(faults)
        if cut is None or not self.tools.mean or not all(isinstance(f, LostBand) for f in faults):
            return None
        found = slope_among(frames(), self.rate, cut, cut / TRUSTED)
        return Weighted(self.tools.sample_rate, found.hertz, found.factors)

    def _hiss(self, x: Tensor, draw: int) -> Tensor:
        return unit_noise(tuple(x.shape), self.settings.seed, draw, HISS).to(x)

    def level(self, faults: Sequence[Fault]) -> float:
        """Level at the models' rate of the noise that one call takes out."""
        level = level_of(faults, 1.0)
        if level is None:
            raise ValueError("these faults take a chain")
        return level * min(1.0, self.tools.sample_rate / self.rate) ** 0.5

    def _damage(self, frame: Frame, faults: Sequence[Fault], begin: Tensor, rest: Tensor) -> Damage:
        profile = self.profile(faults)
        known = None if profile is None else Noise(profile)
        found = explained(frame.y, faults, self.rate, self.tools.sample_rate, rest)
        operator, y = (None, begin) if found is None else found
        return Damage(operator, y, known)

    def profile(self, faults: Sequence[Fault]) -> Tensor | None:
        """Of the noise among the faults, at the models' rate."""
        noise = next((fault for fault in faults if isinstance(fault, Noisy)), None)
        return None if noise is None else at_other_rate(noise.profile, self.rate, self.tools.sample_rate)

    def _filled(self, begin: Tensor, faults: Sequence[Fault], same: bool) -> Tensor:
        """The mean that the inpainter gives, (channel, 1, time) at the models' rate."""
        operator = Gap(known_mask(self.lost(faults, same), begin.shape[-1]))
        y = operator.forward(begin)
        return operator.project(self.tools.fill(operator.evidence(y, self.tools.fills)), y)

    def lost(self, faults: Sequence[Fault], same: bool) -> list[tuple[int, int]]:
        """First and one past the last lost sample of each gap, at the models' rate."""
        ratio, wider = self.tools.sample_rate / self.rate, 0 if same else WIDER
        return [
            (max(0, math.floor(start * ratio) - wider), math.ceil(stop * ratio) + wider)
            for fault in faults
            if isinstance(fault, LostSamples)
            for start, stop in fault.spans
        ]


def cutoff_of(faults: Sequence[Fault]) -> float | None:
    """Hz up to which anything is known; None where no band is missing."""
    return min((fault.hertz for fault in faults if isinstance(fault, LostBand)), default=None)


def _agreed(found: Sequence[Tensor], cutoff: float | None, rate: int) -> Tensor:
    """The known band of draws (channel, 1, time), and above it the mean that they agree on."""
    band = Band(rate, rate, cutoff or math.inf)
    low = band.forward(found[0])
    highs = torch.stack([(x - band.forward(x))[:, 0] for x in found])
    return low + agreed(within(highs, 0), 0, low.shape[-1])[:, None]


def pieces_around(gaps: Sequence[LostSamples], context: int) -> list[list[tuple[int, int]]]:
    """Gaps in groups that are two contexts apart or more."""
    pieces: list[list[tuple[int, int]]] = []
    for span in sorted(span for gap in gaps for span in gap.spans):
        if pieces and span[0] - pieces[-1][-1][1] < 2 * context:
            pieces[-1].append(span)
        else:
            pieces.append([span])
    return pieces


def _in_pieces(y: Tensor, finite: Tensor, gaps: Sequence[LostSamples], work: Work) -> list[Tensor]:
    """Work on what lies around gaps only; all else is y."""
    context = round(CONTEXT_SECONDS * work.rate)
    results = [y.clone() for _ in range(work.tools.draws)]
    for piece in pieces_around(gaps, context):
        first = max(0, piece[0][0] - context)
        last = min(y.shape[1], piece[-1][1] + context)
        inner = LostSamples(tuple((a - first, b - first) for a, b in piece))
        found = work.draws(y[:, first:last], finite[:, first:last], [inner])
        for result, one in zip(results, found, strict=True):
            for start, stop in piece:
                result[:, start:stop] = one[:, start - first : stop - first]
    return results
