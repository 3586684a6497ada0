"""A cell whose states were measured."""

from __future__ import annotations

from typing import Annotated, final

import numpy as np
from pydantic import Field, model_validator

from xbar.parts.base import Device, Floats
from xbar.parts.states import nearest
from xbar.settings import problems
from xbar.units import Siemens, Volt


@final
class MeasuredDevice(Device):
    """A cell that can be programmed to the conductances `states_S`, in rising order, and to no other.

    sinh_V: curvature of its I-V law I = g sinh_V sinh(V / sinh_V); None: straight.
    """

    states_S: Annotated[tuple[Siemens, ...], Field(min_length=2)]
    sinh_V: Volt | None = None

    @model_validator(mode="after")
    def _rising(self) -> MeasuredDevice:
        if any(a >= b for a, b in zip(self.states_S, self.states_S[1:], strict=False)):
            raise problems("MeasuredDevice", [(("states_S",), "must rise from HRS to LRS", list(self.states_S))])
        return self

    @property
    def mean_conductance_S(self) -> float:
        """Average over equally likely levels, as they are programmed."""
        return float(self.levels_rel().mean()) * self.states_S[-1]

    @property
    def range_S(self) -> tuple[float, float]:
        """The lowest and the highest state."""
        return self.states_S[0], self.states_S[-1]

    def levels_rel(self) -> Floats:
        """For each level, evenly spaced from the lowest state to the highest, the state nearest to it."""
        states = np.array(self.states_S) / self.states_S[-1]
        return nearest(np.linspace(states[0], 1, 1 << self.cell_bits), states)

    @property
    def curvature_V(self) -> float | None:
        """`sinh_V`."""
        return self.sinh_V
