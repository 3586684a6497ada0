"""A cell by its number of levels alone."""

from __future__ import annotations

from typing import final

import numpy as np

from xbar.parts.base import Device, Floats


@final
class LevelsDevice(Device):
    """A cell of 2^cell_bits levels without physics, for chips whose papers price the array as a whole."""

    @property
    def mean_conductance_S(self) -> None:
        """None: there is no conductance to average."""
        return None

    @property
    def range_S(self) -> None:
        """None: there are no conductances."""
        return None

    def levels_rel(self) -> Floats:
        """Evenly from 0 to 1: a device with an infinite on/off ratio."""
        return np.linspace(0, 1, 1 << self.cell_bits)

    @property
    def curvature_V(self) -> None:
        """None: straight."""
        return None
