"""Events of a hand-placed layer, counted by hand."""

from __future__ import annotations

import pytest

from mapping.events import partial_sum_bits, vector_events
from mapping.partition import piece_table
from xbar.pieces import PieceTable
from xbar.program import VectorEvents


def events_of(pieces: PieceTable, crossbars: int, cores_per_tile: int, *rest: object) -> VectorEvents:
    """Events of pieces on one crossbar each, so many to a core, so many cores to a tile."""
    return vector_events(pieces.placed(crossbars, cores_per_tile, 0), *rest)


@pytest.fixture
def hand_sized():
    """5 x 3 weights, 2 planes interleaved on 4 x 4 crossbars, one crossbar per core, two cores per tile.

    Pieces in order: (rows 0-3, cols 0-1), (row 4, cols 0-1), (rows 0-3, col 2), (row 4, col 2): two per tile.
    """
    return piece_table(2, 1, 5, 3, 4, 4, interleaved=True, shared_rows=False)


def test_vector_events_by_hand(hand_sized):
    """3 pulses, weights of 3 bits, inputs of 3, outputs of 2.

    Word lines per pulse 4 + 1 + 4 + 1 = 10. Both planes are one column per weight: 2 + 2 + 1 + 1 = 6 per plane, so with
    slices (0, 1) 18 conversions each. Each tile reads all 5 inputs: 2 x 5 x 3 bits. Each core reads its own rows (10 x
    3 bits) and sends sums back (6 of 3 + 3 + 3 bits).
    """
    events = events_of(hand_sized, 1, 2, 5, (0, 1), False, 3, 3, 3, 2)
    assert events.array_reads == 12
    assert events.row_pulses == 30
    assert events.conversions == (18, 18)
    assert events.unit_conversions == 0
    assert events.tile_adds == 3
    assert events.buffer_read_bits == 30
    assert events.buffer_write_bits == 6
    assert events.bus_bits == 30 + 6 * 9


def test_unit_column_adds_one_conversion_per_read(hand_sized):
    assert events_of(hand_sized, 1, 2, 5, (0, 1), True, 3, 3, 3, 2).unit_conversions == 12


def test_planes_in_crossbars_of_their_own_all_see_the_word_lines():
    pieces = piece_table(4, 1, 4, 8, 4, 4, interleaved=False, shared_rows=False)
    events = events_of(pieces, 8, 1, 4, (0, 1, 0, 1), False, 1, 3, 2, 2)
    assert events.row_pulses == 8 * 4
    assert events.conversions == (16, 16)
    assert events.bus_bits == 4 * 2 + 8 * (3 + 2 + 2)  # one core: inputs once, every output once


def test_packed_groups_read_their_rows_once():
    """3 groups of 2 rows, 1 column: two groups on a 4-row crossbar, then one."""
    pieces = piece_table(1, 3, 2, 1, 4, 4, interleaved=True, shared_rows=False)
    events = events_of(pieces, 2, 1, 2, (0,), False, 1, 2, 4, 4)
    assert (events.array_reads, events.row_pulses, events.conversions) == (2, 6, (3,))
    assert events.buffer_read_bits == 6 * 4
    assert events.buffer_write_bits == 3 * 4


def test_partial_sum_bits_hold_the_worst_case():
    """128 products of -7 x 15 sum to -13440: 15 bits with sign; the rule gives 4 + 4 + 7."""
    assert partial_sum_bits(4, 4, 128) == 15
    assert -(2**14) <= 128 * -7 * 15
