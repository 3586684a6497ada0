"""Sums close: for every chip that comes with the package, parts, layers and levels add up to the totals."""

from __future__ import annotations

import math

import pytest
from close import approx
from small import counted, random_weights, small_network

import mapping
import xbar
from xbar.cost import estimate
from xbar.result import Report


def report_on(name: str, budget: int | None) -> Report:
    chip = xbar.load_chip(name)
    bits = chip.precision.weight_bits
    qnet = small_network(
        random_weights([(60, 150), (150, 60), (10, 150)], top=2 ** (bits - 1) - 1),
        vectors=9,
        weight_bits=bits,
        input_bits=chip.precision.input_bits,
    )
    program = mapping.compile(qnet, chip, budget)
    return estimate(program, counted(program))


@pytest.mark.parametrize("replicated", [False, True])
@pytest.mark.parametrize("name", xbar.list_chips())
def test_sums_close(name, replicated):
    chip = xbar.load_chip(name)
    report = report_on(name, chip.chip.tiles if replicated else None)
    assert report.area_m2 == approx(chip.area_m2, rel=1e-9)
    assert 0 < report.used_area_m2 <= report.area_m2 * (1 + 1e-12)
    for key in ("part", "layer", "level"):
        sums = report.by(key).values()
        assert sum(c.area_m2 for c in sums) == approx(report.area_m2, rel=1e-9)
        assert sum(c.energy_J for c in sums) == approx(report.energy_J, rel=1e-9)
    by_row = {f"{r.level}.{r.part}": r.count_per_chip * r.cost.area_m2 for r in chip.ledger()}
    for part, cost in report.by("part").items():
        assert cost.area_m2 == approx(by_row[part], rel=1e-9)
    leakage_J = chip.total().leakage_W / report.throughput_per_s
    assert sum(e.leakage_J for e in report.ledger) == pytest.approx(leakage_J, rel=1e-9, abs=1e-30)
    assert sum(t.array_read_s + t.adc_wait_s for t in report.timing) == approx(report.latency_s, rel=1e-9)
    assert report.power_W == approx(report.energy_J * report.throughput_per_s, rel=1e-9)
    assert all(math.isfinite(value) and value > 0 for value in report.metrics().values())


@pytest.mark.parametrize("name", xbar.list_chips())
def test_average_power_stays_below_the_power_with_all_parts_busy(name):
    """The rates that presets assume would show here: no part may be asked for more than it does at full activity."""
    report = report_on(name, None)
    assert report.power_W <= report.peak_power_W
