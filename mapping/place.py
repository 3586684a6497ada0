"""Give every piece a crossbar, a core and a tile.

Crossbars are filled in order. Every layer, and every replica of a layer, starts in a fresh core, so that no core serves
two layers: its ADCs and registers belong to one layer's pipeline stage. Tiles may be shared by layers. Replicas of
a layer follow each other. Where a tile lies is up to the chip's wiring (xbar/parts/wiring.py).
"""

from __future__ import annotations

from mapping.partition import Piece
from xbar.program import Block


def cores_needed(n_crossbars: int, crossbars_per_core: int) -> int:
    """Cores that one replica of a layer occupies."""
    return -(-n_crossbars // crossbars_per_core)


def place(
    pieces: tuple[Piece, ...], first_core: int, n_replicas: int, crossbars_per_core: int, cores_per_tile: int
) -> tuple[tuple[Block, ...], tuple[tuple[int, ...], ...]]:
    """Blocks of replica 0, which starts at core `first_core` of the chip, and the tiles of each further replica."""
    blocks = []
    for i, piece in enumerate(pieces):
        core, crossbar = divmod(i, crossbars_per_core)
        tile, core_in_tile = divmod(first_core + core, cores_per_tile)
        blocks.append(Block(**vars(piece), tile=tile, core=core_in_tile, crossbar=crossbar))
    cores = cores_needed(len(pieces), crossbars_per_core)
    replica_tiles = []
    for r in range(1, n_replicas):
        first = first_core + r * cores
        replica_tiles.append(tuple(range(first // cores_per_tile, (first + cores - 1) // cores_per_tile + 1)))
    return tuple(blocks), tuple(replica_tiles)
