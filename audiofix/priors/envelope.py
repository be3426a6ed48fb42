"""The envelope of a missing upper band: how loud it is, told from the lower band.

A prior's draw has the fine structure of what is missing, but its level follows from noise that is 40 dB above the
quietest of it. Told directly, in decibels, the level errs by a third less (models/recipes/EXPERIMENTS.md).
"""

from __future__ import annotations

import torch
from torch import Tensor

from audiofix.nets.envelope import EnvelopeNet
from audiofix.numerics.envelope import (
    AROUND,
    HOP,
    ROUNDS,
    WINDOW,
    doubted,
    eased,
    features,
    known_bands,
    levels,
    shaped,
    spectrum,
    unscaled,
)

# Of what is told, log10 of power: a draw's phases are a guess, and of equal level it would err by 3 dB more than
# silence does. This much lower costs hardly any likeness (models/recipes/EXPERIMENTS.md).
LOWERED = -0.15


class Envelope:
    """Tells the levels of bands that are missing, and gives them to a draw."""

    def __init__(
        self,
        net: EnvelopeNet,
        sample_rate: int,
        trusted_rise_db: float | None = None,
        eased_db: float = 0.0,
    ) -> None:
        """`trusted_rise_db`: what a draw is raised by beyond it counts half; None: all of it counts.

        `eased_db`: what the loudest of its levels are lowered by.
        """
        self.net, self.sample_rate = net, sample_rate
        self.trusted_rise_db, self.eased_db = trusted_rise_db, eased_db
        net.eval().requires_grad_(False)

    @property
    def grid(self) -> int:
        """Samples between frames: parts of a recording begin at multiples of it."""
        return HOP

    @property
    def halo(self) -> int:
        """Samples to each side that a sample of a shaped draw depends on: network, frames, rounds."""
        around = AROUND if self.eased_db else 0
        return (self.net.receptive_field + around + 4) * HOP + (ROUNDS + 1) * WINDOW

    def levels(self, low: Tensor, cutoff: float) -> Tensor:
        """log10 of power of each band, (batch, frame, band), from what (batch, time) has below `cutoff` Hz."""
        edge = self._edge(low, cutoff)
        with torch.no_grad():
            told: Tensor = unscaled(self.net(features(low, edge)))
        return told

    def shape(self, x: Tensor, cutoff: float) -> Tensor:
        """(batch, time) at the working level, the bands above `cutoff` Hz at the levels that the others tell."""
        wave = x.to(next(self.net.parameters()))
        known = known_bands(self._edge(wave, cutoff))
        told = self.levels(wave, cutoff) + LOWERED
        if self.trusted_rise_db is not None:
            told = doubted(told, levels(spectrum(wave)), self.trusted_rise_db / 10)
        if self.eased_db:
            told = eased(told, known, self.eased_db / 10)
        return shaped(wave, told, known).to(x)

    def _edge(self, wave: Tensor, cutoff: float) -> Tensor:
        return torch.full(wave.shape[:1], 2 * cutoff / self.sample_rate, device=wave.device)
