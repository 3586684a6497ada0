"""A buffer with a published price."""

from __future__ import annotations

from typing import Annotated, Self, final

from pydantic import BeforeValidator, Field, model_validator

from xbar.events import Event
from xbar.parts.base import Cost, Memory
from xbar.parts.price import as_events, price, price_problems
from xbar.parts.scale import Scale
from xbar.settings import problems
from xbar.units import Hertz, Joule, SquareMetre, Watt


@final
class BufferMemory(Memory):
    """An SRAM or eDRAM whose area and power or energy a paper prints.

    ports: accesses of a word at a time; all together they move `rate_Hz` bits per second at full activity, so that an
    access takes ports * word_bits / rate_Hz. event: the bits that it holds, read and written, each at the same energy;
    either `energy_J` per bit, or (power_W - leakage_W) / rate_Hz.
    """

    area_m2: SquareMetre
    event: Annotated[tuple[Event, ...], BeforeValidator(as_events), Field(min_length=1)] = (
        "buffer_read_bits",
        "buffer_write_bits",
    )
    power_W: Watt | None = None
    energy_J: Joule | None = None
    rate_Hz: Hertz
    leakage_W: Watt = 0.0

    @model_validator(mode="after")
    def _one_price(self) -> BufferMemory:
        found = price_problems(self.power_W, self.energy_J, self.leakage_W, self.event)
        if found:
            raise problems("BufferMemory", found)
        return self

    def energies(self) -> tuple[tuple[Event, float], ...]:
        """The same energy in J for a bit of each event."""
        return tuple((event, self.cost().energy_J) for event in self.event)

    def events_per_s(self, event: Event) -> float:
        """Bits per second over all ports."""
        return self.rate_Hz if event in self.event else 0.0

    def cost(self) -> Cost:
        """Cost of one buffer; latency of one access."""
        access_s = self.ports * self.word_bits / self.rate_Hz
        return price(self.area_m2, self.rate_Hz, self.power_W, self.energy_J, self.leakage_W, access_s)

    def scaled(self, by: Scale) -> Self:
        """The buffer in another technology."""
        return self.changed(
            by.note,
            area_m2=self.area_m2 * by.area_rel,
            power_W=None if self.power_W is None else by.power_W(self.power_W, self.leakage_W),
            energy_J=None if self.energy_J is None else self.energy_J * by.energy_rel,
            rate_Hz=self.rate_Hz / by.time_rel,
            leakage_W=self.leakage_W * by.leakage_rel,
        )
