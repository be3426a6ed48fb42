"""Cut the time line in disjoint chunks with context on both sides, so that the parts give the whole's numbers."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from audiofix.errors import SettingError


@dataclass(frozen=True)
class Chunk:
    """Samples [start, stop) are worked out from samples [left, right), which holds them and their halo."""

    start: int
    stop: int
    left: int
    right: int

    @property
    def inner(self) -> slice:
        """Where [start, stop) lies inside [left, right)."""
        return slice(self.start - self.left, self.stop - self.left)


def plan_chunks(length: int, chunk: int, halo: int, grid: int = 1, origin: int = 0) -> list[Chunk]:
    """Disjoint chunks that cover [0, length), each with `halo` samples of context or up to the ends.

    `origin` is the place of sample 0 in the file. Chunks start at multiples of the chunk's length in the file, and
    lefts at multiples of `grid` in it: so a network with strided tiers sees its frames, and whoever works on a
    part of a file the same chunks, as in the whole. Raises SettingError where that cannot be.
    """
    if length < 0 or chunk < 1 or halo < 0 or grid < 1 or origin < 0 or origin % grid:
        raise SettingError(
            f"cannot plan chunks of {chunk} with halo {halo} on grid {grid} over {length} samples from {origin} on"
        )
    step = -(-chunk // grid) * grid
    bounds = [0, *range(-origin % step or step, length, step), length] if length else []
    return [
        Chunk(start, stop, max(0, (start - halo) // grid * grid), min(stop + halo, length))
        for start, stop in pairwise(bounds)
    ]
