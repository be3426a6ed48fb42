"""Dequantising without a model of the source: the sparsest signal inside the quantiser's cells."""

from __future__ import annotations

import math

import numpy as np

from audiofix.baselines.frames import Floats, Signal, mono
from audiofix.baselines.spade import Spade, sparsest
from audiofix.errors import SettingError

SPARSE = Spade(frame=2048, rise=8.0, tolerance=0.2)


def cells(x: Floats, step: float, offset: float = 0.0) -> tuple[Signal, Signal]:
    """Lower and upper edge of the cell of each sample of (time,), float64.

    A cell reaches step / 2 to both sides of a level (k + offset) step, k whole, less twice the rounding of the
    dtype of x, so that whatever lies in it is quantised to that level again. Raises SettingError for a step that
    is not above 0 and finite, and for an offset outside 0 ... 1.
    """
    if not 0 < step < math.inf or not 0 <= offset < 1:
        raise SettingError(f"step {step:g}, offset {offset:g}; give a step above 0, an offset of 0 or 0.5")
    level = (np.round(mono(x) / step - offset) + offset) * step
    half = step / 2 - 2 * np.spacing((np.abs(level) + step).astype(x.dtype)).astype(np.float64)
    half = np.maximum(half, 0.0)
    return level - half, level + half


def dequantise_sparse(x: Floats, step: float, offset: float = 0.0, how: Spade = SPARSE) -> Floats:
    """The signal with the sparsest frames in the cells of x: SPADE with a box (Záviška & Rajmic 2020).

    x: (time,), full scale 1, as it was quantised to the levels (k + offset) step for whole k: offset 0 for
    mid-tread, 0.5 for mid-rise; what lies beside a level is moved to the nearest one. A quantiser that
    rounds down needs step / 2 added to x, and 0.5. Returns (time,) of the dtype of x. The frames suit 16 kHz.
    Raises SettingError as `cells` does.
    """
    lower, upper = cells(x, step, offset)
    # What is rounded away has this standard deviation (Bennett 1948).
    unit = step / math.sqrt(12)
    return sparsest((lower + upper) / 2, lower, upper, unit, how).astype(x.dtype)
