"""Errors of word line drivers."""

from __future__ import annotations

from typing import final

import numpy as np
from pydantic import Field

from xbar.parts.base import DacNoise, Floats


@final
class DacErrorNoise(DacNoise):
    """voltage = digit (1 + k + n) for a driver's k ~ N(0, gain_sigma_rel), fixed for life, and a new n at every pulse.

    n ~ N(0, noise_sigma_rel). A digit of 0 sends no voltage, so that it has no error. Mean 1 and variance
    gain^2 + noise^2 over the nominal voltage.
    """

    gain_sigma_rel: float = Field(0.0, ge=0, le=10)
    noise_sigma_rel: float = Field(0.0, ge=0, le=10)

    @property
    def sigma_rel(self) -> float:
        """`noise_sigma_rel`."""
        return self.noise_sigma_rel

    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Gains of `n` drivers, float64 [n]."""
        return 1 + self.gain_sigma_rel * rng.standard_normal(n)

    def moments(self) -> tuple[float, float]:
        """Mean and variance of a pulse's voltage over its nominal one."""
        return 1.0, self.gain_sigma_rel**2 + self.noise_sigma_rel**2
