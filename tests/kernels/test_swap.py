from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from xbar.kernels.swap import Ties, Tries, swap, swap_plain


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5))
def test_the_kernel_is_its_plain_twin_and_counts_what_it_changes(seed, cols, rows):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, cols * rows + 1))
    half = np.triu(rng.integers(0, 9, (n, n)) * (rng.random((n, n)) < 0.5), 1)
    matrix = sparse.csr_array(half + half.T)
    ties = Ties(*(v.astype(np.int64) for v in (matrix.indptr, matrix.indices, matrix.data)))
    x, y = np.cumsum(rng.integers(1, 4, cols)), np.cumsum(rng.integers(1, 4, rows))
    tries = Tries(
        rng.integers(0, n, 50), rng.random(50), rng.integers(-2, 3, 50), rng.integers(-2, 3, 50), 9 * rng.random(50)
    )
    start = rng.permutation(cols * rows)[:n]

    def ways(slot: np.ndarray) -> int:
        dx, dy = (v[i] for v, i in ((x, slot % cols), (y, slot // cols)))
        return int((half * (np.abs(dx[:, None] - dx) + np.abs(dy[:, None] - dy))).sum())

    one, other = start.copy(), start.copy()
    change = swap(ties, x, y, one, tries)
    assert change == swap_plain(ties, x, y, other, tries) == ways(one) - ways(start)
    assert np.array_equal(one, other)
    assert len(set(one.tolist())) == n
