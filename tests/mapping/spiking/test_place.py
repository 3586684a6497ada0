from __future__ import annotations

import itertools
import time

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from mapping.spiking.place import place


def traffic(pairs: list[tuple[int, int]], n: int, weight: int = 1) -> sparse.csr_array:
    row, col = np.array(pairs, np.int64).reshape(-1, 2).T
    return sparse.coo_array((np.full(len(pairs), weight), (row, col)), shape=(n, n)).tocsr()


def ways(between: sparse.csr_array, at: np.ndarray) -> int:
    pairs = between.tocoo()
    return int((pairs.data * np.abs(at[pairs.row] - at[pairs.col]).sum(1)).sum())


def row_by_row(n: int, cols: int) -> np.ndarray:
    return np.stack([np.arange(n) % cols, np.arange(n) // cols], axis=1)


def grid(side: int, seed: int) -> sparse.csr_array:
    """Cores that talk to their four neighbours, numbered at random; side by side the ways are 2 side (side - 1)."""
    number = np.random.default_rng(seed).permutation(side * side).reshape(side, side)
    pairs = [(number[:, :-1], number[:, 1:]), (number[:-1], number[1:])]
    return traffic([(a, b) for m, n in pairs for a, b in zip(m.flat, n.flat, strict=True)], side * side)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 7), st.booleans())
def test_places_differ_lie_on_the_mesh_and_are_never_worse_than_row_by_row(seed, cols, rows, chips):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, cols * rows + 1))
    between = sparse.csr_array(rng.integers(0, 9, (n, n)) * (rng.random((n, n)) < rng.random() ** 2))
    at = place(between, cols, rows, 0, **({"mesh": (max(cols // 2, 1), rows), "border": 0} if chips else {}))
    assert at.dtype == np.int32
    assert len(np.unique(at, axis=0)) == n
    assert (at >= 0).all()
    assert (at < [cols, rows]).all()
    assert ways(between, at) <= ways(between, row_by_row(n, cols))
    again = place(between, cols, rows, 0, **({"mesh": (max(cols // 2, 1), rows), "border": 0} if chips else {}))
    assert np.array_equal(again, at)


def test_few_cores_lie_as_well_as_they_can():
    rng = np.random.default_rng(3)
    for _ in range(5):
        between = sparse.csr_array(rng.integers(0, 9, (6, 6)))
        cells = row_by_row(6, 3)
        best = min(ways(between, cells[list(order)]) for order in itertools.permutations(range(6)))
        assert ways(between, place(between, 3, 2, 0)) <= 1.03 * best


def test_a_grid_finds_its_order_again():
    between = grid(12, seed=1)
    at = place(between, 12, 12, 0)
    assert ways(between, at) < 2 * 2 * 12 * 11  # of the shortest
    assert ways(between, row_by_row(144, 12)) > 1500


def test_separate_networks_lie_apart():
    """Eight rings of eight cores, numbered in turn."""
    between = traffic([(k + 8 * i, k + 8 * ((i + 1) % 8)) for k in range(8) for i in range(8)], 64)
    assert ways(between, place(between, 64, 64, 0)) <= 1.3 * 64


def test_chips_are_left_only_where_it_pays():
    """Two groups of four cores on two chips of 2 x 2 stay on one chip each."""
    groups = [(0, 2, 4, 6), (1, 3, 5, 7)]
    between = traffic([pair for g in groups for pair in itertools.combinations(g, 2)] + [(0, 1)], 8)
    at = place(between, 4, 2, 0, mesh=(2, 2), border=50)
    chip = at[:, 0] // 2
    assert chip[::2].tolist() in ([0] * 4, [1] * 4)
    assert (chip[::2] != chip[1::2]).all()


def test_a_full_chip_takes_seconds():
    between = grid(64, seed=2)
    place(grid(3, 0), 3, 3, 0)  # compiles
    start = time.process_time()
    at = place(between, 64, 64, 0)
    assert time.process_time() - start < 30
    assert ways(between, at) < 0.1 * ways(between, row_by_row(4096, 64))
