"""Filters that look REACH seconds to each side and no further: what a file is filtered with stretch by stretch.

`Band` and `Noise` filter a whole recording at once, round a circle. These do the same in blocks that are counted
from the recording's start, so that a sample does not depend on how much of the recording is at hand, if only
REACH and a block are on either side. Their response is the ideal one smoothed by a Gaussian of SLOPE_STD Hz: a
response in time times a Gaussian that has fallen to DEPTH after REACH.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fft import irfft, rfft
from torch.nn.functional import pad

from audiofix.errors import SettingError
from audiofix.operators.noise import Noise

REACH = 0.25  # s
DEPTH = 1e-6
# exp(-2 (pi s t)^2), the window in time of a Gaussian of s Hz, is DEPTH at t = REACH.
SLOPE_STD = math.sqrt(math.log(1 / DEPTH) / 2) / (math.pi * REACH)
# Hz to each side of an edge beyond which a response differs from the ideal one by less than DEPTH: the Gaussian's
# tail, erfc(4.7534 / sqrt(2)) / 2 = 1e-6.
SLOPE = 4.7534 * SLOPE_STD

Read = Callable[[int, int], Tensor]  # samples [start, stop) of the whole (..., time), zeros outside of it


def within(x: Tensor, origin: int) -> Read:
    """Reads (..., time), whose sample 0 is sample `origin` of the whole; what is not at hand counts as zero."""

    def read(start: int, stop: int) -> Tensor:
        left, right = max(start, origin), min(stop, origin + x.shape[-1])
        if left >= right:
            return x.new_zeros(*x.shape[:-1], stop - start)
        return pad(x[..., left - origin : right - origin], (left - start, stop - right))

    return read


@dataclass(frozen=True)
class Blocks:
    """How a recording is cut at two rates at once: into blocks of REACH or little more, as much around each.

    from_rate, to_rate: Hz, whole numbers > 0. Raises SettingError for others.
    """

    from_rate: int
    to_rate: int

    def __post_init__(self) -> None:
        if min(self.from_rate, self.to_rate) <= 0:
            raise SettingError(f"rates {self.from_rate} and {self.to_rate} Hz; give positive ones")

    @property
    def seconds(self) -> float:
        """Of a block, and of the margin on either side: the least number of samples at both rates."""
        unit = math.gcd(self.from_rate, self.to_rate)
        return math.ceil(REACH * unit) / unit

    def size(self, rate: int) -> int:
        """Samples of a block at one of the rates."""
        return round(self.seconds * rate)

    def apply(self, response: Tensor, read: Read, start: int, stop: int) -> Tensor:
        """Samples [start, stop) at `to_rate` of what `read` gives at `from_rate`, filtered, (..., stop - start).

        response: (bin,) of three blocks' spectrum at the lower rate; all beyond is dropped. float64 inside.
        """
        came, goes = self.size(self.from_rate), self.size(self.to_rate)
        parts = []
        for block in range(start // goes, -(-stop // goes)):
            whole = read((block - 1) * came, (block + 2) * came)
            spectrum = rfft(whole.double())[..., : len(response)] * response.to(whole.device)
            found = irfft(spectrum, n=3 * goes)[..., goes : 2 * goes] * (goes / came)
            parts.append(found.to(whole))
        if not parts:
            return read(0, 0)
        first = start // goes * goes
        return torch.cat(parts, dim=-1)[..., start - first : stop - first]


def smoothed(weight: Tensor, size: int, rate: int) -> Tensor:
    """A response times the Gaussian in time, for `Blocks.apply` with blocks of `size` samples at `rate` Hz.

    weight: (6 size + 1,) float64, the ideal response from 0 to rate / 2, four times as fine as three blocks have
    it: what is cut off in time has not come round.
    """
    seconds = torch.arange(size + 1, dtype=torch.float64) / rate
    half = irfft(weight, n=12 * size)[: size + 1] * torch.exp(-2 * (math.pi * SLOPE_STD * seconds).square())
    whole = torch.cat([half, half.new_zeros(size - 1), half[1:].flip(0)])
    return rfft(whole).real


@dataclass(frozen=True)
class LocalBand:
    """`Band` on a stretch of a recording whose sample 0 is sample `origin` of the whole.

    y has the samples of `to_rate` that lie between the stretch's first and last. They are right where the whole is
    REACH and a block further on at hand, or at its end.

    Attributes
    ----------
    from_rate, to_rate, cutoff
        As in `Band`; but the edge lies SLOPE below the lower Nyquist frequency at most.
    origin
        At `from_rate`.
    """

    from_rate: int
    to_rate: int
    cutoff: float = math.inf
    origin: int = 0

    @property
    def blocks(self) -> Blocks:
        """How x is cut."""
        return Blocks(self.from_rate, self.to_rate)

    @property
    def edge(self) -> float:
        """Hz where half the amplitude passes."""
        return max(0.0, min(self.cutoff, min(self.from_rate, self.to_rate) / 2 - SLOPE))

    @property
    def response(self) -> Tensor:
        """(bin,) float64 of three blocks at the lower rate."""
        low = self.blocks.size(min(self.from_rate, self.to_rate))
        hertz = torch.arange((3 * low - 1) // 2 + 1, dtype=torch.float64) / (3 * self.blocks.seconds)
        return torch.special.erfc((hertz - self.edge) / (2**0.5 * SLOPE_STD)) / 2

    def span(self, time: int) -> tuple[int, int]:
        """First and one past the last sample of y, in the whole, for so many samples of x."""
        start = -(-self.origin * self.to_rate // self.from_rate)
        return start, (self.origin + time) * self.to_rate // self.from_rate

    def over(self, read: Read, start: int, stop: int) -> Tensor:
        """Samples [start, stop) of y, counted in the whole, from x as `read` gives it."""
        return self.blocks.apply(self.response, read, start, stop)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, source, time) to (batch, source, time')."""
        return self.over(within(x, self.origin), *self.span(x.shape[-1]))

    def back(self, x: Tensor, y: Tensor) -> Tensor:
        """The band of y at the rate of x, and of its shape."""
        start, _ = self.span(x.shape[-1])
        other = LocalBand(self.to_rate, self.from_rate, self.cutoff)
        return other.over(within(y, start), self.origin, self.origin + x.shape[-1])

    def pullback(self, x: Tensor, residual: Tensor) -> Tensor:
        """The adjoint but for DEPTH, as blocks are cut."""
        return self.back(x, residual) * (self.to_rate / self.from_rate)

    def start(self, y: Tensor, sources: int) -> Tensor:
        """The known band, of a stretch that both rates divide: (batch, 1 or sources, time') to x's shape."""
        time = y.shape[-1] * self.from_rate // self.to_rate
        return self.back(y.new_zeros(*y.shape[:-1], time), y).expand(-1, sources, -1)

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """The known band from y, the rest from x; on the slope a mean. x that explains y stays as it is."""
        return x + self.back(x, y - self.forward(x))


@dataclass(frozen=True, eq=False)
class LocalNoise(Noise):
    """`Noise` of a stretch whose sample 0 is sample `origin` of the whole, at `rate` Hz."""

    rate: int = 16000
    origin: int = 0

    def response(self, variance: float) -> Tensor:
        """(bin,) weight of the recording against an estimate, smoothed: float64, all bins of three blocks."""
        size = Blocks(self.rate, self.rate).size(self.rate)
        place = torch.arange(6 * size + 1, dtype=torch.float64) * (2 * (len(self.profile) - 1) / (12 * size))
        below = place.long().clamp(max=len(self.profile) - 2)
        power = self.profile.double().square()
        weight = variance / (variance + torch.lerp(power[below], power[below + 1], place - below))
        return smoothed(weight, size, self.rate)

    def combine(self, estimate: Tensor, y: Tensor, variance: float) -> Tensor:
        """As `Noise.combine`, right where the whole is REACH and a block further on at hand."""
        if self.white:
            return super().combine(estimate, y, variance)
        read, blocks = within(y - estimate, self.origin), Blocks(self.rate, self.rate)
        last = self.origin + y.shape[-1]
        return estimate + blocks.apply(self.response(variance), read, self.origin, last)
