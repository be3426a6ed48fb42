"""The library's other front door: a damaged recording and its faults in, the recording restored out."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from audiofix.audio.loudness import working_level
from audiofix.audio.resample import resample
from audiofix.axes import along
from audiofix.damages import Fault, LostBand, LostSamples, Noisy, at_other_rate, operator_of, scaled, shifted
from audiofix.effect import changes, exact
from audiofix.errors import InputError, SettingError
from audiofix.frame import Frame, framed
from audiofix.guesses import first_guess, sparse_guess, to_recognise, without_noise
from audiofix.numerics.schedule import Schedule
from audiofix.operators.band import Band
from audiofix.operators.base import Restorable
from audiofix.operators.chain import Added, Chain
from audiofix.operators.gap import Gap
from audiofix.operators.noise import Noise
from audiofix.progress import Progress, teller
from audiofix.restoration import Damage, draw_restoration
from audiofix.tools import SHARES, TRUSTED, Tools, ladder_for, level_of, prepare_tools
from audiofix.types import Audio

CONTEXT_SECONDS = 2.0  # on both sides of a gap: the receptive field of the priors, and what fills learn from
WIDER = 8  # samples at the priors' rate that a gap is wider by on each side, where the rates differ
SHORTEST = 0.05  # s


@dataclass(frozen=True)
class Repair:
    """A recording restored, at its own rate unless another was wanted, and how.

    With several draws `audio` is their mean where `report["settings"]["mean"]` says so, else the first; `draws`
    holds each.
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
        guessed) or the first of them. Defaults: the quality's; the mean, except where a band is missing.
    seed
        >= 0. The same seed, input and settings give the same result on the same machine.

    Raises
    ------
    InputError, SettingError, ModelError, DeviceError, DivergenceError
        Each says what was given, what is possible and what to do.
    """
    began = time.monotonic()
    audio, faults = checked(audio, faults, to_rate, draws, seed)
    y = torch.where(audio.samples.isfinite(), audio.samples.float(), 0.0)
    gaps = [fault for fault in faults if isinstance(fault, LostSamples)]
    finite = first_guess(y, audio.sample_rate, faults)
    sparse = sparse_guess(y, audio.sample_rate, faults)
    heard = to_recognise(y, audio.sample_rate, faults, sparse)
    tools = prepare_tools(heard, audio.sample_rate, faults, source, prior, quality, draws, mean, device)
    refuse_useless(faults, tools)
    sparse = sparse if tools.sparse else None
    if sparse is not None and faults[0].kind == "clip":
        finite = sparse
    gain = working_level(resample(finite, audio.sample_rate, tools.sample_rate), tools.sample_rate)
    schedule = ladder_for(faults, gain, tools)
    work = _Work(audio.sample_rate, tools, schedule, gain, seed, progress)
    if all(isinstance(fault, LostSamples) for fault in faults):
        drawn = _in_pieces(y, finite, gaps, work)
    else:
        drawn = work.draws(y, finite, faults)
    result = torch.stack(drawn).mean(dim=0) if tools.mean and len(drawn) > 1 else drawn[0]
    if sparse is not None:
        result = torch.lerp(sparse, result, SHARES[faults[0].kind])
    result = exact(result, y, audio.sample_rate, faults)
    seconds = time.monotonic() - began
    report = {
        "task": "restore",
        "faults": [{"kind": f.kind, "found": f.describe(audio.sample_rate)} for f in faults],
        "settings": {
            "source": tools.source, "quality": quality, "draws": tools.draws, "mean": tools.mean, "seed": seed,
            "device": device, "prior": prior,
        },
        "schedule": {
            "sigmas": list(schedule.sigmas) if schedule else [], "sampler": tools.sampler,
            "network_calls": tools.calls(schedule),
        },
        "models": tools.described(),
        "device": str(tools.executor.device),
        "input": {"seconds": audio.seconds, "sample_rate": audio.sample_rate, "channels": audio.channels},
        "working_gain_db": 20 * math.log10(gain),
        "seconds": seconds,
        "seconds_per_audio_second": seconds / audio.seconds,
        "change": changes(result, y, finite, faults),
        "notes": [*tools.notes, *_notes(audio, faults, tools), *tools.judge(result * gain, audio.sample_rate)],
    }  # fmt: skip
    each = [replace(audio, samples=one) for one in drawn] if len(drawn) > 1 else []
    return Repair(replace(audio, samples=result), each, report)


@dataclass(frozen=True)
class _Work:
    """What is the same for every piece of a file."""

    rate: int
    tools: Tools
    schedule: Schedule | None
    gain: float
    seed: int
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
            damage = self._damage(frame, faults, begin, rest, same)
            curve, score = tools.curve, tools.score()
            damage, begin = along(curve, damage, begin)
            found = [
                curve.expand(draw_restoration(
                    damage, score, begin, self.schedule, seed=self.seed, sampler=tools.sampler, draw=k,
                    callback=teller(self.progress, k, tools.draws, self.schedule),
                ))
                for k in range(tools.draws)
            ] if self.schedule else [damage.denoised(score, begin, self._level(faults))]  # fmt: skip
        joined = [x if same else up.forward(x) + rest for x in found]
        return [frame.inner(x) / self.gain for x in joined]

    def _level(self, faults: Sequence[Fault]) -> float:
        level = level_of(faults, 1.0)
        if level is None:
            raise ValueError("these faults take a chain")
        return level * min(1.0, self.tools.sample_rate / self.rate) ** 0.5

    def _damage(
        self, frame: Frame, faults: Sequence[Fault], begin: Tensor, rest: Tensor, same: bool
    ) -> Damage:
        operators: list[Restorable] = []
        if not same:
            operators = [Band(self.tools.sample_rate, self.rate), Added(rest)]
        length = frame.y.shape[-1]
        each = [operator_of(fault, self.rate, length) for fault in faults]
        hard = [operator for operator in each if operator is not None]
        noise = next((fault for fault in faults if isinstance(fault, Noisy)), None)
        known = None
        if noise is not None:
            known = Noise(at_other_rate(noise.profile, self.rate, self.tools.sample_rate))
        if not hard:
            return Damage(None, begin, known)
        chain = [*operators, *hard]
        return Damage(Chain(chain) if len(chain) > 1 else chain[0], frame.y, known)

    def _filled(self, begin: Tensor, faults: Sequence[Fault], same: bool) -> Tensor:
        """The mean that the inpainter gives, (channel, 1, time) at the models' rate."""
        ratio, wider = self.tools.sample_rate / self.rate, 0 if same else WIDER
        known = torch.ones(begin.shape[-1], dtype=torch.bool)
        for fault in faults:
            for start, stop in fault.spans if isinstance(fault, LostSamples) else ():
                known[max(0, math.floor(start * ratio) - wider) : math.ceil(stop * ratio) + wider] = False
        operator = Gap(known)
        y = operator.forward(begin)
        return operator.project(self.tools.fill(operator.evidence(y)), y)


def _in_pieces(y: Tensor, finite: Tensor, gaps: Sequence[LostSamples], work: _Work) -> list[Tensor]:
    """Work on what lies around gaps only; all else is y."""
    spans = sorted(span for gap in gaps for span in gap.spans)
    context = round(CONTEXT_SECONDS * work.rate)
    pieces: list[list[tuple[int, int]]] = []
    for span in spans:
        if pieces and span[0] - pieces[-1][-1][1] < 2 * context:
            pieces[-1].append(span)
        else:
            pieces.append([span])
    results = [y.clone() for _ in range(work.tools.draws)]
    for piece in pieces:
        first = max(0, piece[0][0] - context)
        last = min(y.shape[1], piece[-1][1] + context)
        inner = LostSamples(tuple((a - first, b - first) for a, b in piece))
        found = work.draws(y[:, first:last], finite[:, first:last], [inner])
        for result, one in zip(results, found, strict=True):
            for start, stop in piece:
                result[:, start:stop] = one[:, start - first : stop - first]
    return results


def checked(
    audio: Audio, faults: Sequence[Fault], to_rate: int | None, draws: int | None, seed: int
) -> tuple[Audio, list[Fault]]:
    """The recording and its faults at the rate of the result. Raises InputError and SettingError."""
    _check(audio, faults, to_rate, draws, seed)
    return _at_rate(audio, faults, to_rate)


def _check(audio: Audio, faults: Sequence[Fault], to_rate: int | None, draws: int | None, seed: int) -> None:
    if not faults and to_rate is None:
        raise SettingError("there is nothing to restore: no fault was named or found; name one")
    if audio.seconds < SHORTEST:
        raise InputError(f"{audio.length} samples are too short; at least {SHORTEST} s are needed")
    if draws is not None and draws < 1:
        raise SettingError(f"--draws must be 1 or more, got {draws}")
    if seed < 0:
        raise SettingError(f"--seed must be 0 or more, got {seed}")
    lost = torch.zeros(audio.length, dtype=torch.bool)
    for fault in faults:
        for start, stop in fault.spans if isinstance(fault, LostSamples) else ():
            lost[start:stop] = True
    if not bool(audio.samples[:, ~lost].isfinite().all()):
        raise InputError(
            "there are NaN or infinite samples outside the gaps; fill them first with audiofix inpaint --auto-gaps"
        )


def _at_rate(audio: Audio, faults: Sequence[Fault], to_rate: int | None) -> tuple[Audio, list[Fault]]:
    """The recording at the rate of the result, and its faults there: a higher rate lacks its upper band."""
    if to_rate is None:
        return audio, list(faults)
    if to_rate <= audio.sample_rate:
        raise SettingError(
            f"--to {to_rate}: the file has {audio.sample_rate} Hz already; give a higher rate, or --cutoff HZ"
        )
    if faults:
        raise SettingError(
            "a new rate and other faults do not go together in one run; restore first, then upsample"
        )
    samples = resample(audio.samples.float(), audio.sample_rate, to_rate)
    return replace(audio, samples=samples, sample_rate=to_rate), [LostBand(TRUSTED * audio.sample_rate / 2)]


def refuse_useless(faults: Sequence[Fault], tools: Tools) -> None:
    """Raise SettingError where a band is missing that the prior does not know either."""
    for fault in faults:
        if isinstance(fault, LostBand) and fault.hertz > 0.94 * tools.sample_rate / 2:
            raise SettingError(
                f"all up to {fault.hertz:.0f} Hz is there already and the priors know sound up to "
                f"{tools.sample_rate // 2} Hz: nothing to add"
            )


def _notes(audio: Audio, faults: Sequence[Fault], tools: Tools) -> list[str]:
    notes = []
    limit = tools.sample_rate // 2
    if audio.sample_rate > tools.sample_rate:
        gaps = any(isinstance(f, LostSamples) for f in faults)
        above = "filled by autoregression" if gaps else "passed through"
        missing = any(isinstance(f, LostBand) for f in faults)
        what = "stays empty" if missing else f"was {above}"
        notes.append(f"the prior knows sound up to {limit} Hz: what lies above {what}")
    return notes
