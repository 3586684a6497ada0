"""A cell with a conductance range."""

from __future__ import annotations

from typing import Annotated, Literal, final

import numpy as np
from pydantic import Field, model_validator

from xbar.parts.base import Device, Floats
from xbar.parts.states import nearest
from xbar.settings import problems
from xbar.units import Siemens, Volt


@final
class ResistiveDevice(Device):
    """A cell between g_min, the high-resistance state (HRS), and g_max, the low-resistance state (LRS), in S.

    n_states: how many conductances it can be programmed to, evenly spaced in conductance or in resistance (`spacing`);
    None: any. sinh_V: curvature of its I-V law I = g sinh_V sinh(V / sinh_V); None: straight. Published 1T1R devices,
    on-resistance and on/off ratio: Intel 22 nm 6 kOhm, 17; Winbond 90 nm 6 kOhm, 150; Tsinghua 130 nm 100 kOhm, 10.
    """

    g_min_S: Siemens
    g_max_S: Siemens
    n_states: Annotated[int, Field(strict=True, ge=2, le=65536)] | None = None
    spacing: Literal["conductance", "resistance"] | None = None
    sinh_V: Volt | None = None

    @model_validator(mode="after")
    def _range(self) -> ResistiveDevice:
        found: list[tuple[tuple[str | int, ...], str, object]] = []
        if self.g_min_S >= self.g_max_S:
            found.append((("g_min_S",), f"must be below g_max_S ({self.g_max_S:g} S)", self.g_min_S))
        if self.spacing is not None and self.n_states is None:
            found.append((("spacing",), "has no effect without n_states; remove it, or set n_states", self.spacing))
        if self.n_states is not None and self.spacing is None:
            found.append((("spacing",), "is needed with n_states; choose conductance or resistance", None))
        if found:
            raise problems("ResistiveDevice", found)
        return self

    @property
    def mean_conductance_S(self) -> float:
        """Average over equally likely levels, as they are programmed."""
        return float(self.levels_rel().mean()) * self.g_max_S

    @property
    def range_S(self) -> tuple[float, float]:
        """g_min and g_max."""
        return self.g_min_S, self.g_max_S

    def levels_rel(self) -> Floats:
        """For each level, evenly spaced from g_min to g_max, the state nearest to it."""
        low = self.g_min_S / self.g_max_S
        wanted = np.linspace(low, 1, 1 << self.cell_bits)
        if self.n_states is None:
            return wanted
        if self.spacing == "conductance":
            return nearest(wanted, np.linspace(low, 1, self.n_states))
        return nearest(wanted, 1 / np.linspace(1 / low, 1, self.n_states))

    @property
    def curvature_V(self) -> float | None:
        """`sinh_V`."""
        return self.sinh_V
