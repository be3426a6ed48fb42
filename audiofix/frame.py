"""A recording with ends that fade, of a length that two rates share: for filters round a circle."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

SECONDS = 0.1  # that are added at each end
PRIMES = (2, 3, 5, 7)  # FFTs of lengths without a larger factor are ten times as fast as of others


@dataclass(frozen=True, eq=False)
class Frame:
    """y and a finite guess of it, (channel, 1, time') both, `lead` samples before the recording's `length`."""

    y: Tensor
    finite: Tensor
    lead: int
    length: int

    def inner(self, x: Tensor) -> Tensor:
        """(channel, 1, time') to the recording's own samples, (channel, time)."""
        return x[:, 0, self.lead : self.lead + self.length]


def framed(y: Tensor, finite: Tensor, rate: int, block: int) -> Frame:
    """Put (channel, time) between mirrored ends that fade to silence; the length becomes `block` times a `smooth`.

    What is mirrored is the guess, so that no gap is; it counts as recorded. So do zeros after it.
    """
    length = y.shape[-1]
    margin, total = extent(length, rate, block)
    head, tail = faded_ends(finite, margin)
    whole = torch.cat([head, finite[:, None], tail], dim=-1)
    whole = pad(whole, (0, total - whole.shape[-1]))
    observed = whole.clone()
    observed[:, 0, margin : margin + length] = y
    return Frame(observed, whole, margin, length)


def extent(length: int, rate: int, block: int) -> tuple[int, int]:
    """Samples before a recording of so many, and samples of its frame in all."""
    margin = min(math.ceil(SECONDS * rate), length - 1)
    return margin, smooth(-(-(length + 2 * margin) // block)) * block


def faded_ends(finite: Tensor, margin: int) -> tuple[Tensor, Tensor]:
    """What comes before and after (channel, time): its ends mirrored and faded, (channel, 1, margin) each."""
    fade = torch.linspace(0, math.pi / 2, margin + 2, dtype=finite.dtype)[1:-1].sin().square()
    head, tail = finite[:, None, 1 : margin + 1], finite[:, None, finite.shape[-1] - 1 - margin : -1]
    return head.flip(-1) * fade, tail.flip(-1) * fade.flip(0)


def smooth(least: int) -> int:
    """The least number from `least` >= 1 on whose prime factors are all in PRIMES: 4 % more at most from 1000."""
    number = least
    while True:
        rest = number
        for prime in PRIMES:
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return number
        number += 1
