"""Cutting a channel into overlapping frames and adding them up again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from audiofix.errors import InputError

Signal = NDArray[np.float64]
Floats = NDArray[np.floating]


def mono(x: Floats) -> Signal:
    """(time,) of any floating dtype to float64. Raises InputError for other shapes and for whole numbers."""
    if x.ndim != 1 or not np.issubdtype(x.dtype, np.floating):
        raise InputError(
            f"an array of {x.dtype} and shape {x.shape} was given; give one channel, (time,), of floats"
        )
    return x.astype(np.float64)


def hann(frame: int) -> Signal:
    """sin² at half samples, (frame,): never 0; copies at a hop that divides frame / 2 add up to a constant."""
    return np.sin(np.pi * (np.arange(frame) + 0.5) / frame) ** 2


def split(x: Floats, frame: int, hop: int) -> Floats:
    """(time,) to (frames, frame), silence outside: each sample lies in frame / hop frames.

    `hop` divides `frame`. Nothing comes back as no frame.
    """
    frames = 0 if len(x) == 0 else -(-len(x) // hop) + frame // hop - 1
    if frames == 0:
        return np.zeros((0, frame), x.dtype)
    after = frame + (frames - 1) * hop - (frame - hop) - len(x)
    return np.lib.stride_tricks.sliding_window_view(np.pad(x, (frame - hop, after)), frame)[::hop]


def join(frames: Floats, hop: int, time: int) -> Signal:
    """Add up frames that `split` made: (frames, frame) to (time,). Windows are the caller's."""
    count, frame = frames.shape
    overlap = frame // hop
    total = np.zeros((count + overlap, hop))
    for part in range(overlap):
        total[part : part + count] += frames[:, part * hop : (part + 1) * hop]
    return total.reshape(-1)[frame - hop : frame - hop + time].copy()
