"""Tables of pieces: what they share, and what they become."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.partition import partition, piece_table
from xbar.pieces import PieceTable, table_of

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


def test_what_pieces_share_by_hand():
    """Two to a core, one core to a tile: both cores need all 5 rows, and have the sums of 2 outputs and of 1."""
    placed = hand_sized().placed(2, 1, 0)
    assert (placed.core.tolist(), placed.core_tile.tolist(), placed.crossbars.tolist()) == (
        [0, 0, 1, 1],
        [0, 1],
        [2, 2],
    )
    assert placed.columns.tolist() == [[4, 2], [4, 2]]
    assert (placed.core_rows.tolist(), placed.tile_rows.tolist()) == ([5, 5], [5, 5])
    assert (placed.core_sums.tolist(), placed.homes, placed.moved_sums) == ([2, 1], {0: 2, 1: 1}, {})


def test_tables_are_shared_and_so_cannot_be_changed():
    table = hand_sized()
    assert table is hand_sized()
    with pytest.raises(ValueError, match="read-only"):
        table.n_rows[0] = 7


def test_only_the_last_few_placements_are_kept():
    table = hand_sized()
    placed = table.placed(1, 1, 0)
    assert table.placed(1, 1, 0) is placed
    for crossbars in range(2, 40):
        table.placed(crossbars, 1, 0)
    assert len(table._placements) < 10
    assert table.placed(1, 1, 0) is not placed


def test_a_tile_begins_where_the_layer_before_left_it():
    """One piece to a core, the first in the last core of a tile: the sum of its 2 outputs' last row comes from the next
    tile."""
    placed = hand_sized().placed(1, 2, 1)
    assert placed.tile.tolist() == [0, 1, 1, 2]
    assert (placed.homes, placed.moved_sums) == ({0: 2, 1: 1}, {(1, 0): 2, (2, 1): 1})
    assert placed.tile_rows.tolist() == [4, 5, 1]


@settings(max_examples=100, deadline=None)
@given(SIZES, st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(0, 3))
def test_what_pieces_share_counted_one_by_one(sizes, crossbars, cores, first, drop):
    """Sets of lines instead of tables; some pieces hold no weight and have no crossbar."""
    whole = piece_table(*sizes)
    kept = np.arange(len(whole)) % 4 != drop
    table = whole[kept] if kept.any() else whole
    placed = table.placed(crossbars, cores, first % cores)
    needs, sums = defaultdict(set), defaultdict(set)
    columns = Counter()
    home, moved = {}, defaultdict(set)
    for i in range(len(table)):
        core = i // crossbars
        tile = (first % cores + core) // cores
        outputs = (table.group_first[i], table.col_first[i])
        needs["core", core].add((table.group_first[i], table.row_block[i], table.n_rows[i]))
        needs["tile", tile].add((table.group_first[i], table.row_block[i], table.n_rows[i]))
        sums[core].add((*outputs, table.n_outputs[i]))
        if home.setdefault(outputs, tile) != tile:
            moved[tile, home[outputs]].add((*outputs, table.n_outputs[i]))
        for plane in range(table.plane_first[i], table.plane_end[i]):
            columns[plane, core] += table.n_cols[i] // (table.plane_end[i] - table.plane_first[i])
    for level, found in (("core", placed.core_rows), ("tile", placed.tile_rows)):
        assert found.tolist() == [sum(n for *_, n in needs[level, k]) for k in range(len(found))]
    assert placed.core_sums.tolist() == [sum(n for *_, n in sums[core]) for core in range(len(placed.core_sums))]
    assert placed.moved_sums == {way: sum(n for *_, n in outputs) for way, outputs in moved.items()}
    assert {key: n for key, n in np.ndenumerate(placed.columns) if n} == columns
    assert sum(placed.homes.values()) == sum(n for *_, n in set().union(*sums.values()))
