"""The statistical law of published ADCs."""

from __future__ import annotations

import math
from typing import Self, final

from pydantic import field_validator

from xbar.parts.base import Cost, FiniteAdc
from xbar.parts.scale import Scale
from xbar.units import Hertz, Metre

LAW = "ADC survey law, Andrulis et al., arXiv 2404.06553"
_E_OF_NODE, _A_OF_NODE, _A_OF_E = 1.880037, 0.9932795, 0.2991243  # powers of the node and of the energy


@final
class SurveyAdc(FiniteAdc):
    """A typical published converter of `bits` effective bits at `rate_Hz` in the node `technology_m`.

    With ENOB b (>= 4), rate f in Hz, node t in nm, and natural logarithms:
        FOM  = min(213.7807 - 2.87190 ln f, 128.3068 + 3.22051 ceil(b)) dB
        SNDR = 20 log10(2) b + 10 log10(1.5) dB
        E    = 10^(-(FOM - SNDR) / 10) / 2 * exp(26.04962 + 1.880037 ln t - 2.829126 ln b - 1.470202) pJ
        A    = exp(1.346192 + 0.9932795 ln t + 0.1807154 ln f + 0.2991243 ln E) um2
    Source: Andrulis et al., arXiv 2404.06553, fitted to 215 parts. Pessimistic for small converters: it is flat below 6
    bits, and gives 6469 um2 where ISAAC's 8-bit part takes 1200 um2.
    """

    rate_Hz: Hertz
    technology_m: Metre
    source: str = LAW

    @field_validator("source")
    @classmethod
    def _names_the_law(cls, source: str) -> str:
        if not source.startswith(LAW):
            raise ValueError(f"must begin with '{LAW}', which gives all figures; leave it out")
        return source

    def cost(self, bits: int | None) -> Cost:
        """Cost at `bits` effective bits; one conversion per period of `rate_Hz`."""
        if bits is None or bits < 4:
            raise ValueError("must be 4 or more: the survey law is fitted for 4 effective bits and up")
        ln_f, ln_t = math.log(self.rate_Hz), math.log(self.technology_m * 1e9)
        fom_dB = min(213.7807 - 2.87190 * ln_f, 128.3068 + 3.22051 * math.ceil(bits))
        sndr_dB = 20 * math.log10(2) * bits + 10 * math.log10(1.5)
        scale = math.exp(26.04962 + _E_OF_NODE * ln_t - 2.829126 * math.log(bits) - 1.470202)
        energy_pJ = scale / (2 * 10 ** ((fom_dB - sndr_dB) / 10))
        area_um2 = math.exp(1.346192 + _A_OF_NODE * ln_t + 0.1807154 * ln_f + _A_OF_E * math.log(energy_pJ))
        energy_J = energy_pJ * 1e-12
        return Cost(area_um2 * 1e-12, energy_J * self.rate_Hz, energy_J, 1 / self.rate_Hz)

    def scaled(self, by: Scale) -> Self:
        """The converter that the law gives for a node that moved as `by` does; the law has its own factors."""
        at_m = by.to_m if self.technology_m == by.from_m else self.technology_m * by.to_m / by.from_m
        return self.changed(by.note, technology_m=at_m)


def node_factors(from_m: float, to_m: float) -> tuple[float, float]:
    """What the law multiplies energy and area with from node to node: the same at all bits and rates."""
    energy_rel = (to_m / from_m) ** _E_OF_NODE
    return energy_rel, (to_m / from_m) ** _A_OF_NODE * energy_rel**_A_OF_E
