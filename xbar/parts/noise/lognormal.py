"""Programming error that is log-normal."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import numpy as np
from pydantic import Field

from xbar.parts.base import CellNoise, Cells, Floats, Stage, When


@final
class LognormalNoise(CellNoise):
    """ln g' = ln g + sigma_ln xi, xi normal: g is the median of g'; with preserves: mean, it is the mean instead.

    sigma_ln is the standard deviation of ln g; 0.1 is a spread of about 10 %. The mean is g exp(sigma_ln^2 / 2)
    (preserves: median) or g, the variance mean^2 (exp(sigma_ln^2) - 1). per: device draws once in a device's life,
    which is how the spread between devices is usually modelled; per: cycle at every programming.
    """

    stage: ClassVar[Stage] = "program"

    sigma_ln: float = Field(ge=0, le=5)
    preserves: Literal["median", "mean"] = "median"
    per: Literal["cycle", "device"] = "device"

    @property
    def per_device(self) -> bool:
        """Whether `per` is device."""
        return self.per == "device"

    def sample(self, cells: Cells, g_rel: Floats, when: When, rng: np.random.Generator) -> Floats:
        """New conductances over g_max, of the shape of `g_rel`."""
        return g_rel * np.exp(self._shift + self.sigma_ln * rng.standard_normal(g_rel.shape))

    def moments(self, cells: Cells, g_rel: Floats, when: When) -> tuple[Floats, Floats]:
        """Mean and variance of the log-normal."""
        mean = g_rel * np.exp(self._shift + self.sigma_ln**2 / 2)
        return mean, mean**2 * np.expm1(self.sigma_ln**2)

    @property
    def _shift(self) -> float:
        return -(self.sigma_ln**2) / 2 if self.preserves == "mean" else 0.0
