"""Outlines: of a hand-sized program, and of the same network without its weights."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from flow_networks import SHAPES, flow_network, quantized
from hypothesis import given, settings
from hypothesis import strategies as st
from small import random_weights, small_chip, small_network
from torch import nn

import mapping
import xbar
from xbar.errors import CapacityError, DataError
from xbar.outline import LayerOutline, outline
from xbar.same import same_fields

STRADDLING = {"core__crossbars": 1, "tile__cores": 4}


def straddling() -> LayerOutline:
    """20 x 6 weights on 8 x 8 crossbars of 4 weights a row: row blocks 8 + 8 + 4, column blocks 4 + 2, six pieces, one
    to a core, four cores to a tile; and a second copy behind the first."""
    qnet = small_network(random_weights([(6, 20)]), vectors=2)
    (layer,) = outline(mapping.compile(qnet, small_chip(**STRADDLING), 3)).layers
    return layer


def test_by_hand():
    """10 -> 6 -> 3: four crossbars in two cores of tile 0, one crossbar in the first core of tile 1."""
    made = outline(mapping.compile(small_network(random_weights([(6, 10), (3, 6)])), small_chip()))
    first, second = made.layers
    assert (made.network, made.n_chips, made.n_tiles_used) == ("small", 1, 2)
    assert (first.cores, first.first_core, first.n_replicas) == (2, 0, 1)
    assert first.placed().core.tolist() == [0, 0, 1, 1]
    assert first.placed().tile.tolist() == [0, 0, 0, 0]
    assert first.pieces.cells_used == 8 * 8 + 2 * 8 + 8 * 4 + 2 * 4
    assert (first.homes(0), first.moved_sums(0)) == ({0: 6}, {})
    assert (first.kept, first.window, first.sum_bits) == ((10, 10), (1, 1), 4 + 4 + 4)
    assert (second.cores, second.first_core, list(second.tiles)) == (1, 2, [1])
    assert (second.pieces.cells_used, second.homes(0), second.sum_bits) == (6 * 6, {1: 3}, 4 + 4 + 3)


def test_sums_meet_in_the_tile_of_an_output_s_first_piece():
    """Copy 0 is in cores 0 to 5. Columns 0-3: cores 0, 1, 2, all in tile 0. Columns 4-5: core 3 in tile 0, cores 4 and
    5 in tile 1, which adds their sums and sends 2. Copy 1 is in cores 6 to 11. Columns 0-3: cores 6 and 7 in tile 1,
    core 8 in tile 2, which sends 4. Columns 4-5: cores 9 to 11, all in tile 2."""
    layer = straddling()
    assert (layer.n_replicas, layer.cores) == (2, 6)
    assert [list(layer.tiles_of(copy)) for copy in (0, 1)] == [[0, 1], [1, 2]]
    assert list(layer.tiles) == [0, 1, 2]
    assert layer.placed(0).tile.tolist() == [0, 0, 0, 0, 1, 1]
    assert layer.placed(1).tile.tolist() == [0, 0, 1, 1, 1, 1]
    assert (layer.homes(0), layer.moved_sums(0)) == ({0: 6}, {(1, 0): 2})
    assert (layer.homes(1), layer.moved_sums(1)) == ({1: 4, 2: 2}, {(2, 1): 4})


@pytest.mark.parametrize(("dilation", "width"), [(1, 3), (2, 5)])
def test_the_part_of_a_row_that_a_window_needs(dilation, width):
    """3 x 3 windows on rows of 6 pixels; the first of 2 channels has no weights; a linear layer needs whole rows."""
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=dilation, dilation=dilation), nn.Flatten(), nn.Linear(3 * 36, 2))
    with torch.no_grad():
        model[0].weight[:, 0] = 0
        model[2].weight[:] = 1
    x = torch.rand(2, 2, 6, 6)
    chip = small_chip(chip__tiles=99)
    conv, linear = outline(mapping.compile(xbar.quantize(xbar.from_torch(model.eval(), x), x, chip), chip)).layers
    assert (conv.window, conv.kept, conv.vectors_per_row) == ((width, 6), (1, 2), 6)
    assert (linear.window, linear.kept, linear.vectors_per_row) == ((1, 1), (108, 108), 1)


CHIPS = st.fixed_dictionaries(
    {
        "encoding": st.sampled_from(
            [
                {"kind": "differential", "layout": "interleaved"},
                {"kind": "offset", "layout": "separate"},
                {"kind": "offset", "flipped": True, "layout": "interleaved"},
            ]
        ),
        "device__cell_bits": st.sampled_from([1, 2, 3]),
        "crossbar__rows": st.sampled_from([4, 8, 20]),
        "crossbar__cols": st.sampled_from([8, 12]),
        "dac__bits": st.sampled_from([1, 2]),
        "core__crossbars": st.integers(1, 4),
        "core__adcs": st.integers(1, 3),
        "tile__cores": st.integers(1, 5),
        "chip__tiles": st.sampled_from([20, 400]),
    }
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(SHAPES)), CHIPS, st.integers(0, 200), st.sampled_from([1, 2, 30]))
def test_a_network_without_zeros_has_the_outline_of_its_program(name, changes, more_tiles, n_chips):
    """Every field of every layer, and what the host does; also where copies and further chips are asked for."""
    chip, qnet = small_chip(**changes), quantized(name)
    least = mapping.outline(qnet.network, chip, n_chips=None).n_tiles_used
    if least > n_chips * chip.chip.tiles:
        with pytest.raises(CapacityError) as caught:
            mapping.outline(qnet.network, chip, n_chips=n_chips)
        with pytest.raises(CapacityError, match=re.escape(str(caught.value))):
            mapping.compile(qnet, chip, n_chips=n_chips)
        return
    budget = min(least + more_tiles, n_chips * chip.chip.tiles) if more_tiles else None
    sketch = mapping.outline(qnet.network, chip, budget, n_chips=n_chips)
    made = outline(mapping.compile(qnet, chip, budget, n_chips=n_chips))
    for found, expected in zip(sketch.layers, made.layers, strict=True):
        assert same_fields(found, expected), (found, expected)
    assert (sketch.network, sketch.chip, sketch.n_chips) == (made.network, made.chip, made.n_chips)
    assert sketch.host_ops == made.host_ops
    assert sketch.n_tiles_used == made.n_tiles_used
    assert sketch.flow == made.flow


def test_as_many_chips_as_it_takes():
    """Five crossbars, one to a core and a tile, two tiles to a chip: three chips."""
    chip = small_chip(core__crossbars=1, tile__cores=1, chip__tiles=2)
    network = small_network(random_weights([(6, 10), (3, 6)])).network
    made = mapping.outline(network, chip, n_chips=None)
    assert (made.n_tiles_used, made.n_chips) == (5, 3)
    with pytest.raises(CapacityError, match="needs 5 tiles, got 4"):
        mapping.outline(network, chip, n_chips=2)


def test_who_is_signed_can_be_said():
    """A sign takes a pulse more: 3 magnitude bits and the sign on a DAC of 2 bits are 3 pulses instead of 2."""
    chip, network = small_chip(dac__bits=2), flow_network("vectors")
    assert [layer.n_pulses for layer in mapping.outline(network, chip).layers] == [2, 2, 2]
    assert [layer.n_pulses for layer in mapping.outline(network, chip, signed=["fc2"]).layers] == [2, 3, 2]
    more = np.array([layer.per_vector.array_reads for layer in mapping.outline(network, chip, signed=["fc2"]).layers])
    assert more.tolist() == [4, 6, 2]


@pytest.mark.parametrize("n_chips", [0, -1])
def test_there_is_at_least_one_chip(n_chips: int):
    network = small_network(random_weights([(6, 10), (3, 6)])).network
    with pytest.raises(DataError, match=f"n_chips: must be 1 or more, got {n_chips}; .*None"):
        mapping.outline(network, small_chip(), n_chips=n_chips)
