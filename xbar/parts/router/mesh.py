"""A mesh router priced by the bits that cross it."""

from __future__ import annotations

from typing import final

from xbar.parts.clocked_router import ClockedRouter
from xbar.parts.wiring import MeshWiring
from xbar.units import Count


@final
class MeshRouter(ClockedRouter):
    """A router of a square mesh; at full activity every port passes one flit per clock.

    ports: to neighbours and tiles together. concentration: tiles that share a router. Between neighbours there is one
    link in each direction; bits go along x, then along y. ISAAC's router (32-bit flits, 8 ports, 42 mW, 0.151 mm2,
    shared by 4 tiles; Shafiee et al., ISCA 2016, table 1) is given so.
    """

    ports: Count
    concentration: Count = 1

    @property
    def flits_per_clock(self) -> int:
        """One for each port."""
        return self.ports

    def wiring(self, n_tiles: int) -> MeshWiring:
        """A square mesh with `concentration` tiles at each router."""
        return MeshWiring(n_tiles, self.concentration)

    def needed(self, n_tiles: int) -> tuple[float, str]:
        """Tiles over concentration."""
        n = self.concentration
        shared = "every tile has a router of its own" if n == 1 else f"{n} tiles share a router"
        return n_tiles / n, f"{shared} (concentration: {n})"
