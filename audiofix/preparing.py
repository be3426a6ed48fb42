"""What restoring and telling its cost begin with: checks, a first guess, the models, the level and the ladder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from audiofix.audio.loudness import working_level
from audiofix.audio.resample import resample
from audiofix.damages import Fault, LostBand, LostSamples
from audiofix.errors import InputError, SettingError
from audiofix.guesses import first_guess, sparse_guess, to_recognise
from audiofix.numerics.schedule import Schedule
from audiofix.settings import Settings
from audiofix.tools import TRUSTED, Tools, ladder_for, prepare_tools
from audiofix.types import Audio

SHORTEST = 0.05  # s


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that is settled before the first network call of a chain.

    audio, faults: at the rate of the result; y: its samples, zeros for what is not finite; finite: the first
    guess, (channel, time) as y; sparse: the consistent sparse signal that takes part, None without; gain: to the
    working level; schedule: None for one call.
    """

    audio: Audio
    faults: list[Fault]
    y: Tensor
    finite: Tensor
    sparse: Tensor | None
    tools: Tools
    gain: float
    schedule: Schedule | None


def prepared(audio: Audio, faults: Sequence[Fault], settings: Settings) -> Prepared:
    """Check and settle; errors are those of `audiofix.repair.restore`."""
    audio, faults = checked(audio, faults, settings)
    rate = audio.sample_rate
    y = torch.where(audio.samples.isfinite(), audio.samples.float(), 0.0)
    finite = first_guess(y, rate, faults)
    sparse = sparse_guess(y, rate, faults)
    heard = to_recognise(y, rate, faults, sparse)
    tools = prepare_tools(heard, rate, faults, settings)
    refuse_useless(faults, tools)
    sparse = sparse if tools.sparse else None
    if sparse is not None and faults[0].kind == "clip":
        finite = sparse
    gain = working_level(resample(finite, rate, tools.sample_rate), tools.sample_rate)
    return Prepared(audio, faults, y, finite, sparse, tools, gain, ladder_for(faults, gain, tools))


def checked(audio: Audio, faults: Sequence[Fault], settings: Settings) -> tuple[Audio, list[Fault]]:
    """The recording and its faults at the rate of the result. Raises InputError and SettingError."""
    _check(audio, faults, settings)
    refuse_lost(audio.samples, faults)
    to_rate = settings.to_rate
    found, faults = audio, _at_rate(audio, faults, to_rate)
    if to_rate is not None:
        samples = resample(audio.samples.float(), audio.sample_rate, to_rate)
        found = replace(audio, samples=samples, sample_rate=to_rate)
    return found, faults


def checked_outline(audio: Audio, faults: Sequence[Fault], settings: Settings) -> tuple[Audio, list[Fault]]:
    """As `checked`, of a recording whose samples are not there: of another rate has the result that length."""
    _check(audio, faults, settings)
    to_rate = settings.to_rate
    found, faults = audio, _at_rate(audio, faults, to_rate)
    if to_rate is not None:
        silence = torch.zeros(1, 1).expand(audio.channels, -(-audio.length * to_rate // audio.sample_rate))
        found = replace(audio, samples=silence, sample_rate=to_rate)
    return found, faults


def refuse_short(audio: Audio) -> None:
    """Raise InputError for a recording that is too short for anything to be known of it."""
    if audio.seconds < SHORTEST:
        raise InputError(f"{audio.length} samples are too short; at least {SHORTEST} s are needed")


def _check(audio: Audio, faults: Sequence[Fault], settings: Settings) -> None:
    if not faults and settings.to_rate is None:
        raise SettingError("there is nothing to restore: no fault was named or found; name one")
    refuse_short(audio)
    if settings.draws is not None and settings.draws < 1:
        raise SettingError(f"--draws must be 1 or more, got {settings.draws}")
    if settings.seed < 0:
        raise SettingError(f"--seed must be 0 or more, got {settings.seed}")


def refuse_lost(samples: Tensor, faults: Sequence[Fault]) -> None:
    """Raise InputError where (channel, time) is not finite outside the gaps among its faults."""
    lost = torch.zeros(samples.shape[1], dtype=torch.bool)
    for fault in faults:
        for start, stop in fault.spans if isinstance(fault, LostSamples) else ():
            lost[start:stop] = True
    if not bool(samples[:, ~lost].isfinite().all()):
        raise InputError(
            "there are NaN or infinite samples outside the gaps; fill them first with audiofix inpaint --auto-gaps"
        )


def _at_rate(audio: Audio, faults: Sequence[Fault], to_rate: int | None) -> list[Fault]:
    """The faults at the rate of the result: a higher rate lacks its upper band."""
    if to_rate is None:
        return list(faults)
    if to_rate <= audio.sample_rate:
        raise SettingError(
            f"--to {to_rate}: the file has {audio.sample_rate} Hz already; give a higher rate, or --cutoff HZ"
        )
    if faults:
        raise SettingError(
            "a new rate and other faults do not go together in one run; restore first, then upsample"
        )
    return [LostBand(TRUSTED * audio.sample_rate / 2)]


def refuse_useless(faults: Sequence[Fault], tools: Tools) -> None:
    """Raise SettingError where a band is missing that the prior does not know either."""
    for fault in faults:
        if isinstance(fault, LostBand) and fault.hertz > 0.94 * tools.sample_rate / 2:
            raise SettingError(
                f"all up to {fault.hertz:.0f} Hz is there already and the priors know sound up to "
                f"{tools.sample_rate // 2} Hz: nothing to add"
            )
