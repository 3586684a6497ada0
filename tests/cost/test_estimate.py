"""The bill of a hand-sized network, every figure worked out by hand.

10 -> 6 -> 3 on the chip of tests/small.py (8 x 8 crossbars, 2 per core with 4 ADCs, 2 cores per tile, 4 tiles). Layer 0
takes 4 crossbars in 2 cores of tile 0, layer 1 takes 1 crossbar in 1 core of tile 1 (tests/mapping/test_compiler.py).
Events per inference: array reads 16 + 4, row pulses 80 + 24, conversions 96 + 24, buffer bits 64 + 36, off-chip 52.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from close import approx
from small import counted, random_weights, small_chip, small_network

import mapping
from xbar.cost import estimate
from xbar.cost.cycles import cycles
from xbar.errors import DataError
from xbar.program import Program
from xbar.result import HOST, UNUSED, Report

SHAPES = [(6, 10), (3, 6)]


def compiled(vectors: int = 1, budget: int | None = None, weight_bits: int = 4, **changes: object) -> Program:
    qnet = small_network(random_weights(SHAPES), vectors, weight_bits=weight_bits)
    return mapping.compile(qnet, small_chip(**changes), budget)


@pytest.fixture
def report() -> Report:
    program = compiled()
    return estimate(program, counted(program))


def test_dynamic_energy_by_part(report):
    """Reads 1e-10 J, pulses 1e-14, conversions 1e-12, shift-adds 1e-13, buffer bits 1e-14, off-chip bits 1e-12."""
    dynamic = {name: cost.dynamic_J for name, cost in report.by("part").items()}
    assert dynamic == approx(
        {
            "crossbar.array": 20e-10,
            "core.dac": 104e-14,
            "core.adc": 120e-12,
            "core.shift and add": 120e-13,
            "tile.buffer": 100e-14,
            "chip.link": 52e-12,
        }
    )


def test_dynamic_energy_by_layer(report):
    layers = report.by("layer")
    assert layers["layer0"].dynamic_J == approx(16e-10 + 80e-14 + 96e-12 + 96e-13 + 64e-14)
    assert layers["layer1"].dynamic_J == approx(4e-10 + 24e-14 + 24e-12 + 24e-13 + 36e-14)
    assert layers[HOST].dynamic_J == approx(52e-12)
    assert layers[UNUSED].dynamic_J == 0


def test_time(report):
    """Fullest core of layer 0: 8 + 8 columns on 4 ADCs, 4 rounds of 50 ns, beyond the 100 ns of a read; of layer 1: 6
    columns, 2 rounds, within the read. 4 pulses each, one vector."""
    first, second = report.timing
    assert (first.array_read_s, first.adc_wait_s) == approx((400e-9, 400e-9))
    assert (second.array_read_s, second.adc_wait_s) == approx((400e-9, 0))
    assert report.latency_s == approx(1200e-9)
    assert report.throughput_per_s == approx(1 / 800e-9)
    assert report.bottleneck == "layer0"


def test_leakage_lasts_as_long_as_the_slowest_layer(report):
    """Four buffers leak 1 mW for 800 ns. Two of four tiles are used, by 2 cores of layer 0 and 1 of layer 1."""
    layers = report.by("layer")
    assert report.by("part")["tile.buffer"].leakage_J == approx(4e-3 * 800e-9)
    leakage = [layers[name].leakage_J for name in ("layer0", "layer1", UNUSED, HOST)]
    assert leakage == approx([3.2e-9 / 3, 3.2e-9 / 6, 3.2e-9 / 2, 0])


def test_area(report):
    """Arrays 16 x 1e-10, DACs 8 x 16 x 1e-12, ADCs 8 x 4 x 1e-9, shift-adds 8 x 1e-10, buffers 4 x 1e-8, link 1e-7 m2.

    Used: 5 arrays, 3 cores of 16e-12 + 4e-9 + 1e-10, 2 tiles, the link.
    """
    assert report.area_m2 == approx(1.6e-9 + 0.128e-9 + 32e-9 + 0.8e-9 + 40e-9 + 100e-9)
    assert report.used_area_m2 == approx(0.5e-9 + 3 * 4.116e-9 + 20e-9 + 100e-9)


def test_figures(report):
    energy_J = 2e-9 + 1.04e-12 + 1.2e-10 + 1.2e-11 + 1e-12 + 5.2e-11 + 3.2e-9
    metrics = report.metrics()
    assert metrics["energy_J"] == approx(energy_J)
    assert metrics["power_W"] == approx(energy_J / 800e-9)
    assert report.macs == 60 + 18
    assert metrics["tops"] == approx(2e-12 * 78 / 800e-9)
    assert metrics["tops_per_W"] == approx(2e-12 * 78 / energy_J)
    assert metrics["tops_per_mm2"] == approx(2e-12 * 78 / 800e-9 / 0.174528)
    assert metrics["utilisation_rel"] == approx((120 + 36) / (5 * 64))
    assert report.utilisation == {"layer0": 120 / 256, "layer1": 36 / 64}


def test_what_has_no_price_is_named(report):
    """Bus: 2 cores read 40 bits and return 6 sums of 12; layer 1 reads 24 and returns 3 of 11. Links: 6 results of 4
    bits to tile 1, 3 back to the edge. Active rows are not listed, since the array's price per read stands for them."""
    assert {u.event: u.count for u in report.uncosted} == {
        "bus_bits": 80 + 72 + 24 + 33,
        "link_bits": 24 + 12,
        "activation_ops": 6,
    }


RESISTIVE = {"kind": "resistive", "cell_bits": 3, "g_min_S": 1e-6, "g_max_S": 1e-5}
OHMIC = {"kind": "ohmic", "rows": 8, "cols": 8, "read_time_s": 1e-7, "read_voltage_V": 0.5, "cell_area_m2": 1e-14}


def test_reads_of_cells_are_paid_by_the_conductance():
    """`counted`: 5 active word lines in each of two layers, 7 cells at g_max each: 0.25 V2 * 10 uS * 100 ns."""
    program = compiled(device=RESISTIVE, crossbar=OHMIC)
    report = estimate(program, counted(program))
    assert report.by("part")["crossbar.array"].dynamic_J == approx(2 * 5 * 7 * 2.5e-13)
    assert report.by("layer")["layer0"].dynamic_J > 35 * 2.5e-13
    assert not {u.event for u in report.uncosted} & {"array_reads", "active_rows", "cell_reads"}


def test_one_price_for_reads_is_enough():
    """The array's, per read of the whole of it; without any, all that could have been priced is named."""
    program = compiled(device=RESISTIVE)
    assert "cell_reads" not in {u.event for u in estimate(program, counted(program)).uncosted}
    free = compiled(device=RESISTIVE, crossbar__reference={"rows": 8, "cols": 8, "area_m2": 0, "power_W": 0})
    left = {u.event: u.count for u in estimate(free, counted(free)).uncosted}
    assert (left["array_reads"], left["active_rows"], left["cell_reads"]) == (20, 10, 70)


def test_notes_say_what_the_figures_leave_out(report):
    """6 ReLUs per inference take no time; the buffers' leakage is priced, so nothing is said about it."""
    time, *bill = report.notes
    assert time == (
        "not in the time: 6 digital operations per inference, and buffers, bus, links and the chip's edge "
        "(taken as 0 s)"
    )
    assert len(bill) == len(report.uncosted) == 3
    assert "not in the bill: 36 link_bits per inference (no part of the chip has a price for it)" in bill
    lines = str(report).splitlines()
    assert all(f"  {note}" in lines for note in report.notes)
    assert report.to_dict()["notes"] == list(report.notes)


def test_a_chip_without_leakage_says_so():
    program = compiled(tile__parts={})
    notes = estimate(program, counted(program)).notes
    assert "not in the energy: leakage, of which chip small gives none; static energy is 0" in notes


def test_an_ideal_adc_is_free_and_says_so():
    program = compiled(adc={"kind": "ideal"})
    report = estimate(program, counted(program))
    assert {u.event: u.reason for u in report.uncosted}["conversions"] == "an ideal ADC has no price"
    assert report.adc_source.startswith("ideal")
    assert sum(t.adc_wait_s for t in report.timing) == 0
    assert "core.adc" not in report.by("part")


def test_each_slice_pays_its_own_resolution():
    """Offset, 2-bit cells, crossbars of their own: slice 0 at 6 bits (1 pJ, 50 ns), slice 1 at 4 (0.5 pJ, 20 ns).

    Layer 1: a crossbar of 3 columns and a unit column (6 bits) per slice, both in one core: 3 x 4 conversions at each
    resolution, 2 x 4 of unit columns. 5 columns of 50 ns and 3 of 20 ns on 4 ADCs: 50 + 50 ns, within the read.
    """
    encoding = {"kind": "offset", "layout": "separate"}
    program = compiled(encoding=encoding, device__cell_bits=2, adc__bits=[6, 4])
    report = estimate(program, counted(program))
    (entry,) = [e for e in report.ledger if (e.layer, e.part) == ("layer1", "adc")]
    assert entry.dynamic_J == approx(12 * 1e-12 + 12 * 0.5e-12 + 8 * 1e-12)
    assert report.timing[1].adc_wait_s == 0
    few = compiled(encoding=encoding, device__cell_bits=2, adc__bits=[6, 4], core__adcs=2)
    # sorted 50 50 50 50 50 20 20 20 on 2 ADCs: the first takes 50 + 50 + 50 + 20, 70 ns beyond the read, 4 pulses
    assert estimate(few, counted(few)).timing[1].adc_wait_s == approx(4 * 70e-9)


def test_replicas_shorten_the_time_and_leave_the_dynamic_energy():
    """12 vectors in 4 tiles: three copies of layer 0 (800 ns a vector), two of layer 1 (400 ns)."""
    once, more = compiled(12), compiled(12, budget=4)
    a, b = (estimate(p, counted(p)) for p in (once, more))
    assert [t.n_steps for t in a.timing] == [12, 12]
    assert [t.n_steps for t in b.timing] == [4, 6]
    assert [t.total_s for t in b.timing] == approx([3.2e-6, 2.4e-6])
    assert b.throughput_per_s == approx(3 * a.throughput_per_s)
    assert b.by("part")["core.adc"].dynamic_J == approx(a.by("part")["core.adc"].dynamic_J)
    assert b.area_m2 == approx(a.area_m2)


def test_every_copy_occupies_its_crossbars_and_cores():
    """12 vectors in 3 tiles: two copies of layer 0 (4 crossbars in 2 cores each), one of layer 1 (a crossbar, a core).

    9 of the chip's 16 crossbars of 1e-10 m2, 5 of its 8 cores of 16e-12 + 4e-9 + 1e-10 m2, 3 of 4 tiles of 1e-8 m2,
    which the layers share 4 : 1 as their cores.
    """
    program = compiled(12, budget=3)
    assert [layer.n_replicas for layer in program.layers] == [2, 1]
    report = estimate(program, counted(program))
    layers = report.by("layer")
    core_m2 = 16e-12 + 4e-9 + 1e-10
    assert layers["layer0"].area_m2 == approx(8e-10 + 4 * core_m2 + 3e-8 * 4 / 5)
    assert layers["layer1"].area_m2 == approx(1e-10 + core_m2 + 3e-8 / 5)
    assert layers[UNUSED].area_m2 == approx(7e-10 + 3 * core_m2 + 1e-8)
    assert report.used_area_m2 == approx(9e-10 + 5 * core_m2 + 3e-8 + 1e-7)


def test_cycles_set_the_time_and_with_it_the_leakage():
    """Four buffers leak 1 mW for 3 us; dynamic energy does not know of time."""
    program = compiled()
    timed = replace(cycles(program, 2), begin_s=(0.0, 1e-6), end_s=(2e-6, 5e-6), period_s=3e-6)
    report, analytic = estimate(program, counted(program), timed), estimate(program, counted(program))
    assert report.latency_s == 2e-6
    assert 1 / report.throughput_per_s == approx(3e-6)
    assert report.by("part")["tile.buffer"].leakage_J == approx(4e-3 * 3e-6)
    assert [e.dynamic_J for e in report.ledger] == [e.dynamic_J for e in analytic.ledger]
    assert not any("not in the time" in note for note in report.notes)  # only the analytic model leaves things out


def test_cycles_of_another_chip_or_of_other_copies_are_refused():
    """12 vectors on four tiles: copies of layer 0 take three times as many cores as one."""
    qnet = small_network(random_weights([(6, 10), (3, 6)]), 12)
    alone, copied = (mapping.outline(qnet.network, small_chip(), budget) for budget in (None, 4))
    assert copied.layers[0].n_replicas > 1
    with pytest.raises(DataError, match="layer layer0 must have 2 cores, all copies together, got 6; simulate"):
        estimate(alone, None, cycles(copied, 1))
    other = mapping.outline(qnet.network, small_chip(name="other"))
    with pytest.raises(DataError, match="cycles: must be of chip small, got other; simulate this program"):
        estimate(alone, None, cycles(other, 1))
    assert estimate(alone, None, cycles(alone, 1)).cycles is not None


def test_cycles_of_another_network_are_refused():
    program = compiled()
    timed = cycles(program, 1)
    with pytest.raises(DataError, match="cycles: must be of this program's layers"):
        estimate(program, counted(program), replace(timed, layers=timed.layers[:1]))


def test_json_and_text(report):
    data = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert data["metrics"]["latency_s"] == approx(1.2e-6)
    assert data["by_layer"]["layer0"]["area_m2"] > 0
    text = str(report)
    for words in ("small on small", "table, 6 bits: made up", "limited by layer0", "core.adc", "bus_bits", "1.2 µs"):
        assert words in text
    assert all(math.isfinite(v) for v in report.metrics().values())


def test_a_chip_without_prices_gives_no_ratios():
    program = compiled(
        adc={"kind": "ideal"},
        crossbar__reference={"rows": 8, "cols": 8, "area_m2": 0, "power_W": 0},
        dac={"kind": "scaled", "bits": 1, "area_m2": 0, "energy_J": 0},
        core__parts={},
        tile__parts={},
        chip__parts={},
    )
    report = estimate(program, counted(program))
    assert report.energy_J == report.area_m2 == 0
    assert not {"tops_per_W", "tops_per_mm2", "tops_per_used_mm2"} & report.metrics().keys()
    assert "TOPS" in str(report)


def test_activity_of_another_program_is_refused(report):
    program = compiled()
    activity = counted(program)
    with pytest.raises(DataError, match="must be of this program's layers"):
        estimate(program, type(activity)(2, activity.layers[:1], activity.host))
    with pytest.raises(DataError, match="at least one input, got 0"):
        estimate(program, type(activity)(0, activity.layers, activity.host))
