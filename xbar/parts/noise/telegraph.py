"""Random telegraph noise so slow that a cell keeps its state during a run."""

from __future__ import annotations

from typing import ClassVar, final

import numpy as np
from pydantic import Field

from xbar.parts.base import CellNoise, Cells, Floats, Stage, When


@final
class TelegraphNoise(CellNoise):
    """A trap is full with `probability`, and its cell then conducts less: g' = g (1 - amplitude_rel), else g' = g.

    Every cell has one trap, independent of all others, frozen at the moment of reading. Mean
    g (1 - amplitude_rel p), variance (g amplitude_rel)^2 p (1 - p). Traps that switch within a read belong to kind:
    white. Two-level fluctuations of ReRAM: Ielmini, Nardi, Cagli, Appl. Phys. Lett. 96, 053503 (2010).
    """

    stage: ClassVar[Stage] = "state"

    amplitude_rel: float = Field(ge=0, le=1)
    probability: float = Field(ge=0, le=1)

    @property
    def per_device(self) -> bool:
        """Never: a trap is full now and empty the next time."""
        return False

    def sample(self, cells: Cells, g_rel: Floats, when: When, rng: np.random.Generator) -> Floats:
        """Conductances over g_max, of the shape of `g_rel`."""
        full = rng.random(g_rel.shape) < self.probability
        return np.where(full, g_rel * (1 - self.amplitude_rel), g_rel)

    def moments(self, cells: Cells, g_rel: Floats, when: When) -> tuple[Floats, Floats]:
        """Mean and variance of the two states."""
        drop = g_rel * self.amplitude_rel
        return g_rel - drop * self.probability, drop**2 * self.probability * (1 - self.probability)
