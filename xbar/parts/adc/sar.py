"""A successive-approximation ADC scaled from one published converter."""

from __future__ import annotations

from typing import Self, final

from pydantic import Field, field_validator

from xbar.parts.base import Cost, FiniteAdc
from xbar.parts.scale import Scale
from xbar.settings import Settings
from xbar.units import BitWidth, Hertz, SquareMetre, Watt

_LAW = "other resolutions by power ~ 2^N/(N+1), time ~ N, energy = power x time"


@final
class SarReference(Settings):
    """The converter that was published: its resolution, its power and area, and conversions per second."""

    bits: BitWidth
    power_W: Watt = Field(gt=0)
    area_m2: SquareMetre
    rate_Hz: Hertz


@final
class SarAdc(FiniteAdc):
    """A SAR converter at `bits`, from a reference point:

        power(N) ~ 2^N / (N + 1)      time(N) ~ N      area(N) falls evenly to one half from 8 to 3 bits

    Source: Saberi et al., TCAS-I 2011, as used by Zhang et al., arXiv 1909.08496, who print a saving of 28.4x in
    "energy", 8x in time and 2x in area from 8 to 1 bit, and 14.2x, 2.67x, 2x from 8 to 3 bits. Their 28.4 is the
    ratio of 2^N / (N + 1), which is the *power*. The energy of a conversion, power * time, falls by both: 28.4 * 8 =
    228x. Reports pay that energy per conversion, and `source` names the law, so that they say so; `power_W` and
    `time_s` have the published ratios. Below 3 bits the area stays at one half; above 8 bits it doubles with each bit,
    as a binary capacitor array does (our assumption: the paper stops at 8).
    """

    reference: SarReference

    @field_validator("source")
    @classmethod
    def _names_the_law(cls, source: str) -> str:
        return source if _LAW in source else f"{source}; {_LAW}"

    def power_W(self, bits: int) -> float:
        """Power while converting at `bits`: that of the reference times the ratio of 2^N / (N + 1)."""

        def law(n: int) -> float:
            return 2.0**n / (n + 1)

        return self.reference.power_W * law(bits) / law(self.reference.bits)

    def time_s(self, bits: int) -> float:
        """Time of one conversion at `bits`: one comparison per bit."""
        return bits / (self.reference.bits * self.reference.rate_Hz)

    def area_m2(self, bits: int) -> float:
        """Area of a converter for `bits`."""
        return self.reference.area_m2 * _relative_area(bits) / _relative_area(self.reference.bits)

    def cost(self, bits: int | None) -> Cost:
        """Cost at `bits`: energy per conversion = power * time."""
        if bits is None:
            raise ValueError("must be a whole number from 1 to 16")
        power_W, time_s = self.power_W(bits), self.time_s(bits)
        return Cost(self.area_m2(bits), power_W, power_W * time_s, time_s)

    def scaled(self, by: Scale) -> Self:
        """The converter in another technology: its reference point is scaled, the law of other bits stays."""
        reference = self.reference.model_copy(
            update={
                "power_W": self.reference.power_W * by.energy_rel / by.time_rel,
                "area_m2": self.reference.area_m2 * by.area_rel,
                "rate_Hz": self.reference.rate_Hz / by.time_rel,
            }
        )
        return self.changed(by.note, reference=reference)


def _relative_area(bits: int) -> float:
    """Area relative to 8 bits."""
    if bits > 8:
        return 2.0 ** (bits - 8)
    return 0.5 + 0.1 * (max(bits, 3) - 3)
