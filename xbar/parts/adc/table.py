"""An ADC from published points, and nothing between them."""

from __future__ import annotations

from typing import Self, final

from pydantic import Field, model_validator

from xbar.parts.base import Cost, FiniteAdc
from xbar.parts.scale import Scale
from xbar.settings import Settings, problems
from xbar.units import BitWidth, Joule, Second, SquareMetre


@final
class AdcPoint(Settings):
    """One published resolution: energy and time of a conversion, and area."""

    bits: BitWidth
    energy_J: Joule
    area_m2: SquareMetre
    time_s: Second

    def scaled(self, by: Scale) -> Self:
        """The point in another technology."""
        cost = {"energy_J": self.energy_J * by.energy_rel, "area_m2": self.area_m2 * by.area_rel}
        return self.model_copy(update={**cost, "time_s": self.time_s * by.time_rel})


@final
class TableAdc(FiniteAdc):
    """A converter known at some resolutions; any other is an error, because nothing was published for it."""

    points: tuple[AdcPoint, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_once(self) -> TableAdc:
        bits = [point.bits for point in self.points]
        if len(set(bits)) < len(bits):
            raise problems("TableAdc", [(("points",), "must list each resolution once", bits)])
        return self

    def cost(self, bits: int | None) -> Cost:
        """The point with that resolution: energy and latency per conversion, power while it converts."""
        for point in self.points:
            if point.bits == bits:
                return Cost(point.area_m2, point.energy_J / point.time_s, point.energy_J, point.time_s)
        known = ", ".join(str(point.bits) for point in self.points)
        raise ValueError(f"must be one of the published points ({known}); kind: sar or survey covers other resolutions")

    def scaled(self, by: Scale) -> Self:
        """The converter in another technology: every published point is scaled."""
        return self.changed(by.note, points=tuple(point.scaled(by) for point in self.points))
