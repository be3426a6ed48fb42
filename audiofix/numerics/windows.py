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

    @property
    def span(self) -> tuple[int, int]:
        """[left, right)."""
        return self.left, self.right

    def widened(self, by: int) -> Chunk:
        """The same surroundings with up to `by` samples more of them worked out on each side."""
        return Chunk(max(self.left, self.start - by), min(self.right, self.stop + by), self.left, self.right)


def even_cuts(cells: int, parts: int, before: int = 0, after: int = 0) -> list[int]:
    """Where to cut [0, cells) in equal parts, both ends included; the first and last are so many cells longer."""
    inner = cells - before - after
    return [0, *(before + inner * part // parts for part in range(1, parts)), cells]


def equal_chunks(
    length: int, most: int, halo: int, grid: int = 1, first: int = 0, last: int | None = None
) -> list[Chunk]:
    """The fewest chunks that cover samples [first, last) of [0, length), alike in size with their halos.

    None takes more than `most` samples and two halos. At the ends of [0, length) a chunk has one halo less, and is
    longer by as much. Chunks start at multiples of `grid`, the first one at `first` rounded down to it. Raises
    SettingError where that cannot be.
    """
    last = length if last is None else last
    if not 0 <= first <= last <= length or most < 1 or halo < 0 or grid < 1:
        raise SettingError(
            f"cannot plan chunks of {most} with halo {halo} on grid {grid} over [{first}, {last}) of {length}"
        )
    if first == last:
        return []
    begin, cells = first // grid, -(-last // grid) - first // grid
    before, after = (max(0, halo - room) // grid for room in (begin * grid, length - last))
    parts = max(1, -(-(cells - before - after) // max(1, most // grid)))
    bounds = [grid * (begin + cell) for cell in even_cuts(cells, parts, before, after)]
    bounds[-1] = min(bounds[-1], length)
    return [
        Chunk(start, stop, max(0, (start - halo) // grid * grid), min(stop + halo, length))
        for start, stop in pairwise(bounds)
    ]


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
