"""A bus that joins all tiles."""

from __future__ import annotations

from typing import final

from xbar.parts.clocked_router import ClockedRouter
from xbar.parts.wiring import BusWiring


@final
class BusRouter(ClockedRouter):
    """One bus for all tiles of the chip, with its drivers and arbiter: at full activity it passes one flit per clock.

    It has no ports: tiles take turns on its `flit_bits` wires, and every bit pays for the whole length.
    """

    @property
    def flits_per_clock(self) -> int:
        """One, whoever sends it."""
        return 1

    def wiring(self, n_tiles: int) -> BusWiring:
        """One link that all tiles share."""
        return BusWiring(n_tiles)

    def needed(self, n_tiles: int) -> tuple[float, str]:
        """One."""
        return 1, "one bus joins all tiles"
