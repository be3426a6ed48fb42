"""Quantise: what comes back rounds to the recording, sample for sample."""

from __future__ import annotations

import math

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from audiofix.errors import SettingError
from audiofix.operators.base import Projects
from audiofix.operators.quantise import Quantise
from tests.operators.test_laws import random

QUANTISERS = st.builds(
    lambda bits, offset, gain: Quantise(2.0 ** (1 - bits) * gain, offset),
    st.integers(2, 16), st.sampled_from([0.0, 0.5]), st.sampled_from([1.0, 0.37, 3.3]),
)  # fmt: skip
SIGNALS = st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=30)
DTYPES = st.sampled_from([torch.float32, torch.float64])


def row(values: list[float], dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(values, dtype=dtype)[None, None]


def slack(y: Tensor, step: float) -> Tensor:
    """By how much a box is narrower than a step: the rounding of x, y and their quotient, a few eps of each."""
    return 5 * torch.finfo(y.dtype).eps * (y.abs() + step)


@hypothesis.settings(max_examples=50)
@hypothesis.given(QUANTISERS, SIGNALS, st.integers(0, 99), DTYPES)
def test_projection_explains_and_is_idempotent_and_nearest(
    quantise: Quantise, z: list[float], seed: int, dtype: torch.dtype
) -> None:
    y = quantise.forward(row(z, dtype))
    assert isinstance(quantise, Projects)
    # Far away, near an edge on either side, and in the middle.
    for spread in (10, 1):
        x = y + (spread * quantise.step * random(1, 1, len(z), seed=seed)).to(dtype)
        solved = quantise.project(x, y)
        assert solved.dtype == dtype
        assert torch.equal(quantise.forward(solved), y)
        assert torch.equal(quantise.project(solved, y), solved)
        # The nearest of the box is a clamp, but for the box's own rounding.
        half = quantise.step / 2
        nearest = torch.minimum(torch.maximum(x, y - half), y + half)
        assert ((solved - nearest).abs() <= slack(y, quantise.step)).all()
        inside = (x - y).abs() < half - slack(y, quantise.step)
        assert torch.equal(solved[inside], x[inside])


def test_on_the_very_edge_it_would_round_the_wrong_way() -> None:
    """Broken twin: the closed box holds ties, half of which `forward` takes to the neighbour."""
    quantise, y = Quantise(0.25), row([0.25, 0.5, -0.25, 0.0])
    far = 9 * torch.ones_like(y)
    assert torch.equal(quantise.forward(quantise.project(far, y)), y)
    broken = torch.minimum(far, y + quantise.step / 2)
    assert not torch.equal(quantise.forward(broken), y)


@hypothesis.settings(max_examples=50)
@hypothesis.given(QUANTISERS, SIGNALS, DTYPES)
def test_forward_rounds_to_the_grid(quantise: Quantise, z: list[float], dtype: torch.dtype) -> None:
    x = row(z, dtype)
    y = quantise.forward(x)
    assert torch.equal(quantise.forward(y), y)
    assert ((y - x).abs() <= quantise.step / 2 + slack(y, quantise.step)).all()
    places = y.double() / quantise.step - quantise.offset
    assert (places - places.round()).abs().max() <= 4 * torch.finfo(dtype).eps * (places.abs().max() + 1)


def test_mid_rise_has_no_silence_and_mid_tread_does() -> None:
    x = row([-0.3, -0.01, 0.0, 0.01, 0.3])
    assert Quantise(0.25).forward(x).flatten().tolist() == [-0.25, 0, 0, 0, 0.25]
    assert Quantise(0.25, 0.5).forward(x).flatten().tolist() == [-0.375, -0.125, 0.125, 0.125, 0.375]


@hypothesis.settings(max_examples=50)
@hypothesis.given(QUANTISERS, SIGNALS)
def test_pullback_goes_straight_through(quantise: Quantise, z: list[float]) -> None:
    """Of the line that the staircase follows, where autograd sees the steps only."""
    x = row(z).requires_grad_(True)
    r = random(*x.shape, seed=1)
    assert torch.equal(quantise.pullback(x.detach(), r), r)
    (steps,) = torch.autograd.grad((quantise.forward(x) * r).sum(), x)
    assert not steps.any()
    # From afar: over whole steps the staircase rises as the line does.
    far = 4 * quantise.step
    rise = quantise.forward(x.detach() + far) - quantise.forward(x.detach())
    assert ((rise - far).abs() <= quantise.step + slack(x.detach().abs() + far, quantise.step)).all()


def test_one_recording_starts_all_sources() -> None:
    y = random(2, 1, 12)
    assert torch.equal(Quantise(0.1).start(y, 3), y.expand(2, 3, 12))


@pytest.mark.parametrize(
    "values", [(0.0,), (-0.1,), (math.inf,), (math.nan,), (0.1, -0.5), (0.1, 1.0), (0.1, math.nan)]
)
def test_bad_grids_are_refused(values: tuple) -> None:
    with pytest.raises(SettingError, match=r"\Astep .*offset .*; give a step above 0.*\Z"):
        Quantise(*values)
