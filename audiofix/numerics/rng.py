"""Noise keyed by what it is for, never by when or where it is drawn.

Every tile of `TILE` samples of a step has a generator of its own, seeded from (seed, draw, level, step, tile).
So a file cut in any way, on any number of devices, sees the same noise, and part of it can be drawn alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

TILE = 1 << 16

NoiseFor = Callable[[int, int], Tensor]  # (level, step) -> unit noise shaped like the state


def keyed_generator(*key: int) -> torch.Generator:
    """A CPU generator seeded from a tuple of non-negative integers; different tuples are independent."""
    # SeedSequence mixes the key words thoroughly, unlike sums or products of them.
    state = np.random.SeedSequence(key).generate_state(2, np.uint32)
    return torch.Generator().manual_seed((int(state[0]) << 31) ^ int(state[1]))


def unit_noise(shape: tuple[int, ...], *key: int, start: int = 0) -> Tensor:
    """Standard normal noise (..., time) float32 of samples start ... start + time of the stream named by `key`."""
    *lead, time = shape
    stop = start + time
    parts = []
    for tile in range(start // TILE, -(-stop // TILE)):
        begin = tile * TILE
        last = min(stop - begin, TILE)
        # Time first: then the beginning of a tile can be drawn without its end. The generator fills blocks of
        # 16 numbers, hence the rounding.
        block = torch.randn((-(-last // 16) * 16, *lead), generator=keyed_generator(*key, tile))
        parts.append(block[max(start - begin, 0) : last])
    return torch.cat(parts).movedim(0, -1).contiguous() if parts else torch.zeros(shape)


def noise_source(shape: tuple[int, ...], seed: int, draw: int = 0) -> NoiseFor:
    """The noise of one posterior draw: a function of level and step. Level -1 is the starting noise."""

    def noise(level: int, step: int) -> Tensor:
        return unit_noise(shape, seed, draw, level + 1, step)

    return noise
