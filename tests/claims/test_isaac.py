"""ISAAC, Shafiee et al., ISCA 2016, table 1: each row, and the sums as printed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from close import approx
from small import random_weights, small_network

import mapping
from xbar.cost import estimate
from xbar.cost.cycles import cycles
from xbar.cost.expected import expected_activity
from xbar.hardware import LedgerRow, load_chip
from xbar.outline import outline, pulse_time_s
from xbar.timing import KINDS

CHIP = load_chip("isaac_isca_2016")


def _row(level: str, part: str) -> LedgerRow:
    (row,) = [row for row in CHIP.ledger() if (row.level, row.part) == (level, part)]
    return row


@pytest.mark.parametrize(
    ("level", "part", "count", "power_mW", "area_mm2"),
    [
        ("core", "adc", 8, 16, 0.0096),
        ("core", "dac", 8 * 128, 4, 0.00017),
        ("core", "sample and hold", 8 * 128, 0.01, 0.00004),
        ("crossbar", "array", 8, 2.4, 0.0002),
        ("core", "shift and add", 4, 0.2, 0.00024),
        ("core", "input register", 1, 1.24, 0.0021),
        ("core", "output register", 1, 0.23, 0.00077),
        ("tile", "eDRAM buffer", 1, 20.7, 0.083),
        ("tile", "eDRAM bus", 1, 7, 0.090),
        ("tile", "router", 0.25, 42 / 4, 0.151 / 4),
        ("tile", "sigmoid", 2, 0.52, 0.0006),
        ("tile", "shift and add", 1, 0.05, 0.00006),
        ("tile", "max pool", 1, 0.4, 0.00024),
        ("tile", "output register", 1, 1.68, 0.0032),
        ("chip", "HyperTransport link", 4, 10400, 22.88),
    ],
)
def test_row_of_the_table(level: str, part: str, count: float, power_mW: float, area_mm2: float) -> None:
    row = _row(level, part)
    assert row.count_per_parent == count
    assert count * row.cost.power_W * 1e3 == approx(power_mW, rel=1e-12)
    assert count * row.cost.area_m2 * 1e6 == approx(area_mm2, rel=1e-12)


def test_the_table_has_no_other_rows() -> None:
    assert len(CHIP.ledger()) == 15


def test_sums_as_printed() -> None:
    core, tile, chip = (CHIP.total(level) for level in ("core", "tile", "chip"))
    assert (round(core.power_W * 1e3, 2), round(core.area_m2 * 1e6, 4)) == (24.08, 0.0131)
    assert (round(12 * core.power_W * 1e3), round(12 * core.area_m2 * 1e6, 3)) == (289, 0.157)
    assert (round(tile.power_W * 1e3, -1), round(tile.area_m2 * 1e6, 3)) == (330, 0.372)
    assert (round(168 * tile.power_W, 1), round(168 * tile.area_m2 * 1e6, 1)) == (55.4, 62.5)
    assert (round(chip.power_W, 1), round(chip.area_m2 * 1e6, 1)) == (65.8, 85.4)


def test_counts() -> None:
    assert (CHIP.core.crossbars, CHIP.core.adcs, CHIP.tile.cores, CHIP.chip.tiles) == (8, 8, 12, 168)
    assert (CHIP.n_slices, CHIP.n_pulses, CHIP.adc_bits) == (8, 16, (8,) * 8)


def test_peak_efficiency_computed_from_the_table() -> None:
    n_crossbars = 8 * 12 * 168
    assert CHIP.peak_ops_per_s / n_crossbars / 1e9 == approx(2.56)
    assert round(CHIP.peak_ops_per_s / 1e12, 1) == 41.3
    assert round(CHIP.peak_ops_per_s / (CHIP.area_m2 * 1e6) / 1e9) == 483
    assert round(CHIP.peak_ops_per_s / CHIP.peak_power_W / 1e9) == 627


def test_no_program_reaches_that_peak_because_of_the_unit_column() -> None:
    """The paper counts 128 conversions per crossbar and read; a full core converts 129, which takes 100.78 ns."""
    weights = [np.full((16, 1024), 2**15 - 1)]  # 8 row blocks x 16 weights of 8 cells: every cell of one core
    program = mapping.compile(small_network(weights, weight_bits=16, input_bits=16), CHIP)
    assert CHIP.pulse_time_s == approx(100e-9)
    assert pulse_time_s(outline(program).layers[0], CHIP) == approx(129 / 1.28e9)
    assert round(CHIP.peak_ops_per_s * 128 / 129 / 1e12, 1) == 41.0


def test_energies_that_follow() -> None:
    """8-bit conversion 1.56 pJ; eDRAM 80 fJ/bit."""
    assert dict(_row("core", "adc").energies)["conversions"] == approx(1.5625e-12)
    assert dict(_row("tile", "eDRAM buffer").energies)["buffer_read_bits"] == approx(80e-15)


def test_6_bit_converters_by_the_sar_law() -> None:
    core = load_chip("isaac_isca_2016", {"adc.bits": "6"}).total("core")
    assert core.power_W * 1e3 == approx(24.08 - 16 * (1 - (2**6 / 7) / (2**8 / 9)))


@pytest.mark.parametrize(("rows", "cols", "adds"), [(256, 32, 0), (384, 45, 13)])
def test_the_published_pipeline_of_22_cycles(rows: int, cols: int, adds: int) -> None:
    """Section 6: a vector takes 22 cycles of 100 ns from the fetch of its operands to the eDRAM that gets its results;
    the next one follows 16 cycles later. 256 inputs and 32 outputs are the paper's example: four crossbars of a core.

    384 x 45 need nine crossbars, so that the last 13 outputs are added up from two cores by the tile's shift-and-add;
    the eight of the first core have 976 columns and 8 unit columns, 123 for each of its converters.
    """
    weights = random_weights([(cols, rows), (16, cols)], top=2**15 - 1)
    program = mapping.compile(small_network(weights, vectors=3, weight_bits=16, input_bits=16), CHIP)
    assert program.layers[0].tiles == program.layers[1].tiles == (0,)
    assert program.layers[0].per_vector.tile_adds == adds
    trace = cycles(program, 1, max_trace=1000).trace
    assert trace is not None

    def begins_and_ends(thread: str, kind: str, stream: str = "layer0") -> np.ndarray:
        """In cycles from the fetch of the first vector, [vector, 2]."""
        chosen = (trace.thread == trace.threads.index(thread)) & (trace.kind == KINDS.index(kind))
        chosen &= trace.stream == trace.streams.index(stream)
        begin_s = trace.begin_s[chosen]
        first_s = trace.begin_s[trace.thread == trace.threads.index("layer0: input")][0]
        return (np.stack([begin_s, begin_s + trace.duration_s[chosen]], axis=1) - first_s) / CHIP.cycle_s

    def at(first: int, last: int) -> np.ndarray:
        return np.array([[first, last], [first + 16, last + 16], [first + 32, last + 32]])

    reads = begins_and_ends("layer0", "reads")
    np.testing.assert_allclose(reads, at(1, 17), atol=1e-6)
    np.testing.assert_allclose(begins_and_ends("layer0: conversion", "convert"), at(2, 18), atol=1e-6)
    np.testing.assert_allclose(begins_and_ends("layer0: shift-and-add", "shift-and-add"), at(18, 19), atol=1e-6)
    stages = {
        (0, 1): begins_and_ends("layer0: input", "fetch"),
        (19, 20): begins_and_ends("layer0: sums", "sums"),  # to the tile's output register and shift-and-add
        (20, 21): begins_and_ends("activation units", "digital"),
        (21, 22): begins_and_ends("buffer port 0", "write", "layer1"),  # which the next layer may fetch from 22 on
    }
    if adds:
        adders = begins_and_ends("adders", "digital")
        assert (adders[:, 0] >= stages[19, 20][:, 1] - 1e-6).all()
        assert (adders[:, 1] <= at(19, 20)[:, 1] + 1e-6).all()
    for (first, last), found in stages.items():
        n = 1 if first == 0 else 3  # the next fetches come as soon as the input register is free
        np.testing.assert_allclose(found[:n, 0], at(first, last)[:n, 0], atol=1e-6)
        assert (found[:n, 1] <= at(first, last)[:n, 1] + 1e-6).all()
    np.testing.assert_allclose(begins_and_ends("layer1: input", "fetch", "layer1")[0, 0], 22, atol=1e-6)


def test_tile_power_from_the_events_of_a_busy_tile() -> None:
    """330 mW (table 1) = events per second of a tile at full activity x energy per event, summed over its parts.

    96 crossbars are read every 100 ns with all 128 rows, and all 128 columns are converted, shifted and added. The
    output register takes 256 bits a ns, all of them for the eDRAM, which moves 258.75; the bus has 384 wires, two
    sigmoids, an adder and a comparator work once a ns, and a quarter of a router of 8 ports passes flits of 32 bits.
    """
    reads = 96 / 100e-9
    events = {
        "array_reads": round(reads),
        "row_pulses": round(128 * reads),
        "conversions": (round(128 * reads), *[0] * 7),
        "tile_adds": 10**9,
        "buffer_read_bits": round(2.75e9),
        "buffer_write_bits": round(256e9),
        "bus_bits": round(384e9),
        "link_bits": round(8 * 32e9 / 4),
    }
    one_tile = load_chip("isaac_isca_2016", {"chip.tiles": 1})
    program = mapping.compile(small_network(random_weights([(16, 128)]), weight_bits=16, input_bits=16), one_tile)
    second = expected_activity(outline(program))
    second = replace(second, layers=(replace(second.layers[0], unit_conversions=0, **events),))
    second = replace(second, host={"activation_ops": 2 * 10**9, "pooling_ops": 10**9, "digital_ops": 0})
    parts = estimate(program, second).by("part")
    power_mW = {name: 1e3 * cost.dynamic_J for name, cost in parts.items() if not name.startswith("chip.")}
    assert power_mW["core.adc"] == approx(12 * 16)
    assert power_mW["tile.eDRAM buffer"] == approx(20.7)
    assert power_mW["tile.router"] == approx(42 / 4)
    assert sum(power_mW.values()) == approx(CHIP.total("tile").power_W * 1e3, rel=1e-6)
    assert round(sum(power_mW.values()), -1) == 330
