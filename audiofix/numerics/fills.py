"""Which classical fills of a gap an inpainter is shown."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fills:
    """Orders of the autoregressive ones, and whether some errors count more (`operators/excitation.py`).

    The latter is for what is struck, and takes longer; a voice gains nothing.
    """

    orders: tuple[int, ...] = (1024, 192)  # tones want a long memory, voices a short one
    uneven: bool = False


USUAL = Fills()
