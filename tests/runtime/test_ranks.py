"""Which samples of a file are whose."""

from __future__ import annotations

from itertools import pairwise

import hypothesis.strategies as st
import pytest
from hypothesis import given

from audiofix.runtime.ranks import UNIT, divide, shares


@given(
    st.integers(0, 30_000), st.integers(1, 12), st.integers(0, 3000), st.sampled_from([1, 32, 1000]),
    st.integers(0, 1500),
)  # fmt: skip
def test_stretches_are_the_file(length: int, size: int, least: int, unit: int, halo: int) -> None:
    stretches = divide(length, size, least, unit, halo)
    assert len(stretches) == size
    assert stretches[0][0] == 0
    assert stretches[-1][1] == length
    assert all(before[1] == after[0] for before, after in pairwise(stretches))
    own = [stop - start for start, stop in stretches]
    busy = [samples for samples in own if samples]
    assert own == busy + [0] * (size - len(busy))
    assert len(busy) == (min(size, shares(length, least, unit)) if length else 0)
    if len(busy) > 1:
        assert all(start % unit == 0 for start, _ in stretches[: len(busy)])
        assert min(busy[:-1]) >= least
        assert busy[-1] > least - unit  # the last unit may be a part of one
        assert max(busy[1:-1], default=0) - min(busy[1:-1], default=0) <= unit
        # A halo more at the ends where there is room for it, and a unit for rounding.
        assert max(busy) - min(busy) <= halo + 2 * unit


@pytest.mark.parametrize(
    ("length", "size", "expected"),
    [
        (3 * UNIT, 2, [(0, UNIT), (UNIT, 3 * UNIT)]),
        (
            2 * UNIT + 1,
            4,
            [(0, UNIT), (UNIT, 2 * UNIT), (2 * UNIT, 2 * UNIT + 1), (2 * UNIT + 1, 2 * UNIT + 1)],
        ),
        (UNIT - 1, 3, [(0, UNIT - 1), (UNIT - 1, UNIT - 1), (UNIT - 1, UNIT - 1)]),
    ],
)
def test_stretches_of_units(length: int, size: int, expected: list[tuple[int, int]]) -> None:
    assert divide(length, size, 100) == expected
