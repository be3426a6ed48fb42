"""Simulated recordings of one source: windows with gaps, without highs, clipped, rounded or noisy.

Waves are NumPy float32 (time,), full scale ±1; only `simulated_recordings` hands over tensors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from audiofix.errors import SettingError
from audiofix.numerics.evidence import Evidence, trust_in
from audiofix.operators.gap import classical_fills
from audiofix.training.data import Folder

Wave = NDArray[np.float32]
Range = tuple[float, float]  # (low, high)

FAULTS = ("gaps", "highs", "clip", "bits", "noise")
MARGIN = 2048  # samples drawn beyond a window on both sides, where a filter round a circle leaves its ends
# Up to where recordings at half, a quarter and an eighth of the rate are trusted by `LowPass`: shares of the rate.
DECIMATED = (0.2468, 0.1234, 0.0617)


@dataclass(frozen=True)
class Recordings:
    """Which faults are simulated and how severe they are; weights are relative, ranges (low, high).

    Raises SettingError for a weight below zero, for none above it, and for a range upside down.
    """

    gaps: float = 3.0
    highs: float = 3.0
    clip: float = 1.0
    bits: float = 1.0
    noise: float = 1.0
    second: float = 0.15  # probability that another fault comes on top
    gap_ms: Range = (5.0, 250.0)  # log-uniform; one to four gaps in a window
    cutoff_hz: Range = (900.0, 7400.0)  # log-uniform, for four in ten; the others are decimated by 2, 4, 8
    clip_sdr_db: Range = (2.0, 20.0)
    depth_bits: Range = (3.5, 9.0)
    noise_db: Range = (0.0, 30.0)  # signal to noise ratio

    def __post_init__(self) -> None:
        weights = [getattr(self, name) for name in FAULTS]
        if min(weights) < 0 or sum(weights) == 0:
            raise SettingError(
                f"recordings: weights {weights} of {', '.join(FAULTS)}; give 0 or more, one above"
            )
        for name in ("gap_ms", "cutoff_hz", "clip_sdr_db", "depth_bits", "noise_db"):
            low, high = getattr(self, name)
            if low > high:
                raise SettingError(f"recordings: {name} ({low}, {high}) is upside down; give (low, high)")
        if not 0 <= self.second <= 1:
            raise SettingError(f"recordings: second is a probability, {self.second}; give 0 to 1")


@dataclass(frozen=True, eq=False)
class Recorded:
    """A batch: clean (batch, time), the evidence of it, and where the error counts.

    `heard`: (batch, time) the recording at the signal's rate, gaps silent. `lost`: (batch, time) 1 where an error
    in time counts. `kept_hz`: (batch,) 0, or the frequency up to which the recording is right everywhere, so that
    only errors above it count. `faults`: their names, joined with +.
    """

    clean: Tensor
    heard: Tensor
    evidence: Evidence
    lost: Tensor
    kept_hz: Tensor
    faults: tuple[str, ...]


def simulated_recordings(
    folder: Folder,
    batch: int,
    length: int,
    gain_db: Range,
    how: Recordings,
    generator: Generator,
) -> Recorded:
    """Windows at random gain and polarity, each with a fault or two. Everything drawn comes from `generator`."""
    items = [_item(folder, length, gain_db, how, generator) for _ in range(batch)]
    clean, heard, guesses, trust, lost, kept, faults = zip(*items, strict=True)

    def stacked(waves: Sequence[Wave]) -> Tensor:
        return torch.from_numpy(np.stack(waves).astype(np.float32))

    evidence = Evidence(stacked(guesses), stacked(trust))
    return Recorded(stacked(clean), stacked(heard), evidence, stacked(lost), torch.tensor(kept), faults)


def _item(
    folder: Folder, length: int, gain_db: Range, how: Recordings, generator: Generator
) -> tuple[Wave, Wave, Wave, Wave, Wave, float, str]:
    rate = folder.sample_rate
    clean: Wave = folder.window(length + 2 * MARGIN, generator).numpy()
    clean *= np.float32(10 ** (generator.uniform(*gain_db) / 20) * generator.choice((-1.0, 1.0)))
    clean /= np.float32(max(1.0, float(np.abs(clean).max())))
    weights = np.array([getattr(how, name) for name in FAULTS])
    wanted = 2 if generator.random() < how.second else 1
    wanted = min(wanted, int((weights > 0).sum()))
    chosen = generator.choice(FAULTS, size=wanted, replace=False, p=weights / weights.sum())
    heard: Wave = clean
    error: Wave = np.zeros(len(clean), np.float32)
    kept = 0.0
    gaps: list[tuple[int, int]] = []
    # In the order in which they happen to a recording.
    for fault in sorted(chosen, key=("highs", "noise", "clip", "bits", "gaps").index):
        if fault == "highs":
            heard, kept = _without_highs(heard, rate, how, generator)
        elif fault == "noise":
            heard, size = _noisy(heard, how, generator)
            error = np.hypot(error, np.float32(size))
        elif fault == "clip":
            heard, clipped = _clipped(heard, how, generator)
            error[clipped] = np.inf
        elif fault == "bits":
            heard, size = _rounded(heard, how, generator)
            error = np.hypot(error, np.float32(size))
        else:
            gaps = _gaps(len(heard), rate, how, generator)
    guesses = classical_fills(heard, gaps) if gaps else np.stack([heard] * 2)
    heard = heard.copy()
    for start, stop in gaps:
        error[start:stop], heard[start:stop] = np.inf, 0
    lost = np.ones(len(clean), np.float32)
    if not {"bits", "noise", "highs"} & set(chosen):
        lost = np.isinf(error).astype(np.float32)
    inner = slice(MARGIN, MARGIN + length)
    if len(chosen) > 1 or not lost[inner].any():
        kept = 0.0
        lost = lost if lost[inner].any() else np.ones_like(lost)
    trust = trust_in(torch.from_numpy(error.astype(np.float32))).numpy()
    return clean[inner], heard[inner], guesses[:, inner], trust[inner], lost[inner], kept, "+".join(chosen)


def _without_highs(x: Wave, rate: int, how: Recordings, generator: Generator) -> tuple[Wave, float]:
    """Nothing above a frequency, everything below it unchanged: what inverting a low-pass filter leaves."""
    if generator.random() < 0.4:
        cutoff = math.exp(generator.uniform(*np.log(how.cutoff_hz)))
    else:
        cutoff = rate * float(generator.choice(DECIMATED))
    spectrum = scipy.fft.rfft(x)
    spectrum[math.ceil(cutoff * len(x) / rate) :] = 0
    return scipy.fft.irfft(spectrum, len(x)), cutoff


def _noisy(x: Wave, how: Recordings, generator: Generator) -> tuple[Wave, float]:
    size = max(_rms(x), 1e-3) * 10 ** (-generator.uniform(*how.noise_db) / 20)
    return x + np.float32(size) * generator.standard_normal(len(x), dtype=np.float32), size


def _clipped(x: Wave, how: Recordings, generator: Generator) -> tuple[Wave, NDArray[np.bool_]]:
    """Clipped at the level that gives the signal-to-distortion ratio drawn."""
    wanted, low, high = generator.uniform(*how.clip_sdr_db), 0.0, float(np.abs(x).max())
    power = float(x @ x)
    for _ in range(12):  # to a four-thousandth of the peak
        level = (low + high) / 2
        error = x - x.clip(-level, level)
        wider = power < 10 ** (wanted / 10) * float(error @ error)
        low, high = (level, high) if wider else (low, level)
    return x.clip(-level, level), np.abs(x) >= level


def _rounded(x: Wave, how: Recordings, generator: Generator) -> tuple[Wave, float]:
    """Rounded to a grid of 2^bits steps over ±1 that has a level at zero."""
    step = 2.0 ** (1 - generator.uniform(*how.depth_bits))
    return (np.round(x / step) * step).astype(np.float32), step / 2


def _gaps(time: int, rate: int, how: Recordings, generator: Generator) -> list[tuple[int, int]]:
    """One to four gaps inside the window, each with as much known on both sides."""
    found: list[tuple[int, int]] = []
    for _ in range(int(generator.integers(1, 5))):
        size = round(math.exp(generator.uniform(*np.log(how.gap_ms))) * rate / 1000)
        start = int(generator.integers(MARGIN, max(MARGIN + 1, time - MARGIN - size)))
        room = max(size, 640)
        if all(stop + room < start or start + size + room < first for first, stop in found):
            found.append((start, start + size))
    return sorted(found)


def _rms(x: Wave) -> float:
    return math.sqrt(float(x @ x) / len(x))
