from __future__ import annotations

import math
import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audiofix.hub.toml import dump_toml

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
plain = st.one_of(text, st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False))
tables = st.recursive(
    st.dictionaries(text, st.one_of(plain, st.lists(plain, max_size=3)), max_size=3),
    lambda inner: st.dictionaries(
        text, st.one_of(plain, inner, st.lists(inner, min_size=1, max_size=2)), max_size=3
    ),
    max_leaves=6,
)


@given(tables)
def test_what_is_written_is_read_back(values):
    assert tomllib.loads(dump_toml(values)) == values


def test_numpy_numbers_read_back_as_numbers():
    assert tomllib.loads(dump_toml({"a": np.float64(0.1)})) == {"a": 0.1}


def test_not_a_number_is_kept():
    assert math.isnan(tomllib.loads(dump_toml({"a": math.nan}))["a"])


def test_what_toml_lacks_is_refused():
    with pytest.raises(TypeError, match="None"):
        dump_toml({"a": None})
