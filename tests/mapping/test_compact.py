"""What holds no weight takes no hardware: by hand, and against a brute-force search for empty pieces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small import counted, small_chip, small_network
from torch import nn

import mapping
import xbar
from mapping.compact import compact, drop_empty
from mapping.encode import encode
from mapping.partition import partition, row_edges
from xbar.cost import estimate
from xbar.program import LayerProgram, crossbars_by_rows, formed

SEPARATE = {"encoding": {"kind": "differential", "layout": "separate"}}


def compiled(weight: Any, **changes: Any) -> LayerProgram:
    """The only layer of a network with integer weights [row, col]."""
    return mapping.compile(small_network([np.asarray(weight, np.int32).T]), small_chip(**changes)).layers[0]


def test_rows_and_columns_go_where_every_group_has_zeros():
    weights = np.zeros((2, 4, 3), np.int32)
    weights[0, 1, 0] = 5
    weights[1, 3, 2] = -7
    kept = compact(weights)
    assert (kept.rows.tolist(), kept.cols.tolist(), kept.full_shape) == ([1, 3], [0, 2], (4, 3))
    assert kept.weights.tolist() == [[[5, 0], [0, 0]], [[0, 0], [0, -7]]]


def test_all_or_none():
    kept = compact(np.ones((1, 2, 3), np.int32))
    assert (kept.rows, kept.cols, kept.full_shape) == (None, None, None)
    kept = compact(np.zeros((2, 3, 1), np.int32))
    assert (kept.rows.tolist(), kept.cols, kept.full_shape) == ([0], None, (3, 1))
    assert kept.weights.shape == (2, 1, 1)


def test_a_compacted_layer_takes_what_its_weights_need_and_says_so():
    """12 x 6 with 5 rows and 3 columns that hold weights: one crossbar of 5 x 3 x 2 instead of 2 x 2 of them.

    4 pulses: 4 reads, 20 row pulses, 24 conversions; 5 inputs of 4 bits go in, 3 outputs of 4 bits come out.
    """
    weight = np.zeros((12, 6), np.int32)
    weight[np.ix_([0, 2, 5, 8, 11], [1, 2, 4])] = 7
    program = mapping.compile(small_network([weight.T]), small_chip())
    (layer,) = program.layers
    assert str(layer) == "layer0: 12 x 6, 5 rows and 3 columns kept, in 1 crossbar, tile 0"
    assert layer.kept_rows.tolist() == [0, 2, 5, 8, 11]
    assert layer.kept_cols.tolist() == [1, 2, 4]
    assert [(b.n_rows, b.n_cols) for b in layer.blocks] == [(5, 6)]
    events = layer.per_vector
    assert (events.array_reads, events.row_pulses, events.conversions) == (4, 20, (24,))
    assert (events.buffer_read_bits, events.buffer_write_bits, events.tile_adds) == (20, 12, 0)
    report = estimate(program, counted(program))
    assert report.macs == 72  # of the network, however much of it is zero
    assert report.utilisation == {"layer0": 30 / 64}
    assert str(compiled(weight[:, [1, 2, 4]])) == "layer0: 12 x 3, 5 rows kept, in 1 crossbar, tile 0"


def test_inputs_that_no_weight_takes_are_not_sent():
    """Layer 1 needs 2 of the 6 results of layer 0, a tile away: 2 x 4 bits, one hop; its own 3 go back to the edge."""
    first, second = np.full((6, 10), 3, np.int32), np.zeros((3, 6), np.int32)
    second[:, [1, 4]] = 5
    assert mapping.compile(small_network([first, second]), small_chip()).layers[1].link_bits_per_input == 8 + 3 * 4


def test_channels_that_no_weight_takes_are_not_sent():
    """3 channels of 5 x 5, one core per tile: the second convolution uses one pixel of the first channel of each 3 x 3
    window: one channel of 5 rows x 5 x 8 bits goes to its tile, and both results back to the edge at tile 0."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.ReLU(), nn.Conv2d(3, 2, 3, padding=1)).eval()
    with torch.no_grad():
        model[2].weight[:, 1:] = 0
        model[2].weight[:, 0].view(2, 9)[:, 1:] = 0
    x = torch.rand(2, 1, 5, 5)
    chip = small_chip(precision={"weight_bits": 4, "input_bits": 8}, tile__cores=1)
    second = mapping.compile(xbar.quantize(xbar.from_torch(model, x), x, chip), chip).layers[1]
    assert second.kept_rows.tolist() == [0]
    assert second.link_bits_per_input == 5 * 5 * 8 + 2 * 5 * 5 * 8


def test_an_empty_crossbar_of_the_diagonal_is_not_there():
    """16 x 16 on 8 x 8 crossbars, planes of their own, weights in two of four pieces: 2 x 2 crossbars of 2 x 4.

    Each word line is seen by its own two crossbars; no sums are merged, since every output has one row block.
    """
    weight = np.zeros((16, 16), np.int32)
    weight[:8, :8] = weight[8:, 8:] = np.where(np.arange(8) % 2, 3, -3)
    layer = compiled(weight, **SEPARATE)
    assert [(b.planes, b.row_block, b.cols) for b in layer.blocks] == [
        ((0,), 0, (0, 8)),
        ((1,), 0, (0, 8)),
        ((0,), 1, (8, 16)),
        ((1,), 1, (8, 16)),
    ]
    assert layer.kept_rows is None
    assert layer.per_vector.tile_adds == 0
    assert layer.per_vector.conversions == (4 * 32,)
    assert crossbars_by_rows(layer).tolist() == [[2], [2]]
    assert formed(layer)[:, 0, 0].tolist() == [[True] * 8 + [False] * 8] * 2


def test_an_empty_top_slice_has_no_crossbars():
    """Weights of 1 in two slices of 2 bits: of four planes only the lowest positive one holds anything."""
    layer = compiled(np.ones((8, 8), np.int32), device__cell_bits=2, **SEPARATE)
    assert [b.planes for b in layer.blocks] == [(0,)]
    assert layer.per_vector.conversions == (4 * 8, 0)
    assert crossbars_by_rows(layer).tolist() == [[1]]


@pytest.mark.parametrize("layout", ["interleaved", "separate"])
def test_with_offset_a_piece_of_zeros_goes_with_its_offset(layout):
    weight = np.zeros((16, 16), np.int32)
    weight[:8, :4] = weight[8:, 8:] = 1
    chip = {"encoding": {"kind": "offset", "layout": layout}, "device__cell_bits": 2, "chip__tiles": 9}
    layer = compiled(weight, **chip)
    assert layer.kept_cols.tolist() == [0, 1, 2, 3, *range(8, 16)]
    exist = formed(layer)
    assert (exist == exist[0]).all()  # all planes or none
    wide = 4 if layout == "interleaved" else 8  # weights side by side on a crossbar
    there = [[c // wide in {k // wide for k in own} for c in range(12)] for own in (range(4), range(4, 12))]
    assert exist[0, :, 0].tolist() == there
    assert ((layer.unit_coef[:, 0] != 0) == exist[0, :, 0]).all()
    assert not layer.cells[:, 0, :8][:, :, ~exist[0, 0, 0]].any()
    assert layer.per_vector.unit_conversions == 4 * len(layer.blocks)


@pytest.mark.parametrize("layout", ["interleaved", "separate"])
@pytest.mark.parametrize("kind", ["differential", "offset"])
def test_a_layer_of_zeros_keeps_one_crossbar(kind, layout):
    qnet = small_network([np.zeros((20, 30), np.int32), np.ones((3, 20), np.int32)])
    program = mapping.compile(qnet, small_chip(encoding={"kind": kind, "layout": layout}))
    first = program.layers[0]
    assert str(first) == "layer0: 30 x 20, 1 row and 1 column kept, in 1 crossbar, tile 0"
    result = xbar.simulate(program, torch.rand(4, 1, 30))
    assert not result.outputs.any()
    assert all(value >= 0 for value in estimate(program, result.activity).metrics().values())


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from(["differential", "offset", "flipped"]),
    groups=st.integers(1, 4),
    size=st.tuples(st.integers(1, 20), st.integers(1, 12)),
    rows=st.integers(1, 9),
    interleaved=st.booleans(),
    share=st.floats(0, 0.3),
    seed=st.integers(0, 2**32 - 1),
)
def test_pieces_left_are_those_with_weights_and_hold_them_all(kind, groups, size, rows, interleaved, share, seed):
    """Every non-zero weight, decoded from the cells of the pieces left alone, is what it was; the others are 0."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-7, 8, (groups, *size)) * (rng.random((groups, *size)) < share)
    edges, cell_bits, slices = row_edges(size[0], rows), 2, 2
    coded = encode(
        weights, edges, "offset" if kind != "differential" else kind, 4, cell_bits, slices, kind == "flipped"
    )
    n_planes = len(coded.plane_slice)
    pieces = partition(n_planes, groups, *size, rows, 8, interleaved, kind != "differential")
    left, coded = drop_empty(pieces, weights, coded, edges)
    assert 1 <= len(left) <= len(pieces)
    decoded = np.zeros_like(weights)
    for piece in left:
        first, last = edges[piece.row_block], edges[piece.row_block + 1]
        for g in range(*piece.groups):
            for c in range(*piece.cols):
                for plane in piece.planes:
                    factor = int(coded.plane_sign[plane, piece.row_block, g, c]) << (
                        cell_bits * coded.plane_slice[plane]
                    )
                    decoded[g, first:last, c] += factor * coded.cells[plane, g, first:last, c].astype(int)
                if coded.unit_coef is not None and 0 in piece.planes:
                    decoded[g, first:last, c] += coded.unit_coef[piece.row_block, g, c]
        window = (slice(*piece.groups), slice(first, last), slice(*piece.cols))
        assert weights[window].any() or not weights.any()
    assert (decoded == weights).all()
