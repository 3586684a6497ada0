"""How the cells of a device are written: pulses, their energy, what is written at a time, how many a cell stands."""

from __future__ import annotations

from typing import Annotated, Literal, final

from pydantic import Field, model_validator

from xbar.settings import Settings, problems
from xbar.units import Joule, Second, Volt


@final
class WritePulses(Settings):
    """Write pulses of `pulse_s`, on average `pulses` per cell: 1 in open loop, more with write-verify.

    A pulse costs `energy_J`, or voltage_V^2 * G * pulse_s with the conductance G of the cell at that time. Erasing a
    cell first is one pulse more. verify: a read follows every pulse. parallel: what is written at a time in a crossbar;
    a read shows one cell of each bit line, so that even a crossbar is verified row by row. endurance: pulses that a
    cell stands; None where nobody says.
    """

    source: str = ""
    pulse_s: Second
    voltage_V: Volt | None = None
    energy_J: Joule | None = None
    pulses: float = Field(1.0, ge=1)
    verify: Annotated[bool, Field(strict=True)] = False
    parallel: Literal["cell", "row", "crossbar"]
    endurance: float | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _one_energy(self) -> WritePulses:
        found = []
        if (self.voltage_V is None) == (self.energy_J is None):
            rule = "give either voltage_V (of a pulse) or energy_J (of a pulse), not both and not neither"
            found.append((("voltage_V",), rule, self.voltage_V))
        if self.endurance is not None and self.endurance < self.pulses:
            rule = f"must not be below pulses ({self.pulses:g}), which write a cell once"
            found.append((("endurance",), rule, self.endurance))
        if found:
            raise problems("WritePulses", found)
        return self
