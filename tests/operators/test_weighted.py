"""A filter given by factors: round a circle exactly, in stretches but for the slopes of local filters."""

from __future__ import annotations

import math

import pytest
import torch

from audiofix.operators.local import SLOPE, within
from audiofix.operators.weighted import Weighted

RATE, TIME = 16000, 32000
FILTER = Weighted(RATE, (3000.0, 3500.0, 4000.0), (1.0, 4.0, 2.0))


def tone(hertz: float) -> torch.Tensor:
    return torch.sin(2 * math.pi * hertz * torch.arange(TIME, dtype=torch.float64) / RATE)[None, None]


@pytest.mark.parametrize(
    ("hertz", "factor"),
    [(2999, 0.0), (3000, 1.0), (3250, 2.5), (3500, 4.0), (3750, 3.0), (4000, 2.0), (4001, 0.0)],
)
def test_a_tone_has_its_factor(hertz: float, factor: float) -> None:
    assert (FILTER.forward(tone(hertz)) - factor * tone(hertz)).abs().max() < 1e-5


@pytest.mark.parametrize(("hertz", "factor"), [(2950, 0.0), (3250, 2.5), (3750, 3.0), (4050, 0.0)])
def test_stretches_have_it_away_from_corners(hertz: float, factor: float) -> None:
    assert min(abs(hertz - corner) for corner in FILTER.hertz) > SLOPE
    found = FILTER.over(within(tone(hertz), 0), 8000, 24000)
    # Cut after REACH a response is off by DEPTH of its size at most; float32 besides.
    assert (found - factor * tone(hertz)[..., 8000:24000]).abs().max() < 2e-5


def test_any_stretches_give_the_same() -> None:
    x = torch.randn(1, 1, TIME, generator=torch.Generator().manual_seed(0))
    whole, part = FILTER.over(within(x, 0), 0, TIME), FILTER.over(within(x, 0), 777, 20001)
    assert torch.equal(whole[..., 777:20001], part)


def test_it_is_its_own_adjoint() -> None:
    x, y = torch.randn(2, 1, 1, 4000, generator=torch.Generator().manual_seed(0)).double()
    there, back = (FILTER.forward(x) * y).sum(), (x * FILTER.forward(y)).sum()
    assert float(abs(there - back)) < 1e-10 * 4000
