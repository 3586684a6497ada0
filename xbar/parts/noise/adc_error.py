"""Errors of ADCs."""

from __future__ import annotations

from typing import final

import numpy as np
from pydantic import Field

from xbar.parts.base import AdcNoise, Floats


@final
class AdcErrorNoise(AdcNoise):
    """Offset, gain, bow and noise of each converter: code = round(y + o + k y + 4 b u (1 - u) + n), u = y / full scale.

    y: the column sum in LSB. For each converter, once in its life, o ~ N(0, offset_sigma_lsb), k ~ N(0,
    gain_sigma_rel), b ~ N(0, inl_sigma_lsb): the bow is 0 at both ends of the range and b in its middle, the shape that
    is left of a smooth curve once offset and gain are taken out. n ~ N(0, noise_sigma_lsb) at every conversion. Mean y;
    variance offset^2 + (gain y)^2 + (4 inl u (1 - u))^2 + noise^2, before rounding and clipping.
    """

    offset_sigma_lsb: float = Field(0.0, ge=0, le=1e6)
    gain_sigma_rel: float = Field(0.0, ge=0, le=10)
    inl_sigma_lsb: float = Field(0.0, ge=0, le=1e6)
    noise_sigma_lsb: float = Field(0.0, ge=0, le=1e6)

    @property
    def sigma_lsb(self) -> float:
        """`noise_sigma_lsb`."""
        return self.noise_sigma_lsb

    def sample(self, full_scale_lsb: float, n: int, rng: np.random.Generator) -> Floats:
        """c_0, c_1, c_2 of `n` converters, float64 [n, 3]."""
        offset, gain, bow = rng.standard_normal((n, 3)).T * [
            [self.offset_sigma_lsb],
            [self.gain_sigma_rel],
            [self.inl_sigma_lsb],
        ]
        return np.stack([offset, 1 + gain + 4 * bow / full_scale_lsb, -4 * bow / full_scale_lsb**2], axis=1)

    def moments(self, y_lsb: Floats, full_scale_lsb: float) -> tuple[Floats, Floats]:
        """Mean and variance of a code before it is rounded, over converters and conversions."""
        u = y_lsb / full_scale_lsb
        bow = 4 * self.inl_sigma_lsb * u * (1 - u)
        fixed = self.offset_sigma_lsb**2 + (self.gain_sigma_rel * y_lsb) ** 2 + bow**2
        return y_lsb, fixed + self.noise_sigma_lsb**2
