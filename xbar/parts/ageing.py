"""Time in a warmer place: how long the cell would have taken at the temperature of the measurement."""

from __future__ import annotations

import math

from xbar.parts.base import When

BOLTZMANN_EV = 8.617333262e-5  # per K, CODATA 2018
_LONGEST_S = 1e18  # older than the universe; keeps laws finite


def aged_s(when: When, activation_eV: float, reference_K: float) -> float:
    """Seconds at `reference_K` that age a cell as much as `when` does: t exp(E_a / k (1 / T_ref - 1 / T)) (Arrhenius).

    At most 1e18 s, so that no law overflows.
    """
    if when.time_s <= 0:
        return 0.0
    speed = activation_eV / BOLTZMANN_EV * (1 / reference_K - 1 / when.temperature_K)
    return math.exp(min(math.log(when.time_s) + speed, math.log(_LONGEST_S)))
