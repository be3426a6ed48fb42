"""Gaps by autoregressive interpolation as published (Janssen, Veldhuis & Vries 1986): what others are beside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from audiofix.baselines.frames import Floats
from audiofix.operators.autoregression import janssen, neighbourhood

ORDER, RATE = 1024, 16000  # the order that is best for pianos, at this rate; others get the same time
HIGHEST = 4  # times as much at most
ITERATIONS = 5


def interpolated(x: Floats, sample_rate: int, lost: Sequence[tuple[int, int]]) -> Floats:
    """(time,) with each gap, first and one past the last sample, filled by the autocorrelation method."""
    return janssen(x.astype(np.float64), sorted(lost), _order(sample_rate), lambda _: ITERATIONS)


def seen(lost: Sequence[tuple[int, int]], index: int, time: int, sample_rate: int) -> tuple[int, int]:
    """What `interpolated` looks at for a gap among those of a recording, sorted: first and one past the last."""
    return neighbourhood(lost, index, time, _order(sample_rate))


def _order(sample_rate: int) -> int:
    return ORDER * min(HIGHEST, max(1, round(sample_rate / RATE)))
