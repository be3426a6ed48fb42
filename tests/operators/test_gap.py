"""Gaps: what is known comes back bit for bit, what is lost is never looked at."""

from __future__ import annotations

import pytest
import torch

from audiofix.errors import SettingError
from audiofix.operators.gap import Gap
from tests.operators.test_laws import random

LOST = torch.tensor([3, 4, 5, 9])
KNOWN = torch.ones(12).index_fill(0, LOST, 0)


def test_known_samples_come_back_bit_for_bit_whatever_the_lost_ones_hold() -> None:
    x, y = random(2, 3, 12), random(2, 3, 12, seed=1)
    x[..., 0], y[..., 3] = torch.inf, torch.nan
    operator = Gap(KNOWN)
    kept = KNOWN.bool()
    assert torch.equal(operator.project(x, y)[..., kept], y[..., kept])
    assert torch.equal(operator.project(x, y)[..., LOST], x[..., LOST])
    for clean in (operator.start(y, 3), operator.forward(y), operator.pullback(x, y)):
        assert torch.equal(clean[..., kept], y[..., kept])
        assert (clean[..., LOST] == 0).all()

    # The formula that a mask suggests would spread the infinity of x, and the not-a-number of y.
    broken = y * KNOWN + x * (1 - KNOWN)
    assert not torch.equal(broken[..., kept], y[..., kept])
    assert not torch.equal(broken[..., LOST], x[..., LOST])


def test_one_recording_starts_all_sources() -> None:
    y = random(2, 1, 12)
    assert torch.equal(Gap(KNOWN).start(y, 3), (y * KNOWN).expand(2, 3, 12))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("mask", [torch.bool, torch.int64, torch.float64])
def test_the_mask_does_not_change_the_dtype(dtype: torch.dtype, mask: torch.dtype) -> None:
    operator, x = Gap(KNOWN.to(mask)), random(1, 1, 12).to(dtype)
    for out in (operator.forward(x), operator.pullback(x, x), operator.project(x, x), operator.start(x, 1)):
        assert out.dtype == dtype


@pytest.mark.parametrize("known", [torch.ones(1, 12), torch.full((12,), 0.5), torch.tensor(1.0)])
def test_what_is_no_mask_is_refused(known: torch.Tensor) -> None:
    with pytest.raises(SettingError, match="0 for a lost"):
        Gap(known)
