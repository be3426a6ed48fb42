"""Depth: the coarsest grid that holds every sample."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from audiofix.faults.depth import Depth, find_depth
from tests.faults.signals import hiss, tensor, voice


@pytest.mark.parametrize("bits", range(2, 13))
@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_the_grid_is_found(bits: int, offset: float) -> None:
    step = 2.0 ** (1 - bits)
    # Loud enough that 2 bits leave more than silence.
    x = np.clip(8 * voice(), -1, 1)
    y = np.clip((np.round(x / step - offset) + offset) * step, -1 + offset * step, 1 - step * (1 - offset))
    for stored in (tensor(y), torch.from_numpy(y).float()[None], tensor(np.round(y * 2**23) / 2**23, y)):
        assert find_depth(stored) == Depth(bits, step, offset)


@pytest.mark.parametrize("bits", [13, 14, 16, 24])
def test_finer_grids_are_none(bits: int) -> None:
    x = voice()
    assert find_depth(tensor(np.round(x * 2.0 ** (bits - 1)) / 2.0 ** (bits - 1))) is None


def test_one_sample_off_the_grid_is_enough() -> None:
    y = np.round(voice() * 128) / 128
    assert find_depth(tensor(y)) == Depth(8, 2.0**-7, 0.0)
    y[1000] += 2.0**-15
    assert find_depth(tensor(y)) is None
    y[1000] = np.nan
    assert find_depth(tensor(y)) == Depth(8, 2.0**-7, 0.0)


def test_quiet_recordings_of_16_bits_are_not_coarse() -> None:
    assert find_depth(tensor(np.round(hiss(4000, 1.0)) / 32768)) is None


def test_what_says_nothing() -> None:
    for x in (np.zeros(1000), np.full(1000, 0.5), np.zeros(0), np.array([0.5, 0.25, -0.5])):
        assert find_depth(tensor(x)) is None
