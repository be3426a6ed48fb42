"""Frames: a recording inside comes out bit for bit, between ends that fade, of a length that fits."""

from __future__ import annotations

import math

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from audiofix.frame import PRIMES, SECONDS, Frame, framed, smooth
from audiofix.operators.band import Band
from tests.operators.test_laws import random

LENGTHS = st.one_of(st.integers(1, 5), st.integers(1, 900))
RATES = st.sampled_from([10, 100, 8000, 44100])
BLOCKS = st.sampled_from([1, 2, 160, 441])


def pair(length: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """A recording with a gap of not-a-number, and a guess that is another signal altogether."""
    y, guess = random(2, length).to(dtype), random(2, length, seed=1).to(dtype)
    y[:, length // 2] = math.nan
    return y, guess


@hypothesis.settings(max_examples=50)
@hypothesis.given(LENGTHS, RATES, BLOCKS, st.sampled_from([torch.float32, torch.float64]))
def test_what_is_inside_comes_out_bit_for_bit(length: int, rate: int, block: int, dtype: torch.dtype) -> None:
    y, guess = pair(length, dtype)
    before = y.clone(), guess.clone()
    frame = framed(y, guess, rate, block)
    assert torch.equal(frame.inner(frame.finite), guess)
    assert torch.equal(frame.inner(frame.y).nan_to_num(9), y.nan_to_num(9))
    assert frame.y.shape == frame.finite.shape
    assert frame.y.shape[:2] == (2, 1)
    assert frame.y.dtype == frame.finite.dtype == dtype
    assert frame.y.shape[-1] % block == 0
    # No more than both margins and what makes a whole, smooth number of blocks.
    margin = min(math.ceil(SECONDS * rate), length - 1)
    assert (frame.lead, frame.length) == (margin, length)
    assert frame.y.shape[-1] == block * smooth(math.ceil((length + 2 * margin) / block))
    # All else is the guess, so what is lost inside leaves the ends alone.
    outside = torch.ones(frame.y.shape[-1], dtype=torch.bool)
    outside[frame.lead : frame.lead + length] = False
    assert torch.equal(frame.y[..., outside], frame.finite[..., outside])
    assert frame.finite.isfinite().all()
    # The arguments are left alone.
    assert torch.equal(y.nan_to_num(9), before[0].nan_to_num(9))
    assert torch.equal(guess, before[1])
    frame.y[:] = 0
    assert torch.equal(guess, before[1])


@hypothesis.settings(max_examples=50)
@hypothesis.given(LENGTHS, RATES, BLOCKS)
def test_the_ends_are_mirrored_and_fade_to_silence(length: int, rate: int, block: int) -> None:
    ones = torch.ones(1, length, dtype=torch.float64)
    frame = framed(ones, ones, rate, block)
    lead = frame.finite[0, 0, : frame.lead]
    tail = frame.finite[0, 0, frame.lead + length :]
    # sin^2 of the places between silence, one sample before, and the recording, one after.
    place = torch.arange(1, frame.lead + 1, dtype=torch.float64) / (frame.lead + 1)
    eps = torch.finfo(torch.float64).eps
    assert torch.allclose(lead, (math.pi / 2 * place).sin().square(), rtol=0, atol=8 * eps)
    assert torch.equal(tail[: frame.lead], lead.flip(0))
    assert not tail[frame.lead :].any()
    assert (lead.diff() > 0).all()
    # Mirrored without the end itself: sample k before the first is sample k after it.
    guess = random(1, length)
    found = framed(guess, guess, rate, block)
    for k in range(1, found.lead + 1):
        weight = lead[found.lead - k]
        assert found.finite[0, 0, found.lead - k] == guess[0, k] * weight
        assert found.finite[0, 0, found.lead + length - 1 + k] == guess[0, length - 1 - k] * weight


def test_one_sample_has_no_margin() -> None:
    frame = framed(torch.tensor([[0.5]]), torch.tensor([[0.25]]), 44100, 441)
    assert (frame.lead, frame.y.shape) == (0, (1, 1, 441))
    assert frame.y[0, 0, :2].tolist() == [0.5, 0]
    assert frame.inner(frame.finite).tolist() == [[0.25]]


def jump(wave: Tensor) -> float:
    """From the last sample to the first, against the largest inside."""
    return float((wave[..., 0] - wave[..., -1]).abs().max() / wave.diff(dim=-1).abs().max())


@pytest.mark.parametrize("time", [4410, 44100])
def test_a_framed_recording_meets_its_own_beginning(time: int) -> None:
    ramp = torch.linspace(-0.5, 0.5, time, dtype=torch.float64)[None]
    band = Band(44100, 16000)
    frame = framed(ramp, ramp, 44100, band.block)
    assert jump(frame.finite) < 0.1
    assert jump(ramp) > 100
    # So a band there and back leaves the ends alone, where without a frame they ring.
    back = Band(16000, 44100)
    inside = frame.inner(back.forward(band.forward(frame.finite)))
    bare = back.forward(band.forward(ramp[:, None]))[:, 0]
    assert (inside - ramp).abs().max() < 1e-3
    assert (bare - ramp).abs().max() > 0.1


def test_inner_takes_any_wave_of_the_frame() -> None:
    frame = Frame(torch.zeros(2, 1, 9), torch.zeros(2, 1, 9), 3, 4)
    wave = torch.arange(18.0).reshape(2, 1, 9)
    assert frame.inner(wave).tolist() == [[3, 4, 5, 6], [12, 13, 14, 15]]


def test_smooth_numbers_are_the_next_products_of_the_primes() -> None:
    products = {1}
    for prime in PRIMES:
        products = {p * prime**k for p in products for k in range(12) if p * prime**k <= 3000}
    for least in range(1, 2500):
        assert smooth(least) == min(p for p in products if p >= least)
