"""Prices as papers print them: energy per event, or power at full activity with the events per second that make it."""

from __future__ import annotations

from typing import Any

from xbar.events import Event
from xbar.parts.base import Cost


def as_events(value: Any) -> Any:
    """`event: bus_bits` as `event: [bus_bits]`."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def price(
    area_m2: float, rate_Hz: float, power_W: float | None, energy_J: float | None, leakage_W: float, latency_s: float
) -> Cost:
    """Cost of a part that handles rate_Hz events per second at full activity, by its power there or its energy.

    energy_J = (power_W - leakage_W) / rate_Hz, so power_W = energy_J * rate_Hz + leakage_W.
    """
    if power_W is not None:
        return Cost(area_m2, power_W, (power_W - leakage_W) / rate_Hz, latency_s, leakage_W)
    energy_J = energy_J or 0.0
    return Cost(area_m2, energy_J * rate_Hz + leakage_W, energy_J, latency_s, leakage_W)


def price_problems(
    power_W: float | None, energy_J: float | None, leakage_W: float, events: tuple[Event, ...]
) -> list[tuple[tuple[str | int, ...], str, Any]]:
    """What is wrong with the price of `events`, as `xbar.settings.problems` takes it."""
    found: list[tuple[tuple[str | int, ...], str, Any]] = []
    if (power_W is None) == (energy_J is None):
        rule = "give either power_W (at full activity) or energy_J (per event), not both and not neither"
        found.append((("power_W",), rule, power_W))
    if power_W is not None and leakage_W > power_W:
        found.append((("leakage_W",), "must not exceed power_W, which includes it", leakage_W))
    if len(set(events)) < len(events):
        found.append((("event",), "must list each event once", list(events)))
    return found
