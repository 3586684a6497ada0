"""A component with a published price."""

from __future__ import annotations

from typing import Annotated, Any, final

from pydantic import BeforeValidator, model_validator

from xbar.events import Event
from xbar.parts.base import Component, Cost
from xbar.settings import problems
from xbar.units import Hertz, Joule, SquareMetre, Watt


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


@final
class PricedComponent(Component):
    """A component whose area and power or energy a paper prints, and the events that it works on.

    Either `energy_J` per event, or `power_W` at full activity (leakage included) with `rate_Hz`, the events per
    second of one instance at full activity: energy = (power_W - leakage_W) / rate_Hz. With `energy_J`, `rate_Hz` is
    needed too, for the power at full activity: energy_J * rate_Hz + leakage_W. A component without `event` has
    `leakage_W` only. `event` may list several events; each costs the same energy.
    """

    area_m2: SquareMetre
    event: Annotated[tuple[Event, ...], BeforeValidator(_as_list)] = ()
    power_W: Watt | None = None
    energy_J: Joule | None = None
    rate_Hz: Hertz | None = None
    leakage_W: Watt = 0.0

    @model_validator(mode="after")
    def _one_price(self) -> PricedComponent:
        found: list[tuple[tuple[str | int, ...], str, Any]] = []
        if not self.event:
            for name in ("power_W", "energy_J", "rate_Hz"):
                if getattr(self, name) is not None:
                    rule = "has no effect without event; name the event, or give leakage_W for what always draws"
                    found.append(((name,), rule, getattr(self, name)))
        else:
            if (self.power_W is None) == (self.energy_J is None):
                rule = "give either power_W (at full activity) or energy_J (per event), not both and not neither"
                found.append((("power_W",), rule, self.power_W))
            if self.rate_Hz is None:
                rule = "is needed with event: events per second of one instance at full activity"
                found.append((("rate_Hz",), rule, None))
            if self.power_W is not None and self.leakage_W > self.power_W:
                found.append((("leakage_W",), "must not exceed power_W, which includes it", self.leakage_W))
        if len(set(self.event)) < len(self.event):
            found.append((("event",), "must list each event once", list(self.event)))
        if found:
            raise problems("PricedComponent", found)
        return self

    def energies(self) -> tuple[tuple[Event, float], ...]:
        """The same energy in J for each event."""
        return tuple((event, self.cost().energy_J) for event in self.event)

    def cost(self) -> Cost:
        """Cost of one instance."""
        if self.rate_Hz is None:
            return Cost(self.area_m2, self.leakage_W, 0.0, leakage_W=self.leakage_W)
        if self.power_W is not None:
            energy_J, power_W = (self.power_W - self.leakage_W) / self.rate_Hz, self.power_W
        else:
            energy_J = self.energy_J or 0.0
            power_W = energy_J * self.rate_Hz + self.leakage_W
        return Cost(self.area_m2, power_W, energy_J, 1 / self.rate_Hz, self.leakage_W)
