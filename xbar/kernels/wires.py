"""Resistances of the lines of a crossbar."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Wires(NamedTuple):
    """Resistances in Ohm: one segment of a word line and of a bit line (above 0), driver and sense amplifier (or 0).

    two_sided: word lines are driven from both ends, through the same driver and segment.
    """

    word_Ohm: float
    bit_Ohm: float
    driver_Ohm: float
    sense_Ohm: float
    two_sided: bool

    def paths_Ohm(self, shape: tuple[int, ...]) -> tuple[Floats, Floats, float]:
        """Resistances before each column and below each row, and from the far end to its driver (0 where open)."""
        word_Ohm, bit_Ohm = np.full(shape[-1], float(self.word_Ohm)), np.full(shape[-2], float(self.bit_Ohm))
        word_Ohm[0] += self.driver_Ohm
        bit_Ohm[-1] += self.sense_Ohm
        return word_Ohm, bit_Ohm, float(self.driver_Ohm + self.word_Ohm) if self.two_sided else 0.0

    def scaled(self, factor: float) -> Wires:
        """All resistances times `factor`."""
        word_Ohm, bit_Ohm, driver_Ohm, sense_Ohm, two_sided = self
        return Wires(factor * word_Ohm, factor * bit_Ohm, factor * driver_Ohm, factor * sense_Ohm, two_sided)
