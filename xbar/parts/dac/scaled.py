"""A word-line driver whose price doubles with every bit."""

from __future__ import annotations

from typing import Self, final

from pydantic import model_validator

from xbar.parts.base import Cost, Dac
from xbar.parts.scale import Scale
from xbar.settings import problems
from xbar.units import Joule, SquareMetre, Watt


@final
class ScaledDac(Dac):
    """A driver given by its 1-bit price; area and power (or energy) go as 2^(bits - 1).

    Give either `power_W`, drawn while pulses are sent, or `energy_J` per pulse. ISAAC's 1-bit driver takes 3.9 uW and
    0.166 um2 (Shafiee et al., ISCA 2016, table 1); doubling per bit is the usual assumption for binary-weighted DACs.
    """

    area_m2: SquareMetre
    power_W: Watt | None = None
    energy_J: Joule | None = None

    @model_validator(mode="after")
    def _one_price(self) -> ScaledDac:
        if (self.power_W is None) == (self.energy_J is None):
            rule = "give either power_W (while sending pulses) or energy_J (per pulse), not both and not neither"
            raise problems("ScaledDac", [(("power_W",), rule, self.power_W)])
        return self

    def cost(self, pulse_s: float) -> Cost:
        """Cost of one driver; energy per pulse of `pulse_s` seconds."""
        factor = 2.0 ** (self.bits - 1)
        power_W = self.power_W if self.power_W is not None else (self.energy_J or 0.0) / pulse_s
        return Cost(self.area_m2 * factor, power_W * factor, power_W * factor * pulse_s)

    def scaled(self, by: Scale) -> Self:
        """The driver in another technology: a pulse of the same length costs `by.energy_rel` times as much."""
        return self.changed(
            by.note,
            area_m2=self.area_m2 * by.area_rel,
            power_W=None if self.power_W is None else self.power_W * by.energy_rel,
            energy_J=None if self.energy_J is None else self.energy_J * by.energy_rel,
        )
