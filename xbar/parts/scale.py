"""What a part is multiplied with when it moves to another technology."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """The move of a part from the node from_m to the node to_m.

    area_rel, energy_rel (of an event), time_rel (of an event) and leakage_rel: new value over old.
    note: what was done, in words; the `source` of what moved ends with it.
    """

    from_m: float
    to_m: float
    area_rel: float
    energy_rel: float
    time_rel: float
    leakage_rel: float
    note: str

    def power_W(self, power_W: float, leakage_W: float) -> float:
        """The new power at full activity, of which `leakage_W` was leakage: events cost and follow each other anew."""
        return (power_W - leakage_W) * self.energy_rel / self.time_rel + leakage_W * self.leakage_rel
