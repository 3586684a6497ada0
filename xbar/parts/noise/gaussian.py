"""Programming error of one size."""

from __future__ import annotations

from typing import ClassVar, Literal, final

import numpy as np
from pydantic import Field

from xbar.parts.base import CellNoise, Cells, Floats, Stage, When
from xbar.parts.normal import rectified


@final
class GaussianNoise(CellNoise):
    """g' = max(0, g + sigma xi), xi normal: the usual null model of programming errors.

    sigma = sigma_rel (g_max - g_min) with relative_to: range, or sigma_rel g with relative_to: value.
    per: cycle is a new error at every programming, per: device one that a device has for life. Mean and variance are
    those of the rectified normal.
    """

    stage: ClassVar[Stage] = "program"

    sigma_rel: float = Field(ge=0, le=10)
    relative_to: Literal["range", "value"]
    per: Literal["cycle", "device"] = "cycle"

    @property
    def per_device(self) -> bool:
        """Whether `per` is device."""
        return self.per == "device"

    def sample(self, cells: Cells, g_rel: Floats, when: When, rng: np.random.Generator) -> Floats:
        """New conductances over g_max, of the shape of `g_rel`."""
        return np.maximum(g_rel + self._sigma(cells, g_rel) * rng.standard_normal(g_rel.shape), 0.0)

    def moments(self, cells: Cells, g_rel: Floats, when: When) -> tuple[Floats, Floats]:
        """Mean and variance of the rectified normal."""
        return rectified(g_rel, self._sigma(cells, g_rel))

    def _sigma(self, cells: Cells, g_rel: Floats) -> Floats:
        return self.sigma_rel * (g_rel if self.relative_to == "value" else np.full_like(g_rel, 1 - cells.low_rel))
