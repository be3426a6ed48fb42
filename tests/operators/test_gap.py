"""Gaps: what is known comes back bit for bit, what is lost is never looked at."""

from __future__ import annotations

from itertools import pairwise

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from audiofix.errors import SettingError
from audiofix.numerics.fills import USUAL
from audiofix.operators.autoregression import fill_from_nearby
from audiofix.operators.gap import Gap, classical_fills
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


# Gaps by their ends, and what classical interpolation makes of them.


@pytest.mark.parametrize("mask", [torch.bool, torch.int64, torch.float64])
def test_gaps_have_ends(mask: torch.dtype) -> None:
    assert Gap(KNOWN.to(mask)).gaps == [(3, 6), (9, 10)]
    assert Gap((1 - KNOWN).to(mask)).gaps == [(0, 3), (6, 9), (10, 12)]
    assert Gap(torch.ones(5).to(mask)).gaps == []
    assert Gap(torch.zeros(5).to(mask)).gaps == [(0, 5)]


@hypothesis.given(st.lists(st.booleans(), min_size=1, max_size=40))
def test_gaps_hold_every_lost_sample_once(known: list[bool]) -> None:
    found = Gap(torch.tensor(known)).gaps
    lost = [sample for start, stop in found for sample in range(start, stop)]
    assert lost == [sample for sample, kept in enumerate(known) if not kept]
    # In order, none empty, and with something known between any two.
    edges = [edge for gap in found for edge in gap]
    assert all(a < b for a, b in pairwise(edges))


def tones(time: int) -> np.ndarray:
    """In float32: two sinusoids and a little noise."""
    t = np.arange(time)
    hiss = 1e-3 * np.random.default_rng(0).standard_normal(time)
    return (0.3 * np.sin(0.1 * t) + 0.1 * np.sin(0.7 * t + 1) + hiss).astype(np.float32)


def test_classical_fills_are_those_of_two_orders() -> None:
    x, gaps = tones(3000), [(1000, 1030), (2000, 2080)]
    spoilt = x.copy()
    for start, stop in gaps:
        spoilt[start:stop] = np.nan
    found = classical_fills(spoilt, gaps)
    assert (found.shape, found.dtype) == ((2, 3000), np.float32)
    kept = ~np.isnan(spoilt)
    for fill, order in zip(found, USUAL.orders, strict=True):
        assert np.array_equal(fill[kept], x[kept])
        alone = fill_from_nearby(x.astype(float), gaps, order)
        assert np.array_equal(fill, alone.astype(np.float32))
    # The noise is 36 dB below the tones in the gaps, and what both orders leave of them is of its size.
    errors = (found - x)[:, ~kept]
    assert (np.mean(errors**2, axis=1) < 100 * 1e-6).all()
    assert np.abs(errors[0] - errors[1]).max() > 1e-5


def test_evidence_is_the_fills_and_where_samples_are_lost() -> None:
    known = torch.ones(600).index_fill(0, torch.tensor([*range(200, 230), 400]), 0)
    y = torch.from_numpy(np.stack([tones(600), tones(1200)[600:]]))[:, None]
    spoilt = torch.where(known.bool(), y, torch.nan)
    for dtype in (torch.float32, torch.float64):
        found = Gap(known).evidence(spoilt.to(dtype))
        assert (found.shape, found.dtype) == ((2, 3, 600), dtype)
        assert torch.equal(found[:, 2], (1 - known).to(dtype).expand(2, 600))
        for row in range(2):
            fills = classical_fills(y[row, 0].numpy(), [(200, 230), (400, 401)])
            assert torch.equal(found[row, :2], torch.from_numpy(fills).to(dtype))
        # Known samples, bit for bit, in both fills.
        assert torch.equal(found[:, :2, known.bool()], y[:, :, known.bool()].expand(2, 2, -1).to(dtype))
        assert torch.isfinite(found).all()
