"""Tables of pieces: what they share, and what they become."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.partition import partition, piece_table
from xbar.pieces import PieceTable, first_of, table_of

SIZES = st.tuples(  # the arguments of piece_table
    st.integers(1, 6),
    st.integers(1, 7),
    st.integers(1, 30),
    st.integers(1, 14),
    st.integers(1, 16),
    st.integers(6, 16),
    st.booleans(),
    st.booleans(),
)


def hand_sized() -> PieceTable:
    """5 x 3 weights, 2 planes interleaved on 4 x 4 crossbars.

    In order: (rows 0-3, cols 0-1), (row 4, cols 0-1), (rows 0-3, col 2), (row 4, col 2).
    """
    return piece_table(2, 1, 5, 3, 4, 4, interleaved=True, shared_rows=False)


def test_columns_by_hand():
    table = hand_sized()
    assert len(table) == 4
    assert table.row_block.tolist() == [0, 1, 0, 1]
    assert table.col_first.tolist() == [0, 0, 2, 2]
    assert table.col_end.tolist() == [2, 2, 3, 3]
    assert table.n_rows.tolist() == [4, 1, 4, 1]
    assert table.n_cols.tolist() == [4, 4, 2, 2]
    assert table.n_outputs.tolist() == [2, 2, 1, 1]
    assert (table.plane_end - table.plane_first).tolist() == [2, 2, 2, 2]


def test_a_part_of_a_table():
    table = hand_sized()
    assert table[1:3].n_rows.tolist() == [1, 4]
    assert table[table.row_block == 1].col_first.tolist() == [0, 2]
    assert table[0:4] == table != table[0:3]


def test_groups_on_the_diagonal_of_a_crossbar():
    """3 groups of 2 rows and 1 column on 4 x 4: two of them, then one."""
    table = piece_table(1, 3, 2, 1, 4, 4, interleaved=True, shared_rows=False)
    assert list(zip(table.group_first.tolist(), table.group_end.tolist(), strict=True)) == [(0, 2), (2, 3)]
    assert table.n_outputs.tolist() == [2, 1]
    assert table.n_rows.tolist() == [4, 2]


@settings(max_examples=100, deadline=None)
@given(SIZES)
def test_numbers_tell_which_pieces_share_inputs_and_outputs(sizes):
    t = piece_table(*sizes)
    for number, keys in ((t.output, (t.group_first, t.col_first)), (t.rows, (t.group_first, t.row_block))):
        same = np.all([key[:, None] == key[None, :] for key in keys], axis=0)
        np.testing.assert_array_equal(number[:, None] == number[None, :], same)


@settings(max_examples=100, deadline=None)
@given(SIZES)
def test_pieces_one_by_one_make_the_same_table(sizes):
    assert table_of(partition(*sizes)) == piece_table(*sizes)


def test_first_of_by_hand():
    keys = np.array([3, 1, 3, 1, 0]), np.array([0, 2, 0, 1, 7])
    assert first_of(*keys).tolist() == [0, 1, 3, 4]
    assert first_of(keys[0]).tolist() == [0, 1, 4]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40), st.integers(0, 2)), min_size=1, max_size=30))
def test_first_of_any_keys(rows):
    expected = [i for i, row in enumerate(rows) if row not in rows[:i]]
    assert first_of(*np.array(rows).T).tolist() == expected
