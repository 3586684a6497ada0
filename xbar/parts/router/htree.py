"""An inner node of an H-tree."""

from __future__ import annotations

from typing import final

from xbar.parts.clocked_router import ClockedRouter
from xbar.parts.wiring import TreeWiring
from xbar.units import Count


@final
class HTreeRouter(ClockedRouter):
    """A node of an H-tree with the tiles as leaves: at full activity every port passes a flit per clock.

    ports: to the parent and to up to four children, so 5 of a full node; a port is a link up and a link down. All links
    have the same width, near the root as well. The tree of n tiles has ceil(n/4) + ceil(n/16) + ... nodes.
    """

    ports: Count

    @property
    def flits_per_clock(self) -> int:
        """One for each port."""
        return self.ports

    def wiring(self, n_tiles: int) -> TreeWiring:
        """A tree of four children per node."""
        return TreeWiring(n_tiles)

    def needed(self, n_tiles: int) -> tuple[float, str]:
        """The inner nodes; one for a single tile."""
        return max(1, TreeWiring(n_tiles).n_routers), "that many inner nodes join the tiles"
