"""The classical method for a long recording: `audiofix.compare.classical`, stretch by stretch."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from audiofix.baselines.denoising import wiener_in_order
from audiofix.baselines.interpolation import interpolated, seen
from audiofix.baselines.upsampling import FRAME, copied
from audiofix.damages import Cut, Fault, LostBand, LostSamples, Noisy, Rounded
from audiofix.longrepair import guesses
from audiofix.longrepair.lengths import STRETCH, filled, reader
from audiofix.operators.local import SLOPE, LocalBand
from audiofix.runtime.ranks import Ranks
from audiofix.runtime.stores import MakeStore, Store


def baseline(
    y: Store, rate: int, faults: Sequence[Fault], make: MakeStore, ranks: Ranks, sparse: Store | None = None
) -> tuple[Store, list[str]]:
    """As `classical` of (channel, 1, time), and what a user has to know where it is not the very same.

    sparse: `guesses.sparse` of the same, where that is known. All of it in every process.
    """
    if sparse is not None:
        return sparse, []
    x, notes = y, []
    for fault in reversed(faults):
        if isinstance(fault, LostSamples):
            x = _interpolated(x, rate, fault, make, ranks)
        elif isinstance(fault, Cut | Rounded):
            found = guesses.sparse(x, rate, [fault], make, ranks)
            x = x if found is None else found
        elif isinstance(fault, Noisy):
            x = guesses.in_order(x, make, functools.partial(_quietened, fault))
        elif isinstance(fault, LostBand):
            x = _replicated(x, rate, fault.hertz, make)
            notes.append(
                f"the baseline's bands were joined by a local filter: within {SLOPE:.0f} Hz of "
                f"{fault.hertz:.0f} Hz it is not that of a run in memory"
            )
    if len(faults) > 1:
        notes.append("the baseline was rounded to float32 between one fault and the next")
    return x, notes


def _quietened(fault: Noisy, read: guesses.ReadRow, time: int) -> guesses.Rows:
    profile = fault.profile.double().numpy()
    return wiener_in_order(read, time, profile if len(profile) > 1 else float(profile[0]), stretch=STRETCH)


def _interpolated(x: Store, rate: int, fault: LostSamples, make: MakeStore, ranks: Ranks) -> Store:
    """Each gap from its neighbourhood: the very samples of `interpolated` of the whole."""
    spans = sorted(fault.spans)
    result = guesses.copy_of(x, make)

    def work(index: int) -> Tensor:
        start, stop = spans[index]
        left, right = seen(spans, index, x.stop, rate)
        lost = [(start - left, stop - left)]
        rows = [interpolated(row[0].double().numpy(), rate, lost) for row in x.read(left, right)]
        return torch.from_numpy(np.stack(rows)).float()[:, None, start - left : stop - left]

    ranks.shared(spans, work, result)
    return result


def _replicated(x: Store, rate: int, cutoff: float, make: MakeStore) -> Store:
    """Copies from the cut-off on, what was there below; a filter that is local parts the two."""
    low, lead = LocalBand(rate, rate, cutoff), x.read(0, 0).shape[:2]

    def copies(start: int, stop: int) -> Tensor:
        left, right = max(0, start - FRAME), min(x.stop, stop + FRAME)
        samples = x.read(left, right)[:, 0].double().numpy()
        rows = [row if (found := copied(row, rate, cutoff)) is None else found for row in samples]
        return torch.from_numpy(np.stack(rows)).float()[:, None, start - left : stop - left]

    made = filled(make, (lead[0], lead[1]), x.stop, copies)
    here, there = reader(x), reader(made)

    def less(start: int, stop: int) -> Tensor:
        return here(start, stop) - there(start, stop)

    def joined(start: int, stop: int) -> Tensor:
        return made.read(start, stop) + low.over(less, start, stop)

    return filled(make, (lead[0], lead[1]), x.stop, joined)
