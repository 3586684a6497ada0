"""A crossbar whose read energy follows from Ohm's law."""

from __future__ import annotations

from typing import final

from pydantic import Field

from xbar.events import Event
from xbar.parts.base import Array, Cost, Device
from xbar.units import SquareMetre, Volt


def ohmic_cost(array: Array, read_voltage_V: float, cell_area_m2: float, device: Device) -> Cost:
    """Cost of an array of resistive cells; energy per active word line, power with all word lines active.

    Raises ValueError if the device has no conductances.
    """
    if device.mean_conductance_S is None:
        raise ValueError("needs the cell's conductances; use device: {kind: resistive, g_min_S: ..., g_max_S: ...}")
    row_power_W = array.cols * read_voltage_V**2 * device.mean_conductance_S
    return Cost(
        area_m2=array.rows * array.cols * cell_area_m2,
        power_W=array.rows * row_power_W,
        energy_J=row_power_W * array.read_time_s,
        latency_s=array.read_time_s,
    )


@final
class OhmicArray(Array):
    """A crossbar of resistive cells: an active word line costs E = cols * V_read^2 * mean(g) * t_read.

    Averaged over equally likely levels; for DACs of several bits V_read is the full-scale voltage, so the energy is an
    upper bound there. Word lines held at zero cost nothing in the cells. Area = rows * cols * cell_area; published 1T1R
    cells take 5x12 F^2 (Intel 22 nm), 6x6 F^2 (Winbond 90 nm), 4x4 F^2 (Tsinghua 130 nm); an ideal cross-point 4 F^2.
    """

    read_voltage_V: Volt
    cell_area_m2: SquareMetre = Field(gt=0)

    @property
    def event(self) -> Event:
        """A word line that carries a non-zero input."""
        return "active_rows"

    def cost(self, device: Device) -> Cost:
        """Cost of one array; energy per active word line, power with all word lines active."""
        return ohmic_cost(self, self.read_voltage_V, self.cell_area_m2, device)

    def unused(self, device: Device) -> tuple[str, ...]:
        """A curved I-V law: one voltage and ideal wires see one conductance."""
        return () if device.curvature_V is None else ("sinh_V",)

    def circuit(self, device: Device) -> None:
        """None: ideal wires."""
        return None
