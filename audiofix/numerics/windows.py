"""Cut the time line in disjoint chunks with context on both sides, so that the parts give the whole's numbers."""

from __future__ import annotations

from dataclasses import dataclass

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


def plan_chunks(length: int, chunk: int, halo: int, grid: int = 1) -> list[Chunk]:
    """Disjoint chunks that cover [0, length), each with `halo` samples of context or up to the file's ends.

    All lefts are multiples of `grid`, so that a network with strided tiers sees its frames where the whole file
    would have them.
    """
    if length < 0 or chunk < 1 or halo < 0 or grid < 1:
        raise SettingError(
            f"cannot plan chunks of {chunk} with halo {halo} on grid {grid} over {length} samples"
        )
    step = -(-chunk // grid) * grid
    return [
        Chunk(
            start,
            min(start + step, length),
            max(0, (start - halo) // grid * grid),
            min(start + step + halo, length),
        )
        for start in range(0, length, step)
    ]
