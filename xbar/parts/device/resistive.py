"""A cell with a conductance range."""

from __future__ import annotations

from typing import final

from pydantic import model_validator

from xbar.parts.base import Device
from xbar.settings import problems
from xbar.units import Siemens


@final
class ResistiveDevice(Device):
    """A cell whose level L has the conductance g_min + L (g_max - g_min) / (2^cell_bits - 1), in S.

    g_min is the high-resistance state (HRS), g_max the low-resistance state (LRS). Published 1T1R devices,
    on-resistance and on/off ratio: Intel 22 nm 6 kOhm, 17; Winbond 90 nm 6 kOhm, 150; Tsinghua 130 nm 100 kOhm, 10.
    """

    g_min_S: Siemens
    g_max_S: Siemens

    @model_validator(mode="after")
    def _range(self) -> ResistiveDevice:
        if self.g_min_S >= self.g_max_S:
            rule = f"must be below g_max_S ({self.g_max_S:g} S)"
            raise problems("ResistiveDevice", [(("g_min_S",), rule, self.g_min_S)])
        return self

    @property
    def mean_conductance_S(self) -> float:
        """Average over equally likely levels: (g_min + g_max) / 2."""
        return (self.g_min_S + self.g_max_S) / 2
