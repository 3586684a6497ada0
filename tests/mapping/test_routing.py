"""Wires, cells and lengths of hand-sized programs."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from close import approx
from small import random_weights, small_chip, small_network

import mapping
from xbar.program import Program

SHAPES = [(6, 10), (3, 6)]
LAYOUTS = ["interleaved", "separate"]


def compiled(*weights: np.ndarray, **changes: object) -> Program:
    """Integer weights [row, col] by layer."""
    return mapping.compile(small_network([w.T.astype(np.int32) for w in weights]), small_chip(**changes))


def test_nothing_deleted_by_hand():
    """10 x 6 on 8 x 8 crossbars of 4 weights per row: 2 x 2 blocks, 10 rows of 2 blocks and 6 columns of 2."""
    result = mapping.routing(mapping.compile(small_network([np.ones((6, 10), np.int32) * 7]), small_chip()))
    (layer,) = result.layers
    assert (layer.crossbars, layer.cells, layer.weights, layer.blocks) == (4, 10 * 12, 60, 4)
    assert (layer.wires, layer.all_wires) == (2 * 10 + 2 * 6,) * 2
    assert layer.area_rel == result.area_rel == 1


@pytest.mark.parametrize("kind", ["differential", "offset"])
def test_wires_that_lead_to_no_weight_are_deleted(kind):
    """16 x 16 in blocks of 8 x 8, planes of their own. Weights in the first block alone, and there in 3 rows and 5
    columns: 8 wires of 64. They fill one crossbar for each plane that holds something."""
    weight = np.zeros((16, 16), int)
    weight[np.ix_([0, 3, 7], [0, 1, 2, 5, 7])] = 7
    result = mapping.routing(compiled(weight, encoding={"kind": kind, "layout": "separate"}))
    (layer,) = result.layers
    assert (layer.wires, layer.all_wires, layer.blocks) == (8, 64, 4)
    assert layer.area_rel == (8 / 64) ** 2
    planes = 2 if kind == "offset" else 1
    assert (layer.crossbars, layer.cells, layer.weights) == (planes, planes * 15, 15)


def test_a_wire_may_go_in_one_block_only():
    """Row 2 holds nothing in the second column block, column 9 nothing in the first row block."""
    weight = np.full((16, 16), 3)
    weight[2, 8:] = 0
    weight[:8, 9] = 0
    program = compiled(weight, encoding={"kind": "differential", "layout": "separate"}, chip__tiles=9)
    assert program.layers[0].kept_rows is None
    (layer,) = mapping.routing(program).layers
    assert (layer.wires, layer.all_wires) == (62, 64)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", ["differential", "offset", "flipped"])
def test_wires_against_every_wire_of_every_block(kind, layout):
    rng = np.random.default_rng(5)
    weight = rng.integers(-7, 8, (21, 18)) * (rng.random((21, 18)) < 0.05)
    flipped = {"flipped": True} if kind == "flipped" else {}
    encoding = {"kind": "differential" if kind == "differential" else "offset", "layout": layout, **flipped}
    chip = {"encoding": encoding, "device__cell_bits": 2, "chip__tiles": 999}
    (layer,) = mapping.routing(compiled(weight, **chip)).layers
    planes = 4 if kind == "differential" else 2
    wide = 8 // planes if layout == "interleaved" else 8
    wires = every = 0
    for r in range(0, 21, 8):
        for c in range(0, 18, wide):
            block = weight[r : r + 8, c : c + wide] != 0
            wires += block.any(axis=0).sum() + block.any(axis=1).sum()
            every += sum(block.shape)
    assert (layer.wires, layer.all_wires) == (wires, every)


def test_the_mean_is_over_matrices_larger_than_a_crossbar():
    """As published: the second layer, 5 x 3 of 8 x 4, lost wires too, but no wire between crossbars."""
    first, second = np.zeros((16, 5), int), np.zeros((5, 3), int)
    first[:4] = second[:2] = 5
    result = mapping.routing(compiled(first, second))
    large, small = result.layers
    assert (large.blocks, small.blocks) == (4, 1)
    assert large.wires_rel == (4 * 2 + 5) / (16 * 2 + 5 * 2)
    assert small.wires_rel == (2 + 3) / (5 + 3)
    assert result.area_rel == large.area_rel
    assert mapping.routing(compiled(np.eye(4)[:, :2])).area_rel == (4 / 6) ** 2


def test_lengths_by_hand():
    """As in test_compiler: layer 0 in tile 0, where inputs arrive; layer 1 in tile 1, one hop from it."""
    program = mapping.compile(small_network(random_weights(SHAPES)), small_chip())
    result = mapping.routing(program)
    pitch_m = sqrt(program.chip.total("tile").area_m2)
    assert result.tile_pitch_m == pitch_m > 0
    assert [layer.wire_length_m for layer in result.layers] == [0, pitch_m]
    assert result.wire_length_m == pitch_m


def test_lengths_where_tiles_share_a_router():
    """As above, but two tiles to a router, so that no link leads to layer 1; in a tree a link up and one down, a pitch
    each."""
    router = {"flit_bits": 32, "clock_Hz": 1e9, "area_m2": 1e-8, "power_W": 1e-3, "ports": 8}
    qnet = small_network(random_weights(SHAPES))
    for kind, pitches in (({"kind": "mesh", "concentration": 2, "count": 2}, 0), ({"kind": "htree"}, 2)):
        chip = small_chip()
        link = chip.to_dict()["chip"]["parts"]["link"]
        program = mapping.compile(qnet, small_chip(chip__parts={"link": link, "router": {**router, **kind}}))
        result = mapping.routing(program)
        assert result.wire_length_m == approx(pitches * result.tile_pitch_m)


def test_each_copy_has_its_connections():
    """A crossbar per core, a core per tile, 2 x 2 tiles: 9 rows in tiles 0 and 1; the copy in tiles 2 and 3.

    Inputs from tile 0: 1, 1 and 2 hops; partial sums: 1 hop in each copy.
    """
    qnet = small_network([np.full((2, 9), 3, np.int32)], vectors=2)
    program = mapping.compile(qnet, small_chip(tile__cores=1, core__crossbars=1), 4)
    assert program.layers[0].n_replicas == 2
    result = mapping.routing(program)
    assert result.wire_length_m == approx((1 + 1 + 2 + 2 * 1) * result.tile_pitch_m)


def test_it_prints_as_a_table_whose_sums_close():
    result = mapping.routing(mapping.compile(small_network(random_weights(SHAPES)), small_chip()))
    for name in ("crossbars", "cells", "weights", "wires", "all_wires", "wire_length_m"):
        assert getattr(result, name) == sum(getattr(layer, name) for layer in result.layers)
    lines = str(result).splitlines()
    assert [line.split()[0] for line in lines] == ["layer", "layer0", "layer1", "total"]
    assert lines[1].split()[1:7] == ["4", "120", "60", "32", "32", "100.00%"]
    assert len({len(line) for line in lines}) == 1


def test_without_areas_lengths_are_0_and_it_says_so():
    free = {"kind": "ideal"}
    chip = small_chip(adc=free, dac__area_m2=0, crossbar__reference__area_m2=0, core__parts={}, tile__parts={})
    result = mapping.routing(mapping.compile(small_network(random_weights(SHAPES)), chip))
    assert result.wire_length_m == 0
    assert str(result).endswith("lengths are 0, since no part of a tile has an area")
