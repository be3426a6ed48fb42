"""What a recording says of the signal, in the form that a network is shown: guesses and the trust in them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

RECORDED = 3  # waves of evidence: two guesses and the trust in them
# A sample whose error is this large, full-scale amplitude, is trusted by half.
HALF_TRUSTED = 0.01


@dataclass(frozen=True, eq=False)
class Evidence:
    """Guesses of the signal and the trust in them, at the signal's own rate.

    Attributes
    ----------
    guesses
        (batch, 2, time) linear amplitude: classical restorations of the same recording. The first is the one that
        a network's answer is counted from; they differ in gaps alone, where they come of different orders.
    trust
        (batch, time) in 0 ... 1: 1 where a sample is known exactly, 0 where it is lost (`trust_in`).
    """

    guesses: Tensor
    trust: Tensor

    @property
    def recorded(self) -> Tensor:
        """(batch, 3, time), as the network takes it; all zeros means that nothing was recorded."""
        return torch.cat([self.guesses, self.trust[:, None]], dim=1)


def trust_in(error: Tensor) -> Tensor:
    """Trust in samples with a possible error of so much, full-scale amplitude; infinite where they are lost."""
    return HALF_TRUSTED / (HALF_TRUSTED + error)


def known_exactly(guess: Tensor) -> Evidence:
    """Evidence of (batch, time) samples that are right as far as they go, such as a low-passed recording."""
    return Evidence(torch.stack([guess, guess], dim=1), torch.ones_like(guess))
