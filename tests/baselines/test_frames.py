"""Frames add up to what they were cut from."""

from __future__ import annotations

import numpy as np
import pytest

from audiofix.baselines.frames import hann, join, mono, split
from audiofix.errors import InputError


@pytest.mark.parametrize("time", [0, 1, 63, 64, 65, 1000])
@pytest.mark.parametrize("overlap", [2, 4, 8])
def test_windowed_frames_add_up(time, overlap):
    x = np.random.default_rng(time).standard_normal(time)
    frames = split(x, 64, 64 // overlap) * hann(64)
    # `overlap` sums and the window's own rounding, each of 2^-53 of numbers below 5.
    np.testing.assert_allclose(join(frames, 64 // overlap, time) / (overlap / 2), x, rtol=0, atol=1e-14)


def test_a_window_that_hops_too_far_does_not_add_up():
    x = np.ones(1000)
    assert np.ptp(join(split(x, 64, 64) * hann(64), 64, 1000)) > 0.9


@pytest.mark.parametrize("x", [np.zeros((1, 4)), np.zeros(4, np.int16), np.zeros(())])
def test_only_one_channel_of_floats(x):
    with pytest.raises(InputError, match="one channel"):
        mono(x)
