"""Simulated recordings without their upper band: windows of one source, and what is left below a frequency."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch
from numpy.random import Generator
from torch import Tensor

from audiofix.errors import SettingError
from audiofix.training.data import Folder, training_batch
from audiofix.training.variation import Variation, varied

MARGIN = 2048  # samples drawn beyond a window on both sides, where a filter round a circle leaves its ends
# Up to where recordings at half, a quarter and an eighth of the rate are trusted by `LowPass`: shares of the rate.
DECIMATED = (0.2468, 0.1234, 0.0617)


@dataclass(frozen=True)
class Bands:
    """How cut-off frequencies are drawn. Raises SettingError for a range upside down or a share outside [0, 1]."""

    decimated: float = 0.6  # share of windows that are cut where decimation by 2, 4, 8 cuts
    cutoff_hz: tuple[float, float] = (900.0, 7400.0)  # log-uniform, for the others

    def __post_init__(self) -> None:
        if len(self.cutoff_hz) != 2 or not 0 < self.cutoff_hz[0] <= self.cutoff_hz[1]:
            raise SettingError(f"bands: cutoff_hz {self.cutoff_hz}; give (low, high) above 0")
        if not 0 <= self.decimated <= 1:
            raise SettingError(f"bands: decimated is a share, {self.decimated}; give 0 to 1")


@dataclass(frozen=True, eq=False)
class Banded:
    """A batch: clean and low (batch, time), the latter equal to it up to cutoff_hz (batch,) and zero above."""

    clean: Tensor
    low: Tensor
    cutoff_hz: Tensor


def simulated_bands(
    folder: Folder,
    batch: int,
    length: int,
    gain_db: tuple[float, float],
    how: Bands,
    generator: Generator,
    variation: Variation | None = None,
) -> Banded:
    """Windows at random gain and polarity, varied, each cut at a frequency. All is drawn from `generator`."""
    clean = training_batch(folder, batch, length + 2 * MARGIN, gain_db, generator)
    clean = varied(clean, variation or Variation(), folder.sample_rate, generator)
    edges = []
    for _ in range(batch):
        if generator.random() < how.decimated:
            edges.append(folder.sample_rate * float(generator.choice(DECIMATED)))
        else:
            edges.append(math.exp(generator.uniform(*np.log(how.cutoff_hz))))
    spectrum = scipy.fft.rfft(clean.numpy(), axis=1)
    hertz = scipy.fft.rfftfreq(clean.shape[1], 1 / folder.sample_rate)
    spectrum[hertz[None, :] >= np.array(edges)[:, None]] = 0
    low = torch.from_numpy(scipy.fft.irfft(spectrum, clean.shape[1], axis=1))
    inner = slice(MARGIN, MARGIN + length)
    return Banded(clean[:, inner].contiguous(), low[:, inner].contiguous(), torch.tensor(edges))
