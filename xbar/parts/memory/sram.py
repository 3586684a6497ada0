"""SRAM buffers from a published table."""

from __future__ import annotations

from typing import Annotated, Self, final

from pydantic import Field, model_validator

from xbar.events import Event
from xbar.parts.base import Cost, Memory
from xbar.parts.scale import Scale
from xbar.settings import problems
from xbar.units import Hertz

# (capacity in bytes, word in bits): (pJ per read, pJ per write, um2); CACTI at 32 nm
_POINTS = {
    (256, 64): (0.43, 0.71, 544.0),
    (2048, 64): (1.49, 2.29, 3820.0),
    (2048, 256): (5.13, 7.04, 6832.0),
    (8192, 64): (3.44, 4.27, 13287.0),
    (65536, 256): (29.6, 36.5, 100644.0),
    (262144, 64): (26.8, 21.3, 478266.0),
}


@final
class SramMemory(Memory):
    """An SRAM of one of the sizes that CACTI was run for at 32 nm; energy per bit = energy per access / word_bits.

    read_event and write_event count bits (a row pulse of a 1-bit DAC reads one bit). clock_Hz: words per second at full
    activity, over its one port. Sizes (bytes x bits): 256 x 64, 2048 x 64, 2048 x 256, 8192 x 64, 65536 x 256, 262144 x
    64. Leakage is not in the table and counts as nothing. area_rel and energy_rel: what the table's figures are
    multiplied with, for a memory of another technology. Source: CACTI (Muralimanohar et al., MICRO 2007) at 32 nm.
    """

    source: str = "CACTI at 32 nm (Muralimanohar et al., MICRO 2007)"
    ports: Annotated[int, Field(strict=True, ge=1, le=1)] = 1
    clock_Hz: Hertz
    read_event: Event = "buffer_read_bits"
    write_event: Event = "buffer_write_bits"
    area_rel: float = Field(1.0, gt=0)
    energy_rel: float = Field(1.0, gt=0)

    @model_validator(mode="after")
    def _known(self) -> SramMemory:
        if (self.capacity_bytes, self.word_bits) not in _POINTS:
            sizes = ", ".join(f"{c} x {w}" for c, w in _POINTS)
            rule = f"with word_bits {self.word_bits} is no published size; choose from {sizes}, or use kind: priced"
            raise problems("SramMemory", [(("capacity_bytes",), rule, self.capacity_bytes)])
        return self

    def energies(self) -> tuple[tuple[Event, float], ...]:
        """Energy in J of one bit read and of one bit written."""
        read_J, write_J, _ = self._point()
        return (self.read_event, read_J / self.word_bits), (self.write_event, write_J / self.word_bits)

    def events_per_s(self, event: Event) -> float:
        """Bits of one word per clock, read or written."""
        return self.word_bits * self.clock_Hz if event in (self.read_event, self.write_event) else 0.0

    def cost(self) -> Cost:
        """Cost of one memory; power at one word per clock, of the dearer access; latency of a word."""
        read_J, write_J, area_m2 = self._point()
        return Cost(area_m2, max(read_J, write_J) * self.clock_Hz, read_J / self.word_bits, 1 / self.clock_Hz)

    def scaled(self, by: Scale) -> Self:
        """The memory in another technology; its leakage stays unknown."""
        return self.changed(
            by.note,
            area_rel=self.area_rel * by.area_rel,
            energy_rel=self.energy_rel * by.energy_rel,
            clock_Hz=self.clock_Hz / by.time_rel,
        )

    def _point(self) -> tuple[float, float, float]:
        """J per word read, J per word written, m2."""
        read_pJ, write_pJ, area_um2 = _POINTS[self.capacity_bytes, self.word_bits]
        energy = 1e-12 * self.energy_rel
        return read_pJ * energy, write_pJ * energy, area_um2 * 1e-12 * self.area_rel
