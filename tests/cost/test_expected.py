"""The activity of a network of which only the shapes are known, against what is counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from close import approx
from models import LeNet5
from small import counted, random_weights, small_chip, small_network

import mapping
import xbar
from xbar.cost import estimate
from xbar.cost.expected import EXPECTED, UNWEIGHED, expected_activity
from xbar.outline import outline

CONDUCTS = {
    "device": {"kind": "resistive", "cell_bits": 3, "g_min_S": 1e-6, "g_max_S": 8e-6},
    "crossbar": {
        "kind": "ohmic",
        "source": "made up",
        "rows": 8,
        "cols": 8,
        "read_time_s": 1e-7,
        "read_voltage_V": 0.2,
        "cell_area_m2": 1e-14,
    },
}


def test_what_vectors_always_cause_is_what_is_counted():
    program = mapping.compile(small_network(random_weights([(6, 10), (3, 6)]), 3), small_chip())
    expected, real = expected_activity(outline(program)), counted(program, 1)
    assert expected.host == real.host
    for a, b in zip(expected.layers, real.layers, strict=True):
        for event in (
            "array_reads",
            "row_pulses",
            "conversions",
            "tile_adds",
            "buffer_read_bits",
            "bus_bits",
            "link_bits",
        ):
            assert a.count(event) == b.count(event)
        assert a.active_rows == b.row_pulses / 2


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("input_bits", "dac_bits"), [(4, 1), (4, 2), (3, 2), (4, 3)])
@pytest.mark.parametrize("kind", ["differential", "offset"])
def test_random_inputs_cause_what_is_expected(kind: str, input_bits: int, dac_bits: int, signed: bool):
    """500 inputs of 4 vectors of random bits; the weights are known, so that only the inputs are left to chance.

    Where pulses do not divide the bits, the last digit has fewer; the sign has a pulse of its own.
    """
    weights = random_weights([(6, 10)], seed=2)
    weights[0][:, 0] = 7
    precision = {"weight_bits": 4, "input_bits": input_bits}
    chip = small_chip(
        **CONDUCTS, encoding={"kind": kind}, dac__bits=dac_bits, adc={"kind": "ideal"}, precision=precision
    )
    qnet = small_network(weights, 4, input_bits=input_bits)
    qnet = replace(qnet, layers=tuple(replace(layer, input_signed=signed) for layer in qnet.layers))
    low = -(1 << (input_bits - 1)) if signed else 0
    x = torch.from_numpy(np.random.default_rng(0).integers(low, low + (1 << input_bits), (500, 4, 10))).float()
    activity = xbar.simulate(mapping.compile(qnet, chip), x).activity
    sketch = mapping.outline(qnet.network, chip, signed=["layer0"] if signed else [])
    expected = expected_activity(mapping.weighed(sketch, qnet.network)).layers[0]
    found = activity.layers[0]
    assert found.row_pulses == 500 * expected.row_pulses
    assert found.active_rows / 500 == approx(expected.active_rows, rel=0.02)
    assert float(found.cell_reads) / 500 == approx(float(expected.cell_reads), rel=0.02)


@pytest.mark.parametrize(("bits", "share"), [(1, 0.5), (2, 0.75), (4, 15 / 16)])
def test_a_word_line_is_active_unless_all_bits_of_its_digit_are_zero(bits: int, share: float):
    sketch = mapping.outline(small_network(random_weights([(8, 16)])).network, small_chip(dac__bits=bits))
    (layer,) = expected_activity(sketch).layers
    assert layer.active_rows == share * layer.row_pulses


def test_the_report_says_what_it_takes_for_granted():
    program = mapping.compile(small_network(random_weights([(3, 6)])), small_chip())
    assert EXPECTED in estimate(program).notes
    assert EXPECTED not in estimate(program, counted(program)).notes
    qnet = small_network(random_weights([(3, 6)]))
    sketch = mapping.outline(qnet.network, small_chip(**CONDUCTS))
    assert UNWEIGHED in estimate(sketch).notes
    assert UNWEIGHED not in estimate(mapping.weighed(sketch, qnet.network)).notes


def test_clocks_that_are_not_gated_draw_while_parts_are_idle():
    """Half of the dynamic power of digital parts, less what they spent at work; arrays and converters have no clock."""
    qnet = small_network(random_weights([(6, 10), (3, 6)]))
    gated, running = (mapping.compile(qnet, small_chip(**more)) for more in ({}, {"idle_clock_rel": 0.5}))
    a, b = estimate(gated, counted(gated)), estimate(running, counted(running))
    assert all(entry.clock_J == 0 for entry in a.ledger)
    period_s = 800e-9
    for row in running.chip.ledger():
        own = [e for e in b.ledger if (e.level, e.part) == (row.level, row.part)]
        spent, clock = sum(e.dynamic_J for e in own), sum(e.clock_J for e in own)
        full = row.count_per_chip * (row.cost.power_W - row.cost.leakage_W) * period_s
        digital = row.level in ("tile", "chip") or row.part == "shift and add"
        assert clock <= 0.5 * full
        assert clock >= 0.5 * (full - spent) * (1 - 1e-9) if digital else clock == 0
    assert b.energy_J == approx(a.energy_J + sum(e.clock_J for e in b.ledger))
    assert b.by("part")["tile.buffer"].energy_J > a.by("part")["tile.buffer"].energy_J


@pytest.mark.parametrize("name", xbar.list_chips())
@pytest.mark.parametrize("idle_rel", [0.5, 1.0])
def test_no_part_draws_more_than_at_full_activity(name: str, idle_rel: float):
    """Also where the host works in the layers' tiles, and layers in parts of the chip: work + clocks <= full."""
    network = xbar.from_torch(LeNet5().eval(), torch.zeros(2, 1, 28, 28))
    sketch = mapping.outline(network, xbar.load_chip(name, {"idle_clock_rel": idle_rel}), n_chips=None)
    report = estimate(sketch)
    period_s = 1 / report.throughput_per_s
    for row in sketch.chip.ledger():
        own = [e for e in report.ledger if (e.level, e.part) == (row.level, row.part)]
        spent, clock = sum(e.dynamic_J for e in own), sum(e.clock_J for e in own)
        full = sketch.n_chips * row.count_per_chip * (row.cost.power_W - row.cost.leakage_W) * period_s
        has_clock = row.level in ("tile", "chip") or row.part not in ("array", "dac", "adc")
        assert clock == approx(idle_rel * max(0.0, full - spent) if has_clock else 0.0, rel=1e-9)
        assert all(e.clock_J >= 0 for e in own)


def test_the_hosts_work_shortens_the_time_of_all_clocks_alike():
    """12 activations of 2 pJ; a unit in each of 4 tiles draws 0.2 mW at full activity. Clocks go by share of tiles."""
    unit = {"event": "activation_ops", "area_m2": 1e-9, "energy_J": 2e-12, "rate_Hz": 1e8}
    chip = small_chip(idle_clock_rel=1.0, tile__parts={"unit": unit})
    report = estimate(mapping.outline(small_network(random_weights([(6, 10), (6, 6), (3, 6)])).network, chip))
    own = {e.layer: e for e in report.ledger if e.part == "unit"}
    full = 4 * 2e-4 / report.throughput_per_s
    assert own["(host)"].dynamic_J == approx(12 * 2e-12)
    assert own["(host)"].clock_J == 0
    assert sum(e.clock_J for e in own.values()) == approx(full - 12 * 2e-12)
    for name, e in own.items():
        if name != "(host)":
            assert e.clock_J / (full - 24e-12) == approx(e.area_m2 / 4e-9)
