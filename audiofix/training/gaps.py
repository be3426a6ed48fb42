"""Simulated gaps: windows of one source with samples lost, filled as the classical way fills them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor

from audiofix.errors import SettingError
from audiofix.numerics.fills import KINDS, USUAL, Fills
from audiofix.operators.gap import classical_fills
from audiofix.training.data import Folder, training_batch
from audiofix.training.degrade import Range, transpose

KNOWN_MS = 40.0  # known at least between gaps and at the ends, and at least as much as a gap takes
PLACES = 20  # tried for each gap


@dataclass(frozen=True)
class Gaps:
    """How gaps are drawn. Raises SettingError for numbers below one and for ranges upside down."""

    most: int = 4  # gaps in a window, from one up
    length_ms: Range = (8.0, 240.0)  # log-uniform; one length in a window, as error counts in dB
    # Windows that are filled in all, each coming back at other gains and noise; 0 fills new ones for ever. Filling
    # takes the classical way longer than a step takes the network.
    pool: int = 0
    orders: Sequence[int] = USUAL.orders  # of the two fills that the network is shown
    kind: str = USUAL.kind  # of these fills, see `numerics/fills.py`
    semitones: Range = (0.0, 0.0)  # windows are played faster by so much: voices of more speakers

    def __post_init__(self) -> None:
        if self.pool < 0:
            raise SettingError(f"gaps: pool {self.pool}; give a number of windows, or 0 for new ones always")
        if len(self.orders) != 2 or min(self.orders) < 1:
            raise SettingError(f"gaps: orders {self.orders}; give two whole numbers above 0")
        if self.kind not in KINDS:
            raise SettingError(f"gaps: kind {self.kind!r}; fills are {', '.join(KINDS)}")
        if self.most < 1 or len(self.length_ms) != 2 or not 0 < self.length_ms[0] <= self.length_ms[1]:
            raise SettingError(
                f"gaps: most {self.most} and length_ms {self.length_ms}; give a count of 1 or more and (low, "
                "high) above 0"
            )
        if self.semitones[0] > self.semitones[1]:
            raise SettingError(f"gaps: semitones {self.semitones} are upside down; give (low, high)")

    @property
    def fills(self) -> Fills:
        """What the network is shown."""
        return Fills(tuple(self.orders), self.kind)


@dataclass(frozen=True, eq=False)
class Gapped:
    """A batch: clean (batch, time), its classical fills (batch, 2, time), lost (batch, time) 1 where lost."""

    clean: Tensor
    fills: Tensor
    lost: Tensor


def simulated_gaps(
    folder: Folder, batch: int, length: int, gain_db: Range, how: Gaps, generator: Generator
) -> Gapped:
    """Windows at random gain and polarity, each with gaps. Everything drawn comes from `generator`."""
    clean = _transposed(folder, batch, length, gain_db, how.semitones, generator)
    lost = np.zeros((batch, length), np.float32)
    fills = np.empty((batch, 2, length), np.float32)
    for row, wave in enumerate(clean.numpy()):
        places = draw_gaps(length, folder.sample_rate, how, generator)
        for start, stop in places:
            lost[row, start:stop] = 1
        fills[row] = classical_fills(wave, places, how.fills)
    return Gapped(clean, torch.from_numpy(fills), torch.from_numpy(lost))


def _transposed(
    folder: Folder, batch: int, length: int, gain_db: Range, semitones: Range, generator: Generator
) -> Tensor:
    """`training_batch` whose windows are each transposed by so much, drawn uniformly."""
    if not any(semitones):
        return training_batch(folder, batch, length, gain_db, generator)
    longest = math.ceil(length * 2 ** (max(0.0, semitones[1]) / 12))
    clean = training_batch(folder, batch, longest, gain_db, generator).numpy()
    rows = [transpose(row, generator.uniform(*semitones), length) for row in clean]
    return torch.from_numpy(np.stack(rows))


def pooled_gaps(
    folder: Folder,
    batch: int,
    length: int,
    gain_db: Range,
    how: Gaps,
    seed: int,
    generator: Generator,
    filled: dict[int, Gapped],
) -> Gapped:
    """As `simulated_gaps`, out of `how.pool` windows that follow from the seed; `filled` remembers them.

    Gains and polarity are drawn anew, within full scale. What comes does not depend on what is remembered.
    """
    items = []
    for number in generator.integers(how.pool, size=batch):
        if int(number) not in filled:
            own = np.random.default_rng([seed, 1 << 42, int(number)])
            filled[int(number)] = simulated_gaps(folder, 1, length, (0.0, 0.0), how, own)
        items.append(filled[int(number)])
    clean, fills, lost = (
        torch.cat([getattr(item, part) for item in items]) for part in ("clean", "fills", "lost")
    )
    gains = 10 ** (generator.uniform(*gain_db, size=batch) / 20) * generator.choice([-1.0, 1.0], size=batch)
    scale = torch.from_numpy(gains).float()[:, None]
    scale = scale / (scale.abs() * clean.abs().amax(dim=1, keepdim=True)).clamp(min=1.0)
    return Gapped(clean * scale, fills * scale[:, None], lost)


def draw_gaps(time: int, rate: int, how: Gaps, generator: Generator) -> Sequence[tuple[int, int]]:
    """Gaps of one length in a window of so many samples, in order, at least one, with as much known around."""
    shortest = KNOWN_MS * rate / 1000
    size = round(math.exp(generator.uniform(*np.log(how.length_ms))) * rate / 1000)
    size = max(1, min(size, int(time - 2 * shortest) // 3, time // 3))
    room = min(max(size, round(shortest)), (time - size) // 2)
    found: list[tuple[int, int]] = []
    for _ in range(int(generator.integers(1, how.most + 1))):
        for _ in range(PLACES):
            start = int(generator.integers(room, time - room - size + 1))
            if all(stop + room <= start or start + size + room <= first for first, stop in found):
                found.append((start, start + size))
                break
    return sorted(found)
