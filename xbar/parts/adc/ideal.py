"""No ADC limit: every sum passes, free of charge."""

from __future__ import annotations

from typing import Literal, Self, final

from xbar.parts.base import Adc, Cost
from xbar.parts.scale import Scale


@final
class IdealAdc(Adc):
    """A converter with unlimited resolution that costs nothing: for the accuracy without an ADC, never for prices."""

    mode: Literal["ideal"] = "ideal"
    full_scale: None = None
    percentile: None = None
    source: str = "none: an ideal converter has no price"

    def bits_of_slices(self, n_slices: int) -> None:
        """None: unlimited."""
        return None

    def cost(self, bits: int | None) -> Cost:
        """Nothing."""
        return Cost(0.0, 0.0, 0.0)

    def scaled(self, by: Scale) -> Self:
        """Itself: nothing to scale."""
        return self
