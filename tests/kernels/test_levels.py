"""Levels counted without cells, against the plain twin."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from xbar.kernels.levels import add_levels, add_levels_plain


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 4), st.integers(1, 4), st.booleans(), st.integers(0, 2**32 - 1))
def test_equals_its_twin(n_cols, slices, cell_bits, flipped, seed):
    rng = np.random.default_rng(seed)
    edges = np.unique([0, *rng.integers(1, 30, 3)])
    words = rng.integers(0, 1 << (slices * cell_bits), (n_cols, edges[-1]), dtype=np.int32)
    counts = [np.zeros(1 << cell_bits, np.int64) for _ in range(2)]
    for add, found in zip((add_levels, add_levels_plain), counts, strict=True):
        add(words, edges, slices, cell_bits, flipped, found)
    np.testing.assert_array_equal(*counts)
    assert counts[0].sum() == words.size * slices
