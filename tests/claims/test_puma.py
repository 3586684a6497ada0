"""PUMA, Ankit et al., ASPLOS 2019: static totals of the released simulator, and constants of its parts.

Peak power has no published total here: the sums are computed from the constants, apart from the chip's ledger.
"""

from __future__ import annotations

import pytest
from close import approx

from xbar.hardware import LedgerRow, load_chip

CHIP = load_chip("puma_asplos_2019")


def _row(level: str, part: str) -> LedgerRow:
    (row,) = [row for row in CHIP.ledger() if (row.level, row.part) == (level, part)]
    return row


def test_static_totals() -> None:
    assert round(CHIP.total("core").area_m2 * 1e6, 4) == 0.0311
    assert round(CHIP.total("tile").area_m2 * 1e6, 3) == 0.455


def test_area_of_the_chip_is_that_of_tiles_routers_and_links() -> None:
    """A 4-port router of 0.047 mm2 for 4 tiles; links as ISAAC's."""
    area_mm2 = 138 * CHIP.total("tile").area_m2 * 1e6 + 138 / 4 * 0.047 + 22.88
    assert CHIP.area_m2 * 1e6 == approx(area_mm2)


# count and mW at full activity of one, from the constants: dynamic and leakage together
CORE_MW = {
    "array": (16, 0.3),
    "dac": (16 * 128, 3.50625e-3 + 0.390625e-3),
    "adc": (4, 8 * 0.25),
    "sample and hold": (512, 9.7e-6),
    "shift and add": (4, 0.05),
    "input register": (2, 1.7e-12 / 100e-9 * 1e3 + 0.04),  # 1.7 pJ feed 128 rows of 8 crossbars once per 100 ns
    "output register": (2, 0.16e-12 * 2 * 1.28e9 * 1e3 + 0.04),  # 0.16 pJ for every result of 2 ADCs
    "training crossbars": (48, 0),
    "training drivers": (6 * 128, 0.390625e-3),
    "training registers": (8, 0.04),
    "register file": (1, 0.57e-12 * 1e9 * 1e3 + 0.33),
    "instruction memory": (1, 0.078 * 8**0.5),
    "sigmoid": (1, 0.26),
    "ALU": (1, 0.373 * 32 / 45 + 0.192),
    "control": (1, 1.25 * 0.2),
}
TILE_MW = {
    "eDRAM buffer": (1, 17.2e-12 / 2e-9 * 1e3 + 0.46),
    "eDRAM controller": (1, 0.475e-12 * 1e9 * 1e3 + 0.05),
    "attribute memory": (1, 0.325e-12 * 8 * 90.5e9 / 256 * 1e3 + 0.165 * 8**0.5),
    "eDRAM bus": (1, 3.5),
    "receive buffer": (1, 8.96 + 0.18),
    "instruction memory": (1, 0.33 * 8**0.5),
    "control": (1, 0.25 * 0.2),
}


def test_peak_power_computed_from_the_constants() -> None:
    core_mW, tile_mW = (sum(n * mW for n, mW in parts.values()) for parts in (CORE_MW, TILE_MW))
    tile_mW += 8 * core_mW
    chip_mW = 138 * tile_mW + 138 / 4 * (16.13 + 0.41) + 10400
    assert CHIP.total("core").power_W * 1e3 == approx(core_mW, rel=1e-4)
    assert CHIP.total("tile").power_W * 1e3 == approx(tile_mW, rel=1e-4)
    assert CHIP.peak_power_W * 1e3 == approx(chip_mW, rel=1e-4)


@pytest.mark.parametrize(("level", "parts"), [("core", CORE_MW), ("tile", TILE_MW)])
def test_power_part_by_part(level: str, parts: dict[str, tuple[int, float]]) -> None:
    below = ("crossbar", "core") if level == "core" else (level,)
    rows = {row.part: row for row in CHIP.ledger() if row.level in below}
    assert set(rows) == set(parts)
    for part, (count, power_mW) in parts.items():
        assert rows[part].count_per_parent == count, part
        assert rows[part].cost.power_W * 1e3 == approx(power_mW, rel=1e-3), part


@pytest.mark.parametrize(
    ("rows", "area_um2", "power_mW"), [(32, 1.5625, 0.01875), (64, 6.25, 0.075), (128, 25, 0.3), (256, 100, 1.2)]
)
def test_crossbars_of_every_published_size(rows: int, area_um2: float, power_mW: float) -> None:
    chip = load_chip("puma_asplos_2019", {"crossbar.rows": rows, "crossbar.cols": rows})
    cost = chip.crossbar.cost(chip.device)
    assert cost.area_m2 * 1e12 == approx(area_um2)
    assert cost.power_W * 1e3 == approx(power_mW)
    assert cost.latency_s == approx(100e-9)


@pytest.mark.parametrize(
    ("level", "part", "leakage_mW", "area_um2"),
    [
        ("core", "ALU", 0.192, 4030),
        ("tile", "eDRAM buffer", 0.46, 86000),
        ("tile", "eDRAM bus", 0.5, 90000),
        ("chip", "router", 0.41, 47000),
    ],
)
def test_leakage(level: str, part: str, leakage_mW: float, area_um2: float) -> None:
    cost = _row(level, part).cost
    assert cost.leakage_W * 1e3 == approx(leakage_mW)
    assert cost.area_m2 * 1e12 == approx(area_um2, rel=1e-3)


def test_router_energy_is_its_dynamic_power() -> None:
    """16.13 mW without leakage, 4 ports of 32 bits at 1 GHz."""
    assert dict(_row("chip", "router").energies)["link_bits"] == approx(16.13e-3 / (4 * 32 * 1e9))


def test_counts() -> None:
    assert (CHIP.core.crossbars, CHIP.core.adcs, CHIP.tile.cores, CHIP.chip.tiles) == (16, 4, 8, 138)
    assert (CHIP.n_slices, CHIP.n_pulses, CHIP.adc_bits) == (8, 16, (8,) * 8)


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
    assert cost.power_W * 1e3 == approx(power_mW)
    assert cost.area_m2 * 1e12 == approx(area_um2)


def test_energies() -> None:
    assert dict(_row("core", "ALU").energies)["digital_ops"] == approx(0.265e-12, rel=1e-3)
    buffer = _row("tile", "eDRAM buffer")
    assert dict(buffer.energies)["buffer_read_bits"] * 256 == approx(17.2e-12)
    assert buffer.cost.power_W == approx(8.6e-3 + 0.46e-3)


@pytest.mark.parametrize(("bits", "power_mW", "time_of_128_ns"), [(1, 0.25, 12.5), (4, 1.0, 50), (8, 2.0, 100)])
def test_adc_constants(bits: int, power_mW: float, time_of_128_ns: float) -> None:
    cost = CHIP.adc.cost(bits)
    assert cost.power_W * 1e3 == approx(power_mW)
    assert 128 * cost.latency_s * 1e9 == approx(time_of_128_ns)
    assert cost.area_m2 * 1e12 == approx(1200)


def test_the_edram_takes_2_ns_and_17_2_pj_per_access() -> None:
    """Constants, edram 64 KB; the attribute memory beside it, at sqrt(8) times its time, is what limits the tile."""
    buffer = CHIP.tile_buffer
    assert buffer is not None
    assert buffer.capacity_bytes == 64 * 1024
    assert buffer.cost().latency_s == approx(2e-9)
    assert buffer.word_bits * buffer.cost().energy_J == approx(17.2e-12)
    assert CHIP.events_per_s("buffer_read_bits") == approx(256 / 8**0.5 * 1e9, rel=1e-3)
