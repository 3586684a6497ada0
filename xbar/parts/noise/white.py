"""Read noise without memory."""

from __future__ import annotations

from typing import Literal, final

import numpy as np
from pydantic import Field

from xbar.parts.base import Floats, ReadNoise, When


@final
class WhiteNoise(ReadNoise):
    """Every read of every cell gives g + sigma xi with a new normal xi: thermal and shot noise, and fast traps.

    sigma = sigma_rel g_max with relative_to: g_max, or sigma_rel g with relative_to: value.
    """

    sigma_rel: float = Field(ge=0, le=10)
    relative_to: Literal["g_max", "value"]

    def variance(self, g_rel: Floats, when: When) -> Floats:
        """Variance of one read of each cell, over g_max^2."""
        return self.sigma_rel**2 * (g_rel**2 if self.relative_to == "value" else np.ones_like(g_rel))
