"""A curve of the conductance, as device papers fit them: a polynomial, a logarithm or a power, clipped, in pieces."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, final

import numpy as np
from pydantic import AfterValidator, Field, model_validator

from xbar.parts.base import Floats
from xbar.settings import Settings, problems

_SMALLEST = float(np.finfo(np.float64).tiny)


@final
class Curve(Settings):
    """y(r) = clip(sum_i polynomial_i r^i + ln log_e(r) + factor r^exponent, low, high) for r < below; there on, `then`.

    r = g / g_max. Such laws are measured from 0 to g_max, so that r is held at 0 and 1 beyond. A number stands for a
    constant curve. What would be infinite at r = 0 needs the bound (`low` or `high`) that the published law has there.
    """

    polynomial: tuple[float, ...] = ()
    ln: float = 0.0
    factor: float = 0.0
    exponent: float = 0.0
    low: float | None = None
    high: float | None = None
    below: Annotated[float, Field(gt=0, lt=1)] | None = None
    then: Curve | None = None

    @model_validator(mode="before")
    @classmethod
    def _constant(cls, data: Any) -> Any:
        if isinstance(data, (Mapping, Curve)):
            return data
        if isinstance(data, bool) or not isinstance(data, (int, float)):
            raise ValueError("must be a number or a section with polynomial, ln, factor and exponent, low, high")
        return {"polynomial": (data,)}

    @model_validator(mode="after")
    def _finite(self) -> Curve:
        found: list[tuple[tuple[str | int, ...], str, Any]] = []
        if not self.polynomial and self.ln == 0 and self.factor == 0:
            found.append((("polynomial",), "is needed where there is no ln and no factor; [0] is no effect", None))
        if (self.factor == 0) != (self.exponent == 0):
            found.append((("exponent",), "needs factor, and factor needs exponent: factor r^exponent", self.exponent))
        if (self.below is None) != (self.then is None):
            found.append((("below",), "needs `then`, the curve from there on, and the other way round", self.below))
        if self.low is not None and self.high is not None and self.low > self.high:
            found.append((("low",), f"must not be above high ({self.high:g})", self.low))
        upward = self.ln < 0 or (self.exponent < 0 < self.factor)
        downward = self.ln > 0 or (self.exponent < 0 and self.factor < 0)
        if upward and self.high is None:
            found.append((("high",), "is needed: the curve is infinite at r = 0", None))
        if downward and self.low is None:
            found.append((("low",), "is needed: the curve is minus infinity at r = 0", None))
        if found:
            raise problems("Curve", found)
        return self

    def __call__(self, g_rel: Floats) -> Floats:
        """The curve at r = g_rel, float64 of its shape; always finite."""
        r = np.clip(g_rel, 0.0, 1.0)
        y = self._piece(r)
        curve = self
        while curve.below is not None and curve.then is not None:
            y = np.where(r < curve.below, y, curve.then._piece(r))
            curve = curve.then
        return y

    def _piece(self, r: Floats) -> Floats:
        y: Floats = np.asarray(np.polynomial.polynomial.polyval(r, self.polynomial or (0.0,)), np.float64)
        positive = np.maximum(r, _SMALLEST)
        if self.ln:
            y = y + self.ln * np.log(positive)
        if self.factor:
            y = y + self.factor * np.exp(np.minimum(self.exponent * np.log(positive), math.log(1e300)))
        return np.clip(y, self.low, self.high) if (self.low, self.high) != (None, None) else y


def _between(low: float, high: float) -> AfterValidator:
    """Asks that a curve stays between two bounds; far outside, a number has the wrong unit."""

    def check(curve: Curve) -> Curve:
        r = np.linspace(0, 1, 1001)
        y = curve(r)
        for worst, wrong in ((y.argmin(), y.min() < low), (y.argmax(), y.max() > high)):
            if wrong:
                rule = f"must be between {low:g} and {high:g} for all r from 0 to 1"
                raise ValueError(f"{rule}; it is {y[worst]:.3g} at r = {r[worst]:g}")
        return curve

    return AfterValidator(check)


Exponent = Annotated[Curve, _between(-10.0, 10.0)]
"""A curve of exponents."""
Spread = Annotated[Curve, _between(0.0, 10.0)]
"""A curve of standard deviations, relative to what they are added to."""
