"""The states that a device can be programmed to."""

from __future__ import annotations

import numpy as np

from xbar.parts.base import Floats


def nearest(wanted: Floats, states: Floats) -> Floats:
    """For each wanted conductance the nearest state; `states` in rising order, the lower of two equally near."""
    right = np.clip(np.searchsorted(states, wanted), 1, len(states) - 1)
    left_closer = wanted - states[right - 1] <= states[right] - wanted
    return np.where(left_closer, states[right - 1], states[right])
