"""Clean windows varied as recordings vary: how bright they are, and how loud the room and the amplifier hiss.

A prior that learnt from prompts with digital silence in the pauses continues any recording with silence, so that
the highs it adds to a voice over hiss come out 20 dB too quiet between the words (models/recipes/EXPERIMENTS.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from audiofix.errors import SettingError
from audiofix.numerics.schedule import ROUNDING
from audiofix.training.degrade import POINTS, Range, equalise

ROUNDED_SIGMAS = (3e-4, 0.06)  # of steps of 11 bits to less than 4 at full scale
HISS_CURVE_DB = 6.0  # hiss is not white: a smooth gain within this, at the equaliser's points


@dataclass(frozen=True)
class Variation:
    """How single sources are varied: probabilities of a window, ranges (low, high) drawn uniformly.

    Raises SettingError for a range upside down or a probability outside [0, 1].
    """

    equalise: float = 0.0
    equalise_db: Range = (-8.0, 8.0)  # of a smooth curve over log frequency
    hiss: float = 0.0
    hiss_db: Range = (-95.0, -60.0)  # RMS re full scale
    rounded: float = 0.0  # instead of Gaussian noise the error of rounding, which is about as large

    def __post_init__(self) -> None:
        for name in ("equalise", "hiss", "rounded"):
            if not 0 <= getattr(self, name) <= 1:
                raise SettingError(f"variation: {name} is a probability, {getattr(self, name)}; give 0 to 1")
            low, high = getattr(self, f"{name}_db", (0.0, 0.0))
            if low > high:
                raise SettingError(f"variation: {name}_db ({low}, {high}) is upside down; give (low, high)")


def varied(clean: Tensor, how: Variation, sample_rate: int, generator: Generator) -> Tensor:
    """(batch, time), some windows equalised, some with steady coloured noise; peaks stay within full scale.

    The noise belongs to the source from then on: a prior of recordings, not of sounds in a void.
    """
    if not (how.equalise or how.hiss):
        return clean
    rows = [_one(row, how, sample_rate, generator) for row in clean.numpy()]
    found = torch.from_numpy(np.stack(rows))
    return found / found.abs().amax(dim=1, keepdim=True).clamp(min=1.0)


def with_rounding(clean: Tensor, sigma: Tensor, noise: Tensor, share: float, generator: Generator) -> Tensor:
    """Unit noise (batch, time), in a share of windows the error of rounding to steps of sigma / ROUNDING instead.

    clean: (batch, time); sigma: (batch,). Only levels that rounding is met at (ROUNDED_SIGMAS) have it. A denoiser
    that has seen it knows of rounding what is not in its level: that it depends on the sound, and what it leaves
    of pauses.
    """
    if not share:
        return noise
    low, high = ROUNDED_SIGMAS
    chosen = torch.from_numpy(generator.uniform(size=len(clean)) < share) & (sigma >= low) & (sigma <= high)
    step = (sigma / ROUNDING)[:, None]
    error = ((clean / step).round() * step - clean) / sigma[:, None]
    return torch.where(chosen[:, None], error, noise)


def _one(
    x: np.ndarray[tuple[int], np.dtype[np.float32]], how: Variation, sample_rate: int, generator: Generator
) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    if generator.random() < how.equalise:
        x = equalise(x, generator.uniform(*how.equalise_db, POINTS).astype(np.float32), sample_rate)
    if generator.random() < how.hiss:
        curve = generator.uniform(-HISS_CURVE_DB, HISS_CURVE_DB, POINTS).astype(np.float32)
        noise = equalise(generator.standard_normal(len(x), dtype=np.float32), curve, sample_rate)
        level = 10 ** (generator.uniform(*how.hiss_db) / 20) / np.sqrt(np.mean(np.square(noise)))
        x = x + noise * np.float32(level)
    return x.astype(np.float32)
