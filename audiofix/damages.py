"""Faults of a recording with their numbers, and the operators that they are, at the file's rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from audiofix.operators.band import Band
from audiofix.operators.base import Restorable
from audiofix.operators.chain import Added, Chain
from audiofix.operators.clip import Clip
from audiofix.operators.gap import Gap
from audiofix.operators.noise import Noise
from audiofix.operators.quantise import Quantise


@dataclass(frozen=True)
class LostBand:
    """Nothing is known above `hertz`."""

    hertz: float
    kind = "lowpass"

    def describe(self, _rate: int) -> str:
        """For a report."""
        return f"nothing above {self.hertz:.0f} Hz"


@dataclass(frozen=True)
class LostSamples:
    """Spans of samples, first and one past the last, sorted and apart, that are lost in all channels."""

    spans: tuple[tuple[int, int], ...]
    kind = "gap"

    @property
    def count(self) -> int:
        """Samples lost."""
        return sum(stop - start for start, stop in self.spans)

    def describe(self, rate: int) -> str:
        """For a report."""
        listed = ", ".join(f"{a / rate:.3f}-{b / rate:.3f} s" for a, b in self.spans[:4])
        more = f" and {len(self.spans) - 4} more" if len(self.spans) > 4 else ""
        return f"{len(self.spans)} gap(s), {1000 * self.count / rate:.0f} ms in all: {listed}{more}"


@dataclass(frozen=True)
class Cut:
    """Samples beyond two levels were cut off there; infinite where not."""

    low: float
    high: float
    kind = "clip"

    def describe(self, _rate: int) -> str:
        """For a report."""
        return f"clipped at {' and '.join(f'{v:.4g}' for v in (self.low, self.high) if math.isfinite(v))}"


@dataclass(frozen=True)
class Rounded:
    """Samples lie on a grid of this step; offset in steps."""

    step: float
    offset: float = 0.0
    kind = "quantise"

    def describe(self, _rate: int) -> str:
        """For a report."""
        return f"rounded to {1 - math.log2(self.step):.3g} bits"


@dataclass(frozen=True, eq=False)
class Noisy:
    """Noise was added: (bin,) standard deviations of white noise of the same density, or one number."""

    profile: Tensor
    kind = "noise"

    def describe(self, _rate: int) -> str:
        """For a report."""
        std = Noise(self.profile).std
        shape = "white" if Noise(self.profile).white else "coloured"
        return f"{shape} noise of {20 * math.log10(std):.1f} dB re full scale"


Fault = LostBand | LostSamples | Cut | Rounded | Noisy


def scaled(fault: Fault, gain: float) -> Fault:
    """The fault of a recording that is multiplied by `gain`."""
    if isinstance(fault, Cut):
        return Cut(fault.low * gain, fault.high * gain)
    if isinstance(fault, Rounded):
        return replace(fault, step=fault.step * gain)
    return Noisy(fault.profile * gain) if isinstance(fault, Noisy) else fault


def shifted(fault: Fault, samples: int) -> Fault:
    """The fault of a recording that begins so many samples earlier."""
    if not isinstance(fault, LostSamples):
        return fault
    return LostSamples(tuple((start + samples, stop + samples) for start, stop in fault.spans))


def within(fault: Fault, start: int, stop: int) -> Fault:
    """The fault as samples [start, stop) of the recording have it, counted from `start`."""
    if not isinstance(fault, LostSamples):
        return fault
    cut = ((max(a, start) - start, min(b, stop) - start) for a, b in fault.spans)
    return LostSamples(tuple(span for span in cut if span[0] < span[1]))


def known_mask(spans: Sequence[tuple[int, int]], length: int) -> Tensor:
    """(length,) True where a sample is in no span."""
    known = torch.ones(length, dtype=torch.bool)
    for start, stop in spans:
        known[start:stop] = False
    return known


def operator_of(fault: Fault, rate: int, length: int) -> Restorable | None:
    """The operator of a fault of a recording of so many samples; None for noise, which is no function of x."""
    if isinstance(fault, LostBand):
        return Band(rate, rate, fault.hertz)
    if isinstance(fault, LostSamples):
        return Gap(known_mask(fault.spans, length))
    if isinstance(fault, Cut):
        return Clip(fault.low, fault.high)
    return Quantise(fault.step, fault.offset) if isinstance(fault, Rounded) else None


def explained(
    y: Tensor, faults: Sequence[Fault], rate: int, prior_rate: int, rest: Tensor
) -> tuple[Restorable, Tensor] | None:
    """The operator of faults on what a prior works on, and what it has to explain; None where there is but noise.

    y: (batch, 1, time) at `rate`; rest: of the same shape, what the prior's rate cannot hold or knows nothing of.
    In full that is a band, the rest added, and the faults one after the other. A missing band that comes first is
    one with the band from rate to rate; where it is all, what is known is brought to the prior's rate once and for
    all: the same projection, at that rate's cost.
    """
    hard = [fault for fault in faults if not isinstance(fault, Noisy)]
    if not hard:
        return None
    operators: list[Restorable] = []
    if rate != prior_rate:
        cutoff = math.inf
        first = hard[0]
        if isinstance(first, LostBand):
            cutoff, hard = first.hertz, hard[1:]
            rest = Band(rate, rate, cutoff).forward(rest)
            if not hard:
                return Band(prior_rate, prior_rate, cutoff), Band(rate, prior_rate, cutoff).forward(y - rest)
        operators = [Band(prior_rate, rate, cutoff), Added(rest)]
    for fault in hard:
        operator = operator_of(fault, rate, y.shape[-1])
        operators += [operator] if operator is not None else []
    return (operators[0] if len(operators) == 1 else Chain(operators)), y


def at_other_rate(profile: Tensor, rate: int, other: int) -> Tensor:
    """A noise profile of the same density at another rate; above the old band hardly any."""
    if len(profile) == 1 and other > rate:
        profile = profile.expand(1025)
    share = min(1.0, other / rate)
    bins = max(2, round((len(profile) - 1) * share) + 1) if len(profile) > 1 else 1
    kept = profile[:bins] * (other / rate) ** 0.5
    if other <= rate:
        return kept
    whole = round((len(profile) - 1) * other / rate) + 1
    return torch.cat([kept, kept.new_full((max(0, whole - len(kept)),), 1e-6)])
