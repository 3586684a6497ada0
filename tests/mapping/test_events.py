"""Events of a hand-placed layer, counted by hand."""

from __future__ import annotations

import pytest

from mapping.events import link_bits, partial_sum_bits, vector_events
from mapping.partition import partition
from mapping.place import place
from mapping.share import InputMap, convolution_map
from xbar.network import ConvShape


@pytest.fixture
def hand_sized():
    """5 x 3 weights, 2 planes interleaved on 4 x 4 crossbars, one crossbar per core, two cores per tile.

    Pieces in order: (rows 0-3, cols 0-1), (row 4, cols 0-1), (rows 0-3, col 2), (row 4, col 2): two per tile.
    """
    pieces = partition(2, 1, 5, 3, 4, 4, interleaved=True, shared_rows=False)
    return place(pieces, 0, 1, 1, 2)[0]


def test_vector_events_by_hand(hand_sized):
    """3 pulses, weights of 3 bits, inputs of 3, outputs of 2.

    Word lines per pulse 4 + 1 + 4 + 1 = 10. Both planes are one column per weight: 2 + 2 + 1 + 1 = 6 per plane, so with
    slices (0, 1) 18 conversions each. Each tile reads all 5 inputs: 2 x 5 x 3 bits. Each core reads its own rows (10 x
    3 bits) and sends sums back (6 of 3 + 3 + 3 bits).
    """
    events = vector_events(hand_sized, 5, (0, 1), False, 3, 3, 3, 2)
    assert events.array_reads == 12
    assert events.row_pulses == 30
    assert events.conversions == (18, 18)
    assert events.unit_conversions == 0
    assert events.tile_adds == 3
    assert events.buffer_read_bits == 30
    assert events.buffer_write_bits == 6
    assert events.bus_bits == 30 + 6 * 9


def test_unit_column_adds_one_conversion_per_read(hand_sized):
    assert vector_events(hand_sized, 5, (0, 1), True, 3, 3, 3, 2).unit_conversions == 12


def test_planes_in_crossbars_of_their_own_all_see_the_word_lines():
    pieces = partition(4, 1, 4, 8, 4, 4, interleaved=False, shared_rows=False)
    events = vector_events(place(pieces, 0, 1, 8, 1)[0], 4, (0, 1, 0, 1), False, 1, 3, 2, 2)
    assert events.row_pulses == 8 * 4
    assert events.conversions == (16, 16)
    assert events.bus_bits == 4 * 2 + 8 * (3 + 2 + 2)  # one core: inputs once, every output once


def test_packed_groups_read_their_rows_once():
    """3 groups of 2 rows, 1 column: two groups on a 4-row crossbar, then one."""
    pieces = partition(1, 3, 2, 1, 4, 4, interleaved=True, shared_rows=False)
    events = vector_events(place(pieces, 0, 1, 2, 1)[0], 2, (0,), False, 1, 2, 4, 4)
    assert (events.array_reads, events.row_pulses, events.conversions) == (2, 6, (3,))
    assert events.buffer_read_bits == 6 * 4
    assert events.buffer_write_bits == 3 * 4


def test_partial_sum_bits_hold_the_worst_case():
    """128 products of -7 x 15 sum to -13440: 15 bits with sign; the rule gives 4 + 4 + 7."""
    assert partial_sum_bits(4, 4, 128) == 15
    assert -(2**14) <= 128 * -7 * 15


def linear(n_vectors, vector_bits):
    return InputMap(n_vectors, 1, n_vectors, n_vectors, 1, vector_bits)


def test_link_bits_by_hand(hand_sized):
    """Tiles 0 and 1 of a 2 x 2 mesh; 7 vectors of 10 bits.

    From outside (tile 0): 70 bits one hop to tile 1. From tile 3: two hops to tile 0, one to tile 1. No sums move,
    since each output's row blocks lie in one tile. A second replica in tiles 2 and 3 takes 4 of the 7 vectors: one hop
    to tile 2, none to tile 3; the first keeps 3.
    """
    inputs = linear(7, 10)
    assert link_bits(hand_sized, (), (), 4, inputs, 9) == 70
    assert link_bits(hand_sized, (), (3,), 4, inputs, 9) == 3 * 70
    assert link_bits(hand_sized, ((2, 3),), (3,), 4, inputs, 9) == 3 * 30 + 40


def test_each_replica_of_a_convolution_gets_its_rows():
    """6 rows of 32 bits, 3 x 3 windows, padding 1, three replicas with 2 output rows each in tiles 0, 1, 2 of 2 x 2.

    Tile 1 gets rows 1-4, tile 2 rows 3-5, a hop each. With all copies in one tile, it gets every row once.
    """
    conv = ConvShape((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1))
    inputs = convolution_map(conv, 1, [6, 4], 1, 8)
    pieces = partition(1, 1, 4, 4, 4, 4, interleaved=True, shared_rows=False)
    blocks, others = place(pieces, 0, 3, 1, 1)
    assert link_bits(blocks, others, (), 4, inputs, 9) == (4 + 3) * 32
    blocks, others = place(pieces, 3, 3, 1, 3)
    assert link_bits(blocks, others, (), 4, inputs, 9) == 6 * 32


def test_partial_sums_that_leave_their_tile():
    """9 rows x 2 columns on 3 row blocks of 4, a core per tile: blocks 1 and 2 send 2 sums of 9 bits for 7 vectors."""
    pieces = partition(1, 1, 9, 2, 4, 4, interleaved=True, shared_rows=False)
    blocks = place(pieces, 0, 1, 1, 1)[0]
    assert link_bits(blocks, (), (0, 1, 2), 4, linear(7, 10), 9) == 7 * 2 * 9 * (1 + 1)
