"""Routers that pass a flit per clock over each link, priced by their power at full activity."""

from __future__ import annotations

from abc import abstractmethod
from typing import Self

from pydantic import model_validator

from xbar.events import Event
from xbar.parts.base import Cost, Router
from xbar.parts.price import price, price_problems
from xbar.parts.scale import Scale
from xbar.settings import problems
from xbar.units import Hertz, SquareMetre, Watt


class ClockedRouter(Router):
    """A router whose links each pass one flit of `flit_bits` per clock.

    Energy of a bit and link crossed = (power_W - leakage_W) / (flits_per_clock * flit_bits * clock_Hz).
    """

    clock_Hz: Hertz
    area_m2: SquareMetre
    power_W: Watt
    leakage_W: Watt = 0.0

    @model_validator(mode="after")
    def _leakage_within_power(self) -> ClockedRouter:
        found = price_problems(self.power_W, None, self.leakage_W, ("link_bits",))
        if found:
            raise problems(type(self).__name__, found)
        return self

    @property
    @abstractmethod
    def flits_per_clock(self) -> int:
        """Flits that one router passes in a clock at full activity."""

    @property
    def link_bits_per_s(self) -> float:
        """One flit per clock."""
        return self.flit_bits * self.clock_Hz

    @property
    def hop_time_s(self) -> float:
        """One clock."""
        return 1 / self.clock_Hz

    def energies(self) -> tuple[tuple[Event, float], ...]:
        """Energy in J of one bit crossing a link."""
        return (("link_bits", self.cost().energy_J),)

    def events_per_s(self, event: Event) -> float:
        """Bits that one router passes at full activity, over all its links."""
        return self.flits_per_clock * self.link_bits_per_s if event == "link_bits" else 0.0

    def cost(self) -> Cost:
        """Cost of one router; energy per bit and link, latency of one flit."""
        rate_Hz = self.events_per_s("link_bits")
        return price(self.area_m2, rate_Hz, self.power_W, None, self.leakage_W, self.hop_time_s)

    def scaled(self, by: Scale) -> Self:
        """The router in another technology."""
        return self.changed(
            by.note,
            area_m2=self.area_m2 * by.area_rel,
            power_W=by.power_W(self.power_W, self.leakage_W),
            clock_Hz=self.clock_Hz / by.time_rel,
            leakage_W=self.leakage_W * by.leakage_rel,
        )
