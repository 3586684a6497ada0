"""Cells that cannot be programmed."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from pydantic import Field, model_validator

from xbar.parts.base import CellNoise, Cells, Floats, Stage, When
from xbar.settings import problems


@final
class StuckNoise(CellNoise):
    """Each device is stuck at HRS (g_min) with probability hrs_rate and at LRS (g_max) with lrs_rate, for life.

    Independent of each other, so that the rates hold in expectation; they override everything that happened before.
    With the same random numbers a higher rate keeps the faults of a lower one. Fault model: Chen et al., IEEE Trans.
    Comput. 64, 180 (2015).
    """

    stage: ClassVar[Stage] = "fault"

    hrs_rate: float = Field(ge=0, le=1)
    lrs_rate: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _probabilities(self) -> StuckNoise:
        total = self.hrs_rate + self.lrs_rate
        if total > 1:
            rule = f"must not exceed 1 together with lrs_rate ({self.lrs_rate:g}); the sum is {total:g}"
            raise problems("StuckNoise", [(("hrs_rate",), rule, self.hrs_rate)])
        return self

    @property
    def per_device(self) -> bool:
        """Always: a fault lasts."""
        return True

    def sample(self, cells: Cells, g_rel: Floats, when: When, rng: np.random.Generator) -> Floats:
        """Conductances over g_max, of the shape of `g_rel`."""
        luck = rng.random(g_rel.shape)
        return np.where(luck < self.hrs_rate, cells.low_rel, np.where(1 - luck <= self.lrs_rate, 1.0, g_rel))

    def moments(self, cells: Cells, g_rel: Floats, when: When) -> tuple[Floats, Floats]:
        """Mean and variance of the three outcomes."""
        rates = (self.hrs_rate, self.lrs_rate, max(0.0, 1 - self.hrs_rate - self.lrs_rate))
        outcomes = (np.full_like(g_rel, cells.low_rel), np.ones_like(g_rel), g_rel)
        mean = sum((p * g for p, g in zip(rates, outcomes, strict=True)), np.zeros_like(g_rel))
        spread = (p * (g - mean) ** 2 for p, g in zip(rates, outcomes, strict=True))
        return mean, sum(spread, np.zeros_like(g_rel))
