"""A mesh router priced by the bits that cross it."""

from __future__ import annotations

from typing import final

from pydantic import model_validator

from xbar.events import Event
from xbar.parts.base import Cost, Router
from xbar.settings import problems
from xbar.units import Hertz, SquareMetre, Watt


@final
class MeshRouter(Router):
    """A router of a mesh: at full activity every port passes one flit per clock.

    Energy of a bit and hop = (power_W - leakage_W) / (ports * flit_bits * clock_Hz). ISAAC's router (32-bit flits,
    8 ports, 42 mW, 0.151 mm2, shared by 4 tiles; Shafiee et al., ISCA 2016, table 1) is given so.
    """

    area_m2: SquareMetre
    power_W: Watt
    clock_Hz: Hertz
    leakage_W: Watt = 0.0

    @model_validator(mode="after")
    def _leakage_within_power(self) -> MeshRouter:
        if self.leakage_W > self.power_W:
            rule = "must not exceed power_W, which includes it"
            raise problems("MeshRouter", [(("leakage_W",), rule, self.leakage_W)])
        return self

    def energies(self) -> tuple[tuple[Event, float], ...]:
        """Energy in J of one bit crossing the router."""
        return (("link_bits", self.cost().energy_J),)

    def cost(self) -> Cost:
        """Cost of one router; energy per bit and hop, latency of one flit."""
        energy_J = (self.power_W - self.leakage_W) / (self.ports * self.flit_bits * self.clock_Hz)
        return Cost(self.area_m2, self.power_W, energy_J, 1 / self.clock_Hz, self.leakage_W)
