"""Which classical fills of a gap an inpainter is shown."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = ("even", "uneven", "gliding")


@dataclass(frozen=True)
class Fills:
    """Orders of the autoregressive ones, and their kind.

    "even": all errors count alike. "uneven": some count more (`operators/excitation.py`); for what is struck.
    "gliding": the pitch may glide (`operators/gliding.py`); for voices. The latter two take longer.
    """

    orders: tuple[int, ...] = (1024, 192)  # tones want a long memory, voices a short one
    kind: str = "even"


USUAL = Fills()
