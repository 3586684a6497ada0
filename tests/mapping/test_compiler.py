"""Whole compilations of hand-sized networks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from close import approx
from models import LeNet5
from small import random_weights, small_chip, small_network

import mapping
import xbar
from xbar.errors import CapacityError, DataError
from xbar.network import QuantizedNetwork
from xbar.outline import outline, pulse_time_s
from xbar.program import Program, crossbars_by_rows


def used_tiles(program: Program) -> set[int]:
    return {t for layer in program.layers for t in {b.tile for b in layer.blocks}.union(*layer.replica_tiles)}


def test_two_layers_by_hand():
    """10 -> 6 -> 3 on 8 x 8 crossbars, differential 4-bit weights in 3-bit cells: 2 columns per weight, 1 slice.

    Layer 0: row blocks 8 + 2, column blocks 4 + 2: 4 crossbars, 2 cores, all of tile 0. Layer 1: 6 rows, 3 columns: 1
    crossbar in the first core of tile 1. 4 pulses of 1 bit. The row blocks of an output lie in one core, where they
    meet without an addition of the tile.
    """
    program = mapping.compile(small_network(random_weights([(6, 10), (3, 6)])), small_chip())
    first, second = program.layers
    assert [(b.n_rows, b.n_cols, b.tile, b.core, b.crossbar) for b in first.blocks] == [
        (8, 8, 0, 0, 0),
        (2, 8, 0, 0, 1),
        (8, 4, 0, 1, 0),
        (2, 4, 0, 1, 1),
    ]
    assert [(b.n_rows, b.n_cols, b.tile, b.core, b.crossbar) for b in second.blocks] == [(6, 6, 1, 0, 0)]
    assert program.n_tiles_used == 2
    assert first.row_edges == (0, 8, 10)
    assert first.n_pulses == 4
    events = first.per_vector
    assert events.array_reads == 4 * 4
    assert events.row_pulses == 4 * 20
    assert events.conversions == (4 * 24,)
    assert events.tile_adds == 0
    assert events.buffer_read_bits == 10 * 4
    assert events.buffer_write_bits == 6 * 4
    # each of 2 cores reads all 10 inputs; 4 + 2 sums of 4 + 4 + 4 bits return
    assert events.bus_bits == 2 * 10 * 4 + 6 * 12
    assert crossbars_by_rows(first).tolist() == [[2], [2]]
    assert first.link_bits_per_input == 0
    assert second.link_bits_per_input == 6 * 4 + 3 * 4  # from tile 0, and the results back to its edge
    assert program.host_ops == {
        "activation_ops": 6,
        "pooling_ops": 0,
        "digital_ops": 0,
        "offchip_bits": (10 + 3) * 4,
    }


def test_cells_hold_the_weights():
    weights = random_weights([(6, 10)])
    (layer,) = mapping.compile(small_network(weights), small_chip()).layers
    np.testing.assert_array_equal(layer.cells[0, 0].astype(int) - layer.cells[1, 0], weights[0].T)


@pytest.mark.parametrize(("budget", "copies"), [(2, [1, 1]), (3, [2, 1]), (4, [3, 2])])
def test_replicas_stay_within_the_tile_budget_and_shorten_the_bottleneck(budget, copies):
    """Layer 0 takes 2 cores, layer 1 one core, of 4, 6 and 8 in all.

    A pulse of layer 0 converts 16 columns on 4 ADCs in 200 ns, one of layer 1 is a read of 100 ns. With 12 vectors of 4
    pulses, 2 copies of layer 0 take 4.8 us, what one copy of layer 1 does; 3 take 3.2 us, 8 vectors of layer 1.
    """
    program = mapping.compile(small_network(random_weights([(6, 10), (3, 6)]), vectors=12), small_chip(), budget)
    assert program.n_tiles_used <= budget
    assert used_tiles(program) == set(range(program.n_tiles_used))
    assert [layer.n_replicas for layer in program.layers] == copies


@pytest.mark.parametrize("n_chips", [0, -1])
def test_there_is_a_chip(n_chips):
    with pytest.raises(DataError, match=f"n_chips: must be 1 or more, got {n_chips}"):
        mapping.compile(small_network(random_weights([(3, 6)])), small_chip(), n_chips=n_chips)


def test_area_budget_counts_whole_tiles():
    chip = small_chip()
    qnet = small_network(random_weights([(6, 10), (3, 6)]), vectors=12)
    tile_m2 = chip.total("tile").area_m2
    program = mapping.compile(qnet, chip, area_budget_m2=3.9 * tile_m2)
    assert [layer.n_replicas for layer in program.layers] == [2, 1]
    assert program.n_tiles_used * tile_m2 <= 3.9 * tile_m2
    assert [layer.n_replicas for layer in mapping.compile(qnet, chip).layers] == [1, 1]


@pytest.mark.parametrize("budget", [60, 138])
def test_what_cannot_shorten_the_bottleneck_stays_unused(budget):
    """LeNet-5 on PUMA: a pulse of fc1, which cannot have copies, waits 378 ns for its ADCs, one of conv1 takes 100 ns.

    16 pulses: fc1 takes 6.05 us, in which one copy of a convolution does 3 vectors: 784 / 3 and 100 / 3 copies.
    """
    torch.manual_seed(0)
    images = torch.rand(4, 1, 28, 28)
    chip = xbar.load_chip("puma_asplos_2019")
    qnet = xbar.quantize(xbar.from_torch(LeNet5().eval(), images), images, chip)
    program = mapping.compile(qnet, chip, budget)
    assert {layer.name: layer.n_replicas for layer in program.layers} == {
        "conv1": 262,
        "conv2": 34,
        "fc1": 1,
        "fc2": 1,
        "fc3": 1,
    }
    times = {layer.name: pulse_time_s(layer, chip) for layer in outline(program).layers}
    assert times["fc1"] == approx(6.05e-6 / 16)
    assert times["conv1"] == approx(100e-9)


def test_copies_share_the_input_map():
    """LeNet-5 on all of ISAAC: 784 copies of conv1, one to a core, 12 to a tile: tiles 0 to 65, and all of them get the
    map of 28 rows x 28 x 16 bits, handed on from tile to tile. Routers of 4 tiles each lie row by row on a mesh of 7 x
    7, so tiles 0 to 65 are at routers 0 to 16: 16 steps, of which 6 -> 7 and 13 -> 14 go back to the start of the next
    row, 6 + 1 links, and the other 14 cross one. One copy lies in tile 0, where the map arrives."""
    torch.manual_seed(0)
    images = torch.rand(4, 1, 28, 28)
    chip = xbar.load_chip("isaac_isca_2016")
    qnet = xbar.quantize(xbar.from_torch(LeNet5().eval(), images), images, chip)
    conv1 = mapping.compile(qnet, chip, 168).layers[0]
    assert conv1.n_replicas == 784
    assert conv1.link_bits_per_input == 28 * 28 * 16 * (14 + 2 * 7)
    assert mapping.compile(qnet, chip).layers[0].link_bits_per_input == 0


def test_worst_case_full_scale_comes_from_the_cells():
    """Weights of 7 down a column sum to 8 x 7 = 56 in a block of 8 rows; the top digit of a 2-bit pulse is 3."""
    chip = small_chip(adc__mode="range", adc__full_scale="worst_case", dac__bits=2)
    weights = np.zeros((2, 10), np.int32)
    weights[0] = 7
    weights[1] = -7
    (layer,) = mapping.compile(small_network([weights]), chip).layers
    assert layer.adc.mode == "range"
    assert layer.adc.full_scale == (8 * 7 * 3,)
    calibrated_later = small_chip(adc__mode="range", adc__full_scale="max")
    assert mapping.compile(small_network([weights]), calibrated_later).layers[0].adc.full_scale is None


def test_offset_has_a_unit_column_read_at_the_highest_resolution():
    chip = small_chip(encoding={"kind": "offset", "layout": "separate"}, device__cell_bits=2, adc__bits=[6, 4])
    (layer,) = mapping.compile(small_network(random_weights([(8, 8)])), chip).layers
    assert layer.adc.bits == (6, 4)
    assert layer.adc.unit_bits == 6
    assert layer.per_vector.unit_conversions == layer.per_vector.array_reads == 2 * 4
    assert layer.per_vector.conversions == (32, 32)


def test_every_violation_at_once():
    """Too many tiles, budgets too small, one budget beyond the chip, another precision, weights beyond their bits."""
    chip = small_chip(precision={"weight_bits": 3, "input_bits": 2})
    qnet = small_network(random_weights([(40, 40), (8, 40)]))
    with pytest.raises(CapacityError) as caught:
        mapping.compile(qnet, chip, tile_budget=5, area_budget_m2=1e-9)
    text = str(caught.value)
    for part in (
        "precision.weight_bits: the network must be quantized as chip small says (3), got 4",
        "precision.input_bits: the network must be quantized as chip small says (2), got 4",
        "layer layer0: encoding differential holds weights from -3 to 3, got magnitude 7",
        "layer layer1: encoding differential holds weights from -3 to 3, got magnitude 7",
        "the network needs 15 tiles, got 4 (largest layers: layer0 50 crossbars in 25 cores, layer1 10 crossbars in 5",
        "tile_budget: one replica of each layer needs 15 tiles, got 5",
        "tile_budget: at most the 4 tiles of chip small, got 5",
        "area_budget_m2: one replica of each layer needs 15 tiles",
    ):
        assert part in text
    assert len(caught.value.problems) == 8


def test_area_budgets_at_the_edge():
    qnet = small_network(random_weights([(6, 10)]), vectors=4)
    assert mapping.compile(qnet, small_chip(), area_budget_m2=float("inf")).layers[0].n_replicas == 4
    free = {"kind": "ideal"}
    chip = small_chip(adc=free, dac__area_m2=0, crossbar__reference__area_m2=0, core__parts={}, tile__parts={})
    with pytest.raises(CapacityError, match="area_budget_m2: has no effect"):
        mapping.compile(qnet, chip, area_budget_m2=1.0)
    with pytest.raises(CapacityError, match=r"area_budget_m2: .* got nan"):
        mapping.compile(qnet, small_chip(), area_budget_m2=float("nan"))


def signed(qnet: QuantizedNetwork) -> QuantizedNetwork:
    return replace(qnet, layers=tuple(replace(q, input_signed=True) for q in qnet.layers))


def test_a_sign_bit_has_a_pulse_of_its_own():
    """Signed 4-bit inputs on a 2-bit DAC: 3 magnitude bits in 2 pulses, and the sign; unsigned ones take 2."""
    unsigned = small_network(random_weights([(6, 10)]))
    for qnet, pulses in ((unsigned, 2), (signed(unsigned), 3)):
        (layer,) = mapping.compile(qnet, small_chip(dac__bits=2)).layers
        assert layer.n_pulses == pulses
        assert layer.per_vector.array_reads == pulses * 4
        assert layer.per_vector.row_pulses == pulses * 20
        assert layer.per_vector.conversions == (pulses * 24,)


@pytest.mark.parametrize(("dac_bits", "top", "top_signed"), [(1, 1, 1), (2, 3, 3), (4, 15, 7)])
def test_the_worst_case_knows_inputs_narrower_than_the_dac(dac_bits, top, top_signed):
    """A column of eight 7s: sums to 8 x 7 x the top digit, which has no more bits than the input's magnitude."""
    chip = small_chip(adc__mode="range", adc__full_scale="worst_case", dac__bits=dac_bits)
    qnet = small_network([np.full((2, 8), 7, np.int32)])
    for inputs, digit in ((qnet, top), (signed(qnet), top_signed)):
        assert mapping.compile(inputs, chip).layers[0].adc.full_scale == (8 * 7 * digit,)
