"""A crossbar whose read energy follows from Ohm's law."""

from __future__ import annotations

from typing import final

from pydantic import Field

from xbar.events import Event
from xbar.parts.base import Array, Cost, Device
from xbar.units import SquareMetre, Volt


def ohmic_cost(array: Array, read_voltage_V: float, cell_area_m2: float, device: Device) -> Cost:
    """Cost of an array of resistive cells: energy of the read of a cell at g_max, power with all word lines at full
    voltage and cells of mean conductance.

    Raises ValueError if the device has no conductances.
    """
    if device.mean_conductance_S is None or device.range_S is None:
        raise ValueError("needs the cell's conductances; use device: {kind: resistive, g_min_S: ..., g_max_S: ...}")
    n_cells = array.rows * array.cols
    return Cost(
        area_m2=n_cells * cell_area_m2,
        power_W=n_cells * read_voltage_V**2 * device.mean_conductance_S,
        energy_J=read_voltage_V**2 * device.range_S[1] * array.read_time_s,
        latency_s=array.read_time_s,
    )


@final
class OhmicArray(Array):
    """A crossbar of resistive cells: each read costs E = sum V^2 g t_read over its cells.

    g are the conductances of the cells, and V = V_read d / (2^dac_bits - 1) the voltage of a word line that carries the
    digit d; word lines at zero cost nothing. Area = rows * cols * cell_area; published 1T1R cells take 5x12 F^2 (Intel
    22 nm), 6x6 F^2 (Winbond 90 nm), 4x4 F^2 (Tsinghua 130 nm); an ideal cross-point 4 F^2.
    """

    read_voltage_V: Volt
    cell_area_m2: SquareMetre = Field(gt=0)

    @property
    def event(self) -> Event:
        """A read of a cell at g_max and the full voltage."""
        return "cell_reads"

    def cost(self, device: Device) -> Cost:
        """Cost of one array; energy of the read of a cell at g_max, power with all word lines at full voltage."""
        return ohmic_cost(self, self.read_voltage_V, self.cell_area_m2, device)

    def unused(self, device: Device) -> tuple[str, ...]:
        """A curved I-V law: one voltage and ideal wires see one conductance."""
        return () if device.curvature_V is None else ("sinh_V",)

    def circuit(self, device: Device) -> None:
        """None: ideal wires."""
        return None
