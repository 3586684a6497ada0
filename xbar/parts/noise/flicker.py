"""Read noise that grows with the time since programming, as 1/f noise does."""

from __future__ import annotations

import math
from typing import Annotated, Literal, final

from pydantic import BeforeValidator, Field

from xbar.parts.base import Floats, ReadNoise, When
from xbar.parts.curve import Spread
from xbar.units import Second, parse

Moment = Annotated[float, BeforeValidator(lambda value: parse(value, "s")), Field(ge=0)]


@final
class FlickerNoise(ReadNoise):
    """sigma(t) = g q(r) sqrt(ln((t + t_0 + t_read) / (2 t_read))), r = g / g_max, g as it is at the moment of reading.

    With relative_to: g_max, sigma is g_max q(r) times that root. It is noise of spectrum 1/f, integrated from the age
    of the cell to its read of t_read seconds. Every read is taken as independent. from_s: the law holds from this time
    on, and earlier moments are as at from_s; the logarithm is never taken as negative. Law: Nandakumar et al., ICECS
    2019 (phase-change memory).
    """

    q: Spread
    relative_to: Literal["value", "g_max"]
    t_read_s: Second
    t_0_s: Moment = 0.0
    from_s: Moment = 0.0

    def variance(self, g_rel: Floats, when: When) -> Floats:
        """Variance of one read of each cell, over g_max^2."""
        passed_s = max(when.time_s, self.from_s) + self.t_0_s
        log_time = max(math.log((passed_s + self.t_read_s) / (2 * self.t_read_s)), 0.0)
        sigma = self.q(g_rel) * g_rel if self.relative_to == "value" else self.q(g_rel)
        return sigma**2 * log_time
