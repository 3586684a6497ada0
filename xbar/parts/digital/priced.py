"""A component with a published price."""

from __future__ import annotations

from typing import Annotated, Any, Self, final

from pydantic import BeforeValidator, model_validator

from xbar.events import Event
from xbar.parts.base import Component, Cost
from xbar.parts.price import as_events, price, price_problems
from xbar.parts.scale import Scale
from xbar.settings import problems
from xbar.units import Hertz, Joule, SquareMetre, Watt


@final
class PricedComponent(Component):
    """A component whose area and power or energy a paper prints, and the events that it works on.

    Either `energy_J` per event, or `power_W` at full activity (leakage included) with `rate_Hz`, the events per
    second of one instance at full activity: energy = (power_W - leakage_W) / rate_Hz. With `energy_J`, `rate_Hz` is
    needed too, for the power at full activity: energy_J * rate_Hz + leakage_W. A component without `event` has
    `leakage_W` only. `event` may list several events; each costs the same energy.
    """

    area_m2: SquareMetre
    event: Annotated[tuple[Event, ...], BeforeValidator(as_events)] = ()
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
            found += price_problems(self.power_W, self.energy_J, self.leakage_W, self.event)
            if self.rate_Hz is None:
                rule = "is needed with event: events per second of one instance at full activity"
                found.append((("rate_Hz",), rule, None))
        if found:
            raise problems("PricedComponent", found)
        return self

    def energies(self) -> tuple[tuple[Event, float], ...]:
        """The same energy in J for each event."""
        return tuple((event, self.cost().energy_J) for event in self.event)

    def events_per_s(self, event: Event) -> float:
        """`rate_Hz`, where it answers the event."""
        return self.rate_Hz if self.rate_Hz is not None and event in self.event else 0.0

    def cost(self) -> Cost:
        """Cost of one instance."""
        if self.rate_Hz is None:
            return Cost(self.area_m2, self.leakage_W, 0.0, leakage_W=self.leakage_W)
        return price(self.area_m2, self.rate_Hz, self.power_W, self.energy_J, self.leakage_W, 1 / self.rate_Hz)

    def scaled(self, by: Scale) -> Self:
        """The component in another technology."""
        return self.changed(
            by.note,
            area_m2=self.area_m2 * by.area_rel,
            power_W=None if self.power_W is None else by.power_W(self.power_W, self.leakage_W),
            energy_J=None if self.energy_J is None else self.energy_J * by.energy_rel,
            rate_Hz=None if self.rate_Hz is None else self.rate_Hz / by.time_rel,
            leakage_W=self.leakage_W * by.leakage_rel,
        )
