"""A crossbar priced by its cells, from one published array."""

from __future__ import annotations

from typing import final

from xbar.events import Event
from xbar.parts.base import Array, Cost, Device
from xbar.settings import Settings
from xbar.units import Count, SquareMetre, Watt


@final
class ReferenceArray(Settings):
    """The array that was published: its size, area, and power while it is read."""

    rows: Count
    cols: Count
    area_m2: SquareMetre
    power_W: Watt


@final
class PerCellArray(Array):
    """A crossbar whose area and read power go with its number of cells; every read costs the whole array.

    area = reference.area * cells / reference.cells; energy of a read = power * read_time, with power scaled likewise.
    PUMA's constants follow this law: 1.56, 6.25, 25, 100 um2 and .01875, .075, .3, 1.2 mW for 32, 64, 128, 256 rows
    (Ankit et al., ASPLOS 2019).
    """

    reference: ReferenceArray

    @property
    def event(self) -> Event:
        """A read of the whole array."""
        return "array_reads"

    def cost(self, device: Device) -> Cost:
        """Cost of one array; energy per read. The device does not matter: its share is in the published power."""
        ratio = self.rows * self.cols / (self.reference.rows * self.reference.cols)
        power_W = self.reference.power_W * ratio
        return Cost(self.reference.area_m2 * ratio, power_W, power_W * self.read_time_s, self.read_time_s)

    def unused(self, device: Device) -> tuple[str, ...]:
        """A curved I-V law: one voltage and ideal wires see one conductance."""
        return () if device.curvature_V is None else ("sinh_V",)

    def circuit(self, device: Device) -> None:
        """None: ideal wires."""
        return None
