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
    margin = min(math.ceil(SECONDS * rate), length - 1)
    fade = torch.linspace(0, math.pi / 2, margin + 2, dtype=y.dtype)[1:-1].sin().square()
    whole = pad(finite[:, None], (margin, margin), mode="reflect") if margin else finite[:, None].clone()
    whole[..., :margin] *= fade
    whole[..., whole.shape[-1] - margin :] *= fade.flip(0)
    whole = pad(whole, (0, smooth(-(-whole.shape[-1] // block)) * block - whole.shape[-1]))
    observed = whole.clone()
    observed[:, 0, margin : margin + length] = y
    return Frame(observed, whole, margin, length)


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
