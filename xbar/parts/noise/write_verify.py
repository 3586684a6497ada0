"""Programming that is repeated until the conductance is near enough."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, final

import numpy as np
from pydantic import Field

from xbar.parts.base import CellNoise, Cells, Floats, Stage, When
from xbar.parts.normal import rectified_pieces
from xbar.units import Count


@final
class WriteVerifyNoise(CellNoise):
    """g' = max(0, g + sigma x): a normal x is drawn anew until |sigma x| <= tolerance, max_writes times at most.

    sigma = sigma_rel (g_max - g_min) with relative_to: range, or sigma_rel g with relative_to: value; the tolerance
    likewise. A write succeeds with p = erf(tolerance / (sigma sqrt 2)); one that never did leaves the last draw. So x
    has the density phi(x) (1 - (1 - p)^n) / p within the tolerance and phi(x) (1 - p)^(n - 1) outside, n = max_writes;
    the samples are drawn from it, and mean and variance are its, cut at 0. The verifying read is taken as exact.
    """

    stage: ClassVar[Stage] = "program"

    sigma_rel: float = Field(ge=0, le=10)
    tolerance_rel: float = Field(gt=0)
    max_writes: Count
    relative_to: Literal["range", "value"]

    @property
    def per_device(self) -> bool:
        """Never: every programming is a new series of writes."""
        return False

    @property
    def mean_writes(self) -> float:
        """Expected number of writes of a cell: (1 - (1 - p)^n) / p."""
        success = math.erf(self._bound / math.sqrt(2))
        if success in (0.0, 1.0):
            return 1.0 if success else float(self.max_writes)
        return -math.expm1(self.max_writes * math.log1p(-success)) / success

    def sample(self, cells: Cells, g_rel: Floats, when: When, rng: np.random.Generator) -> Floats:
        """New conductances over g_max, of the shape of `g_rel`."""
        from scipy.special import erfcinv, erfinv

        luck, size, side = rng.random((3, *g_rel.shape))
        if self.sigma_rel == 0:
            return g_rel.copy()
        size = 1 - size  # above 0, where the tail would be infinite
        inside, outside = math.erf(self._bound / math.sqrt(2)), math.erfc(self._bound / math.sqrt(2))
        near = np.minimum(math.sqrt(2) * erfinv(size * inside), self._bound)
        far = math.sqrt(2) * erfcinv(size * outside) if outside else near
        x = np.where(luck < outside**self.max_writes, far, near) * np.where(side < 0.5, -1.0, 1.0)
        return np.maximum(g_rel + self._sigma(cells, g_rel) * x, 0.0)

    def moments(self, cells: Cells, g_rel: Floats, when: When) -> tuple[Floats, Floats]:
        """Mean and variance of the mixture of hits and misses, cut at 0."""
        if self.sigma_rel == 0:
            return g_rel, np.zeros_like(g_rel)
        missed = math.erfc(self._bound / math.sqrt(2)) ** (self.max_writes - 1)
        bound, hit = self._bound, self.mean_writes
        pieces = ((-np.inf, -bound, missed), (-bound, bound, hit), (bound, np.inf, missed))
        return rectified_pieces(g_rel, self._sigma(cells, g_rel), pieces)

    @property
    def _bound(self) -> float:
        """Tolerance over sigma."""
        return self.tolerance_rel / self.sigma_rel if self.sigma_rel else math.inf

    def _sigma(self, cells: Cells, g_rel: Floats) -> Floats:
        return self.sigma_rel * (g_rel if self.relative_to == "value" else np.full_like(g_rel, 1 - cells.low_rel))
