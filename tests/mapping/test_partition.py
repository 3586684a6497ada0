"""Pieces tile the matrix: every cell in exactly one, none larger than a crossbar."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.partition import Piece, partition, row_edges


@settings(max_examples=200, deadline=None)
@given(
    planes=st.integers(1, 8),
    groups=st.integers(1, 9),
    n_rows=st.integers(1, 40),
    n_cols=st.integers(1, 20),
    rows=st.integers(1, 32),
    cols=st.integers(8, 32),
    interleaved=st.booleans(),
    shared_rows=st.booleans(),
)
def test_every_cell_lies_in_exactly_one_piece(planes, groups, n_rows, n_cols, rows, cols, interleaved, shared_rows):
    pieces = partition(planes, groups, n_rows, n_cols, rows, cols, interleaved, shared_rows)
    edges = row_edges(n_rows, rows)
    seen = np.zeros((planes, groups, n_rows, n_cols), dtype=int)
    for p in pieces:
        assert 0 < p.n_rows <= rows
        assert 0 < p.n_cols <= cols
        window = (slice(*p.groups), slice(edges[p.row_block], edges[p.row_block + 1]), slice(*p.cols))
        for plane in p.planes:
            seen[(plane, *window)] += 1
        n_groups = p.groups[1] - p.groups[0]
        assert n_groups == 1 or not shared_rows
        assert p.n_rows == n_groups * (edges[p.row_block + 1] - edges[p.row_block])
        assert p.n_cols == n_groups * (p.cols[1] - p.cols[0]) * len(p.planes)
    assert (seen == 1).all()


def test_hand_sized_interleaved():
    """5 x 3 weights of 2 planes on 4 x 4 crossbars: 2 weights per row, so 2 column blocks x 2 row blocks."""
    assert partition(2, 1, 5, 3, 4, 4, interleaved=True, shared_rows=False) == (
        Piece((0, 1), (0, 1), 0, (0, 2), 4, 4),
        Piece((0, 1), (0, 1), 1, (0, 2), 1, 4),
        Piece((0, 1), (0, 1), 0, (2, 3), 4, 2),
        Piece((0, 1), (0, 1), 1, (2, 3), 1, 2),
    )


def test_hand_sized_separate():
    assert partition(2, 1, 3, 4, 4, 4, interleaved=False, shared_rows=False) == (
        Piece((0,), (0, 1), 0, (0, 4), 3, 4),
        Piece((1,), (0, 1), 0, (0, 4), 3, 4),
    )


def test_depthwise_groups_share_the_diagonal_unless_a_unit_column_sums_all_rows():
    """9-row groups on 128 rows: 14 fit; with 4 columns each, 32 groups would fit by columns."""
    packed = partition(4, 30, 9, 1, 128, 128, interleaved=True, shared_rows=False)
    assert [(p.groups, p.n_rows, p.n_cols) for p in packed] == [
        ((0, 14), 126, 56),
        ((14, 28), 126, 56),
        ((28, 30), 18, 8),
    ]
    assert len(partition(4, 30, 9, 1, 128, 128, interleaved=True, shared_rows=True)) == 30


def test_a_weight_wider_than_the_crossbar_is_refused():
    with pytest.raises(ValueError, match="9 columns per weight do not fit 8"):
        partition(9, 1, 4, 4, 8, 8, interleaved=True, shared_rows=False)
