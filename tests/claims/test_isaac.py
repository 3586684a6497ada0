"""ISAAC, Shafiee et al., ISCA 2016, table 1: each row, and the sums as printed."""

from __future__ import annotations

import numpy as np
import pytest
from small import small_network

import mapping
from xbar.hardware import LedgerRow, load_chip
from xbar.program import pulse_time_s

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
    assert count * row.cost.power_W * 1e3 == pytest.approx(power_mW, rel=1e-12)
    assert count * row.cost.area_m2 * 1e6 == pytest.approx(area_mm2, rel=1e-12)


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
    assert CHIP.peak_ops_per_s / n_crossbars / 1e9 == pytest.approx(2.56)
    assert round(CHIP.peak_ops_per_s / 1e12, 1) == 41.3
    assert round(CHIP.peak_ops_per_s / (CHIP.area_m2 * 1e6) / 1e9) == 483
    assert round(CHIP.peak_ops_per_s / CHIP.peak_power_W / 1e9) == 627


def test_no_program_reaches_that_peak_because_of_the_unit_column() -> None:
    """The paper counts 128 conversions per crossbar and read; a full core converts 129, which takes 100.78 ns."""
    weights = [np.full((16, 1024), 2**15 - 1)]  # 8 row blocks x 16 weights of 8 cells: every cell of one core
    program = mapping.compile(small_network(weights, weight_bits=16, input_bits=16), CHIP)
    assert CHIP.pulse_time_s == pytest.approx(100e-9)
    assert pulse_time_s(program.layers[0], CHIP) == pytest.approx(129 / 1.28e9)
    assert round(CHIP.peak_ops_per_s * 128 / 129 / 1e12, 1) == 41.0


def test_energies_that_follow() -> None:
    """8-bit conversion 1.56 pJ; eDRAM 80 fJ/bit."""
    assert dict(_row("core", "adc").energies)["conversions"] == pytest.approx(1.5625e-12)
    assert dict(_row("tile", "eDRAM buffer").energies)["buffer_read_bits"] == pytest.approx(80e-15)


def test_6_bit_converters_by_the_sar_law() -> None:
    core = load_chip("isaac_isca_2016", {"adc.bits": "6"}).total("core")
    assert core.power_W * 1e3 == pytest.approx(24.08 - 16 * (1 - (2**6 / 7) / (2**8 / 9)))
