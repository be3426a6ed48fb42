"""First guesses of a long recording: `audiofix.guesses`, stretch by stretch, each with what it depends on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from audiofix.audio.loudness import Level
from audiofix.baselines.declipping import declip_interpolated
from audiofix.baselines.denoising import wiener_in_order
from audiofix.damages import Cut, Fault, LostSamples, Noisy, Rounded, within
from audiofix.guesses import (
    fill_order,
    noise_frame,
    sparse_guess,
    sparse_settings,
    to_recognise,
)
from audiofix.longrepair.lengths import STRETCH, at_rate
from audiofix.numerics.fills import Fills
from audiofix.operators.autoregression import nearby
from audiofix.operators.gap import classical_fills, reach_of
from audiofix.runtime.ranks import Ranks, pieces
from audiofix.runtime.stores import MakeStore, Store

# Samples on each side of a stretch that a spline is laid through. What is 64 reliable samples further on changes
# it by 2^-64: its equations are dominated by their diagonal twice over.
SPLINED = 1 << 14
PARTS = 8  # of a stretch, for processes that share it: a power of two
EXCERPT_SECONDS = 10.0  # that tell what sounds; 8 of them are looked at
SILENT = 1e-6  # amplitude

ReadRow = Callable[[int, int], NDArray[np.float64]]
Rows = Iterator[NDArray[np.float64]]


def first_guess(
    y: Store, rate: int, faults: Sequence[Fault], make: MakeStore, ranks: Ranks | None = None
) -> Store:
    """As `guesses.first_guess` of (channel, 1, time), all of it in each process; y itself where all is known."""
    guess = y
    spans = sorted(span for fault in faults if isinstance(fault, LostSamples) for span in fault.spans)
    if spans:
        guess = copy_of(y, make)
        how = Fills((fill_order(rate),))
        (ranks or Ranks()).shared(spans, lambda place: fill(y, spans, place, how), guess)
    for fault in faults:
        if isinstance(fault, Cut):
            guess = _splined(guess, fault, make)
    return guess


def copy_of(y: Store, make: MakeStore) -> Store:
    """The same samples, to be written to."""
    copy = make((len(y.read(0, 0)), 1), 0, y.stop)
    for start, stop in pieces(0, y.stop, STRETCH):
        copy.write(start, y.read(start, stop))
    return copy


def fill(y: Store, spans: Sequence[tuple[int, int]], place: int, how: Fills) -> Tensor:
    """What autoregression puts into a gap, (channel, order, time), as `classical_fills` of the whole does."""
    start, stop = spans[place]
    left, right = nearby(spans, place, y.stop, reach_of(how))
    lost = [(start - left, stop - left)]
    rows = [
        classical_fills(row[0].double().numpy(), lost, how)[:, start - left : stop - left]
        for row in y.read(left, right)
    ]
    return torch.from_numpy(np.stack(rows))


def _splined(guess: Store, fault: Cut, make: MakeStore) -> Store:
    result = make((len(guess.read(0, 0)), 1), 0, guess.stop)
    for start, stop in pieces(0, guess.stop, STRETCH):
        left, right = max(0, start - SPLINED), min(guess.stop, stop + SPLINED)
        rows = guess.read(left, right)[:, 0]
        whole = [declip_interpolated(row.double().numpy(), fault.low, fault.high) for row in rows]
        found = torch.from_numpy(np.stack(whole)).float()
        result.write(start, found[:, None, start - left : stop - left])
    return result


def sparse(
    y: Store, rate: int, faults: Sequence[Fault], make: MakeStore, ranks: Ranks | None = None
) -> Store | None:
    """As `guesses.sparse_guess` of (channel, 1, time), the very same: frames are counted from the file's start.

    Several processes share the stretches, and each has all of the result.
    """
    fault = faults[0] if len(faults) == 1 else None
    if not isinstance(fault, Cut | Rounded):
        return None
    frame, ranks = sparse_settings(fault, rate).frame, ranks or Ranks()
    spans = list(pieces(0, y.stop, STRETCH if ranks.size == 1 else max(frame, STRETCH // PARTS)))
    result = make((len(y.read(0, 0)), 1), 0, y.stop)

    def work(index: int) -> Tensor:
        start, stop = spans[index]
        left, right = max(0, start - frame), min(y.stop, stop + frame)
        found = sparse_guess(y.read(left, right)[:, 0], rate, faults)
        assert found is not None
        return found[:, None, start - left : stop - left]

    ranks.shared(spans, work, result)
    return result


def without_noise(wave: Store, rate: int, faults: Sequence[Fault], make: MakeStore) -> Store:
    """As `guesses.without_noise` of (channel, 1, time), the very same; the store itself without noise."""
    profile = next((fault.profile for fault in faults if isinstance(fault, Noisy)), None)
    if profile is None:
        return wave
    known = profile.double().numpy() if len(profile) > 1 else float(profile[0])
    return in_order(
        wave, make, lambda read, time: wiener_in_order(read, time, known, noise_frame(rate), STRETCH)
    )


def in_order(wave: Store, make: MakeStore, work: Callable[[ReadRow, int], Rows]) -> Store:
    """What `work` makes of each channel of (channel, 1, time), stretch after stretch."""
    channels = len(wave.read(0, 0))
    result = make((channels, 1), 0, wave.stop)

    def reads(channel: int) -> ReadRow:
        return lambda start, stop: wave.read(start, stop)[channel, 0].double().numpy()

    at = 0
    for found in zip(*[work(reads(channel), wave.stop) for channel in range(channels)], strict=True):
        result.write(at, torch.from_numpy(np.stack(found))[:, None].float())
        at += len(found[0])
    return result


def excerpt(y: Store, rate: int, faults: Sequence[Fault]) -> Tensor:
    """`guesses.to_recognise` of (channel, time) from the middle, or where the middle is silent further on."""
    size = min(y.stop, round(EXCERPT_SECONDS * rate))
    middle = (y.stop - size) // 2
    starts = [middle, *range(middle + size, y.stop - size, size), *range(0, middle, size)]
    for start in starts:
        part = y.read(start, start + size)[:, 0]
        if float(part.abs().max()) > SILENT:
            break
    here = [within(fault, start, start + size) for fault in faults]
    return to_recognise(part, rate, here, sparse_guess(part, rate, here))


def gain_of(finite: Store, rate: int, to_rate: int) -> float:
    """`working_level` of (channel, 1, time) as it is at another rate. Raises InputError for silence."""
    level = Level(to_rate)
    for wave in at_rate(finite, rate, to_rate):
        level.hear(wave)
    return level.gain()
