"""Arrays: what a read costs."""

from __future__ import annotations

import pytest
from close import approx

from xbar.parts.array.ohmic import OhmicArray
from xbar.parts.array.per_cell import PerCellArray, ReferenceArray
from xbar.parts.device.levels import LevelsDevice
from xbar.parts.device.resistive import ResistiveDevice

REFERENCE = ReferenceArray(rows=128, cols=128, area_m2=25e-12, power_W=0.3e-3)
CELL = ResistiveDevice(cell_bits=2, g_min_S=1e-6, g_max_S=3e-6)


@pytest.mark.parametrize(
    ("size", "area_um2", "power_mW"), [(32, 1.5625, 0.01875), (64, 6.25, 0.075), (128, 25, 0.3), (256, 100, 1.2)]
)
def test_puma_constants_follow_the_number_of_cells(size: int, area_um2: float, power_mW: float) -> None:
    array = PerCellArray(rows=size, cols=size, read_time_s=1e-7, reference=REFERENCE)
    cost = array.cost(LevelsDevice(cell_bits=2))
    assert cost.area_m2 == approx(area_um2 * 1e-12)
    assert cost.power_W == approx(power_mW * 1e-3)
    assert cost.energy_J == approx(power_mW * 1e-3 * 1e-7)
    assert array.event == "array_reads"


def test_reads_cost_what_ohm_says() -> None:
    """Of a cell at g_max, 0.5 V and 3 uS for 10 ns; at full activity, 40 cells at 0.5 V with 2 uS on average."""
    array = OhmicArray(rows=4, cols=10, read_time_s=1e-8, read_voltage_V=0.5, cell_area_m2=1e-14)
    cost = array.cost(CELL)
    assert cost.energy_J == approx(0.25 * 3e-6 * 1e-8)
    assert cost.power_W == approx(4 * 10 * 0.25 * 2e-6)
    assert cost.area_m2 == approx(40e-14)
    assert array.event == "cell_reads"
    with pytest.raises(ValueError, match="needs the cell's conductances"):
        array.cost(LevelsDevice(cell_bits=2))


def test_a_curved_law_is_unused_where_wires_are_ideal() -> None:
    array = PerCellArray(rows=4, cols=4, read_time_s=1e-7, reference=REFERENCE)
    curved = ResistiveDevice(cell_bits=2, g_min_S=1e-6, g_max_S=3e-6, sinh_V=0.25)
    assert array.unused(curved) == ("sinh_V",)
    assert array.unused(CELL) == ()


def test_g_min_lies_below_g_max() -> None:
    with pytest.raises(ValueError, match="must be below g_max_S"):
        ResistiveDevice(cell_bits=2, g_min_S=3e-6, g_max_S=3e-6)
