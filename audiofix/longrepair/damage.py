"""What is known of a long recording, stretch by stretch, by operators that look no further than they must."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from audiofix.damages import Fault, LostBand, Noisy, operator_of, within
from audiofix.longrepair.lengths import filled, moved
from audiofix.operators.base import Restorable
from audiofix.operators.chain import ROUNDS, Added, Chain
from audiofix.operators.local import Blocks, LocalBand, LocalNoise
from audiofix.operators.noise import Noise
from audiofix.restoration import Damage
from audiofix.runtime.stores import MakeStore, Store

Span = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Known:
    """A recording in its frame and at the working level, and its faults there.

    y: (channel, 1, time') at `rate`; begin: the first guess at the prior's `low` rate; rest: of the shape of y,
    what the prior knows nothing of, None where the rates are one; profile: of the noise at the prior's rate.
    """

    y: Store
    begin: Store
    rest: Store | None
    faults: Sequence[Fault]
    rate: int
    low: int
    cutoff: float = math.inf  # Hz, of the band through which the prior's sound is heard
    profile: Tensor | None = None
    alone: bool = False  # a missing band is all, and y is at the prior's rate already

    @property
    def reach(self) -> int:
        """Samples at the prior's rate that the explanation of one depends on, on each side."""
        bands = sum(isinstance(fault, LostBand) for fault in self.faults)
        operators = sum(not isinstance(fault, Noisy) for fault in self.faults)
        if self.rest is not None and operators:
            bands, operators = bands + 1, operators + 2  # the change of rate, and the rest
        coloured = self.profile is not None and not Noise(self.profile).white
        # A projection filters there and back; each time a block and as much around it is lost at the ends.
        filters = 2 * bands * (ROUNDS if operators > 1 else 1) + coloured
        return 2 * filters * Blocks(self.rate, self.low).size(self.low)

    def damage(self, span: Span) -> Damage:
        """What is known of samples [left, right) at the prior's rate."""
        left, right = span
        noise = None if self.profile is None else LocalNoise(self.profile, self.low, left)
        operator, y = self._explained(left, right)
        return Damage(operator, y, noise)

    def _explained(self, left: int, right: int) -> tuple[Restorable | None, Tensor]:
        hard = [fault for fault in self.faults if not isinstance(fault, Noisy)]
        if self.alone:
            return LocalBand(self.low, self.low, self.cutoff, left), self.y.read(left, right)
        if not hard:
            return None, self.begin.read(left, right)
        operators: list[Restorable] = []
        if self.rest is not None:
            band = LocalBand(self.low, self.rate, self.cutoff, left)
            left, right = band.span(right - left)
            operators = [band, Added(self.rest.read(left, right))]
        for fault in hard:
            one: Restorable | None
            if isinstance(fault, LostBand):
                one = LocalBand(self.rate, self.rate, fault.hertz, left)
            else:
                one = operator_of(within(fault, left, right), self.rate, right - left)
            operators += [one] if one is not None else []
        return (operators[0] if len(operators) == 1 else Chain(operators)), self.y.read(left, right)


def known(
    y: Store,
    begin: Store,
    rest: Store | None,
    faults: Sequence[Fault],
    rate: int,
    low: int,
    profile: Tensor | None,
    make: MakeStore,
) -> Known:
    """As `damages.explained`: a missing band that comes first is one with the band between the rates."""
    hard = [fault for fault in faults if not isinstance(fault, Noisy)]
    first = hard[0] if hard else None
    if rest is None or not isinstance(first, LostBand):
        return Known(y, begin, rest, faults, rate, low, profile=profile)
    heard = moved(make, rest, LocalBand(rate, rate, first.hertz), rest.stop)
    others = [fault for fault in faults if fault is not first]
    if len(hard) > 1:
        return Known(y, begin, heard, others, rate, low, first.hertz, profile)
    channels = len(y.read(0, 0))
    less = filled(make, (channels, 1), y.stop, lambda a, b: y.read(a, b) - heard.read(a, b))
    there = moved(make, less, LocalBand(rate, low, first.hertz), begin.stop)
    return Known(there, begin, None, faults, rate, low, first.hertz, profile, alone=True)
