"""A cell by its number of levels alone."""

from __future__ import annotations

from typing import final

from xbar.parts.base import Device


@final
class LevelsDevice(Device):
    """A cell of 2^cell_bits levels without physics, for chips whose papers price the array as a whole."""

    @property
    def mean_conductance_S(self) -> None:
        """None: there is no conductance to average."""
        return None
