"""PUMA, Ankit et al., ASPLOS 2019: static totals of the released simulator, and constants of its parts."""

from __future__ import annotations

import pytest

from xbar.hardware import LedgerRow, load_chip

CHIP = load_chip("puma_asplos_2019")


def _row(level: str, part: str) -> LedgerRow:
    (row,) = [row for row in CHIP.ledger() if (row.level, row.part) == (level, part)]
    return row


def test_static_totals() -> None:
    assert round(CHIP.total("core").area_m2 * 1e6, 4) == 0.0311
    assert round(CHIP.total("tile").area_m2 * 1e6, 3) == 0.455


@pytest.mark.parametrize(
    ("level", "part", "power_mW", "area_um2"),
    [
        ("crossbar", "array", 0.3, 25),
        ("core", "sample and hold", 9.7e-6, 0.0390625),
        ("core", "shift and add", 0.05, 60),
        ("core", "sigmoid", 0.26, 300),
        ("tile", "eDRAM bus", 3.5, 90000),
        ("chip", "router", 16.54, 47000),
    ],
)
def test_parts(level: str, part: str, power_mW: float, area_um2: float) -> None:
    cost = _row(level, part).cost
    assert cost.power_W * 1e3 == pytest.approx(power_mW)
    assert cost.area_m2 * 1e12 == pytest.approx(area_um2)


def test_energies() -> None:
    assert dict(_row("core", "ALU").energies)["digital_ops"] == pytest.approx(0.265e-12, rel=1e-3)
    buffer = _row("tile", "eDRAM buffer")
    assert dict(buffer.energies)["buffer_read_bits"] * 256 == pytest.approx(17.2e-12)
    assert buffer.cost.power_W == pytest.approx(8.6e-3 + 0.46e-3)


@pytest.mark.parametrize(("bits", "power_mW", "time_of_128_ns"), [(1, 0.25, 12.5), (4, 1.0, 50), (8, 2.0, 100)])
def test_adc_constants(bits: int, power_mW: float, time_of_128_ns: float) -> None:
    cost = CHIP.adc.cost(bits)
    assert cost.power_W * 1e3 == pytest.approx(power_mW)
    assert 128 * cost.latency_s * 1e9 == pytest.approx(time_of_128_ns)
    assert cost.area_m2 * 1e12 == pytest.approx(1200)
