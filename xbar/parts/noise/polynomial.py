"""Programming error whose size depends on the conductance, and on the time since programming."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any, ClassVar, final

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from xbar.parts.base import CellNoise, Cells, Floats, Stage, When
from xbar.parts.normal import rectified
from xbar.settings import Settings, problems
from xbar.units import Second, Siemens, parse, si

Coefficient = Annotated[float, BeforeValidator(lambda value: parse(value, "S"))]


@final
class MeasuredPolynomial(Settings):
    """Standard deviation sum_i coefficients_S[i] r^i in S, measured `time_s` after programming."""

    coefficients_S: tuple[Coefficient, ...] = Field(min_length=1)
    time_s: Second | None = None


@final
class PolynomialNoise(CellNoise):
    """g' = max(0, g + sigma(r, t) xi), sigma(r) = sum_i c_i r^i, r = g / g_max, xi normal.

    measured: the polynomial, in S, of a device whose largest conductance is g_max_S; it scales with the g_max of the
    chip. Several, each with its `time_s` after programming, say how errors grow: sigma is interpolated in the
    logarithm of time and held before the first and after the last, and a cell keeps its xi as time goes on. r is held
    between 0 and 1, where it was measured. Mean and variance are those of the rectified normal. Such laws: Nandakumar
    et al., ICECS 2019 (phase-change memory); Wan et al., Nature 2022 (ReRAM).
    """

    stage: ClassVar[Stage] = "program"

    g_max_S: Siemens
    measured: tuple[MeasuredPolynomial, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _sensible(self) -> PolynomialNoise:
        found: list[tuple[tuple[str | int, ...], str, Any]] = []
        times = [m.time_s for m in self.measured]
        if len(times) > 1 and None in times:
            found.append((("measured", times.index(None), "time_s"), "is needed where there are several", None))
        elif len(times) == 1 and times != [None]:
            found.append((("measured", 0, "time_s"), "has no effect where there is only one; remove it", times[0]))
        elif any((a or 0) >= (b or 0) for a, b in pairwise(times)):
            found.append((("measured",), "must rise in time_s from one to the next", times))
        r = np.linspace(0, 1, 1001)
        for i, m in enumerate(self.measured):
            sigma = self._polynomial(m, r)
            for worst, wrong in ((sigma.argmin(), sigma.min() < 0), (sigma.argmax(), sigma.max() > 10)):
                if wrong:
                    rule = "must give a sigma between 0 and 10 g_max_S for all r from 0 to 1"
                    value = f"it is {si(sigma[worst] * self.g_max_S, 'S')} at r = {r[worst]:g}"
                    found.append((("measured", i, "coefficients_S"), f"{rule}; {value}", list(m.coefficients_S)))
        if found:
            raise problems("PolynomialNoise", found)
        return self

    @property
    def per_device(self) -> bool:
        """Never: every programming has its own error."""
        return False

    def sample(self, cells: Cells, g_rel: Floats, when: When, rng: np.random.Generator) -> Floats:
        """New conductances over g_max, of the shape of `g_rel`."""
        return np.maximum(g_rel + self.sigma(g_rel, when) * rng.standard_normal(g_rel.shape), 0.0)

    def moments(self, cells: Cells, g_rel: Floats, when: When) -> tuple[Floats, Floats]:
        """Mean and variance of the rectified normal."""
        return rectified(g_rel, self.sigma(g_rel, when))

    def sigma(self, g_rel: Floats, when: When) -> Floats:
        """Standard deviation over g_max before values end at 0."""
        r = np.clip(g_rel, 0.0, 1.0)
        times = [m.time_s for m in self.measured]
        later = sum(1 for t in times if t is not None and t <= when.time_s)
        first, last = self.measured[max(later - 1, 0)], self.measured[min(later, len(times) - 1)]
        before = self._polynomial(first, r)
        if first is last or first.time_s is None or last.time_s is None:
            return np.maximum(before, 0.0)
        share = math.log(when.time_s / first.time_s) / math.log(last.time_s / first.time_s)
        return np.maximum(before + share * (self._polynomial(last, r) - before), 0.0)

    def _polynomial(self, measured: MeasuredPolynomial, r: Floats) -> Floats:
        relative = np.array(measured.coefficients_S) / self.g_max_S
        return np.asarray(np.polynomial.polynomial.polyval(r, relative), np.float64)
