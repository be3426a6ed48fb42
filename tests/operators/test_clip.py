"""Clip: what was not cut comes back bit for bit, what was cut lies beyond the level."""

from __future__ import annotations

import math

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from audiofix.errors import SettingError
from audiofix.operators.base import Projects
from audiofix.operators.clip import EDGE, Clip
from tests.operators.test_laws import random

LEVELS = st.floats(2**-7, 2, width=32)
# Of clipping on one side only as well.
CLIPS = st.builds(
    lambda low, high, sides: Clip(-low if sides < 2 else -math.inf, high if sides != 1 else math.inf),
    LEVELS, LEVELS, st.integers(0, 2),
)  # fmt: skip
SIGNALS = st.lists(st.floats(-4, 4, width=32), min_size=1, max_size=30)
DTYPES = st.sampled_from([torch.float32, torch.float64])


def row(values: list[float], dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(values, dtype=dtype)[None, None]


def heard(clip: Clip, z: Tensor) -> tuple[Tensor, Tensor]:
    """What is recorded of z, and where that is within EDGE of a level, cut or not."""
    y = clip.forward(z)
    return y, (y <= clip.low + EDGE) | (y >= clip.high - EDGE)


@hypothesis.settings(max_examples=50)
@hypothesis.given(CLIPS, SIGNALS, st.integers(0, 99), DTYPES)
def test_projection_explains_and_is_idempotent(
    clip: Clip, z: list[float], seed: int, dtype: torch.dtype
) -> None:
    y, cut = heard(clip, row(z, dtype))
    x = (3 * random(1, 1, len(z), seed=seed)).to(dtype)
    solved = clip.project(x, y)
    assert isinstance(clip, Projects)
    assert solved.dtype == dtype
    assert torch.equal(clip.project(solved, y), solved)
    # Bit for bit, but where the recording is a rounding short of the level.
    again, exact = clip.forward(solved), ~cut | (y == clip.low) | (y == clip.high)
    assert torch.equal(again[exact], y[exact])
    assert ((again - y).abs() <= EDGE * (1 + 1e-3)).all()
    # Reliable samples exact, cut ones beyond; a signal that explains y already stays as it is.
    assert torch.equal(solved[~cut], y[~cut])
    assert (solved[cut & (y > 0)] >= y[cut & (y > 0)]).all()
    assert (solved[cut & (y < 0)] <= y[cut & (y < 0)]).all()
    assert torch.equal(clip.project(row(z, dtype), y), row(z, dtype))


@hypothesis.settings(max_examples=50)
@hypothesis.given(CLIPS, SIGNALS, st.integers(0, 99))
def test_projection_is_the_nearest(clip: Clip, z: list[float], seed: int) -> None:
    y, cut = heard(clip, row(z))
    x = 3 * random(1, 1, len(z), seed=seed)
    solved = clip.project(x, y)
    # Of a convex set: no other member lies on the side of the nearest point where x is.
    beyond = y + y.sign() * random(1, 1, len(z), seed=seed + 1).abs()
    other = torch.where(cut, beyond, y)
    assert ((x - solved) * (other - solved) <= 0).all()
    # Said the other way: x itself where the level allows it, else the level.
    past = (x - y) * y.sign() >= 0
    assert torch.equal(solved, torch.where(cut & past, x, y))


@hypothesis.settings(max_examples=50)
@hypothesis.given(CLIPS, SIGNALS)
def test_pullback_is_the_derivative_between_the_kinks(clip: Clip, z: list[float]) -> None:
    x = row(z)
    hypothesis.assume(bool(((x - clip.low).abs() > 0).all() and ((x - clip.high).abs() > 0).all()))
    x.requires_grad_(True)
    r = random(*x.shape, seed=1)
    (expected,) = torch.autograd.grad((clip.forward(x) * r).sum(), x)
    assert torch.equal(clip.pullback(x.detach(), r), expected)
    # The Jacobian is diagonal, so it is its own transpose.
    u = random(*x.shape, seed=2)
    assert torch.allclose((clip.pullback(x.detach(), r) * u).sum(), (r * clip.pullback(x.detach(), u)).sum())


@pytest.mark.parametrize("level", [0.1, 0.3, 0.7, 1 / 3, 0.9999])
@pytest.mark.parametrize("gain", [1.0, 0.123, 7.7])
def test_a_level_that_float32_or_a_gain_rounds_is_still_the_level(level: float, gain: float) -> None:
    y = random(1, 1, 200).float().clamp(-level, level) * gain
    clip = Clip(-level * gain, level * gain)
    cut = y.abs() >= level * gain * (1 - 1e-6)
    assert 10 < cut.sum() < 190
    far = 10 * y.sign()
    assert torch.equal(clip.project(far, y)[cut], far[cut])
    assert torch.equal(clip.project(far, y)[~cut], y[~cut])


def test_what_forward_does_to_reliable_samples_is_no_projection() -> None:
    """Broken twin: clamping x and putting back nothing explains y no better than x did."""
    clip = Clip(-0.3, 0.3)
    y, x = clip.forward(random(1, 1, 50)), random(1, 1, 50, seed=1)
    assert not torch.equal(clip.forward(clip.forward(x)), y)
    assert torch.equal(clip.forward(clip.project(x, y)), y)


def test_one_recording_starts_all_sources() -> None:
    y = random(2, 1, 12)
    assert torch.equal(Clip(-1, 1).start(y, 3), y.expand(2, 3, 12))


@pytest.mark.parametrize(
    ("low", "high", "message"),
    [
        (0.5, 0.5, "0.5 and 0.5; give a lower and a higher one"),
        (1.0, -1.0, "1 and -1; give"),
        (math.nan, 1.0, "nan and 1; give"),
        (-1.0, math.nan, "-1 and nan; give"),
        (-math.inf, math.inf, "both clip levels are infinite.*; give one"),
    ],
)
def test_bad_levels_are_refused(low: float, high: float, message: str) -> None:
    with pytest.raises(SettingError, match=message) as refused:
        Clip(low, high)
    assert "\n" not in str(refused.value)
