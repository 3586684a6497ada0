"""How a layer's matrix is cut into crossbar-sized pieces, and what these share where they are placed.

Tables of numbers, however many pieces there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbar.same import same_fields

Ints = NDArray[np.int64]
_MOST = 8  # placements of a table that are kept


@dataclass(frozen=True, eq=False)
class PieceTable:
    """All int64 [piece], in the order in which pieces take crossbars; see `xbar.program.Block` for what they say.
    Pieces of the same outputs follow each other.

    A piece holds planes plane_first .. plane_end - 1 of the columns col_first .. col_end - 1 for one row block of each
    of the groups group_first .. group_end - 1; n_rows, n_cols: word lines and bit lines that it uses.
    """

    plane_first: Ints
    plane_end: Ints
    group_first: Ints
    group_end: Ints
    row_block: Ints
    col_first: Ints
    col_end: Ints
    n_rows: Ints
    n_cols: Ints

    def __post_init__(self) -> None:
        for f in fields(self):
            getattr(self, f.name).flags.writeable = False  # tables are shared

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)

    def __len__(self) -> int:
        return len(self.row_block)

    def __getitem__(self, chosen: slice | NDArray[np.bool_]) -> PieceTable:
        """Some of the pieces."""
        return PieceTable(**{f.name: getattr(self, f.name)[chosen] for f in fields(self)})

    @cached_property
    def n_outputs(self) -> Ints:
        """Outputs to whose sums a piece contributes."""
        return (self.group_end - self.group_first) * (self.col_end - self.col_first)

    @cached_property
    def output(self) -> Ints:
        """The same number for pieces of the same outputs (groups and columns), whatever their rows."""
        return self.group_first * (int(self.col_end.max(initial=0)) + 1) + self.col_first

    @cached_property
    def rows(self) -> Ints:
        """The same number for pieces with the same inputs (groups and row block)."""
        return self.group_first * (int(self.row_block.max(initial=0)) + 1) + self.row_block

    @cached_property
    def cells_used(self) -> int:
        """Cells that hold weights; those off the diagonal of a crossbar that groups share do not."""
        return int((self.n_rows * self.n_cols // (self.group_end - self.group_first)).sum())

    @cached_property
    def word_lines(self) -> int:
        """Word lines in use."""
        return int(self.n_rows.sum())

    @cached_property
    def _placements(self) -> dict[tuple[int, int, int], Placement]:
        return {}

    def placed(self, crossbars_per_core: int, cores_per_tile: int, first_core: int) -> Placement:
        """The pieces on crossbars that follow each other, from core `first_core` of a tile on.

        The last few are kept: copies, and points of a sweep, share them.
        """
        key = crossbars_per_core, cores_per_tile, first_core
        known = self._placements
        if key not in known:
            if len(known) == _MOST:
                del known[next(iter(known))]
            known[key] = Placement(self, *key)
        return known[key]


class Placement:
    """What the pieces of a layer share where they are; cores and tiles are counted from the layer's first of each.

    core, tile: int64 [piece], rising. core_tile: int64 [core], the tile of a core.
    """

    def __init__(self, pieces: PieceTable, crossbars_per_core: int, cores_per_tile: int, first_core: int) -> None:
        self.pieces = pieces
        self.core = np.arange(len(pieces)) // crossbars_per_core
        self.core_tile = (first_core + np.arange(self.core[-1] + 1)) // cores_per_tile
        self.tile = self.core_tile[self.core]

    @cached_property
    def columns(self) -> Ints:
        """int64 [plane, core]: used bit lines of each plane, up to the last one that a piece holds."""
        p, n_planes = self.pieces, int(self.pieces.plane_end.max())
        per_plane, size = p.n_cols // (p.plane_end - p.plane_first), len(self.core_tile) * (n_planes + 1)
        first, end = (plane * len(self.core_tile) + self.core for plane in (p.plane_first, p.plane_end))
        change = np.bincount(first, per_plane, size) - np.bincount(end, per_plane, size)
        return change.astype(np.int64).reshape(n_planes + 1, -1).cumsum(axis=0)[:n_planes]

    @cached_property
    def crossbars(self) -> Ints:
        """int64 [core]: crossbars in use."""
        return np.bincount(self.core)

    @cached_property
    def word_lines(self) -> Ints:
        """int64 [core]: word lines in use, of all crossbars."""
        return np.bincount(self.core, self.pieces.n_rows).astype(np.int64)

    @cached_property
    def tile_rows(self) -> Ints:
        """int64 [tile]: word lines whose inputs a tile needs, once each."""
        return _distinct_rows(self.pieces, self.tile)

    @cached_property
    def core_rows(self) -> Ints:
        """int64 [core]: word lines whose inputs a core needs, once each."""
        return _distinct_rows(self.pieces, self.core)

    @cached_property
    def core_sums(self) -> Ints:
        """int64 [core]: outputs for which a core has a sum."""
        first = changes(self.core) | changes(self.pieces.output)
        return np.bincount(self.core[first], self.pieces.n_outputs[first]).astype(np.int64)

    @cached_property
    def homes(self) -> dict[int, int]:
        """{tile: outputs that are put together there}, by rising tile: in the tile of their first piece."""
        first = changes(self.pieces.output)
        counts = np.bincount(self.tile[first], self.pieces.n_outputs[first])
        return {tile: int(n) for tile, n in enumerate(counts.tolist()) if n}

    @cached_property
    def moved_sums(self) -> dict[tuple[int, int], int]:
        """{(from, to): partial sums} that a vector moves to the tiles where outputs are put together."""
        if len(self.tile_rows) == 1:
            return {}
        first = changes(self.pieces.output)
        home = self.tile[first][first.cumsum() - 1]
        away = (changes(self.tile) | first) & (self.tile != home)
        moved: Counter[tuple[int, int]] = Counter()
        for *way, n in np.column_stack((self.tile, home, self.pieces.n_outputs))[away].tolist():
            moved[*way] += n
        return dict(sorted(moved.items()))


def _distinct_rows(pieces: PieceTable, place: Ints) -> Ints:
    """int64 [place]: word lines of pieces in each place, those with the same inputs once."""
    n_places, n_inputs = int(place[-1]) + 1, int(pieces.rows.max()) + 1
    which = place * n_inputs + pieces.rows
    if n_places * n_inputs > 8 * len(pieces) + 1024:
        first = np.unique(which, return_index=True)[1]
        return np.bincount(place[first], pieces.n_rows[first], n_places).astype(np.int64)
    needed = np.zeros(n_places * n_inputs, np.int64)  # a table of all pairs is faster than sorting, if it is small
    needed[which] = pieces.n_rows
    return needed.reshape(n_places, n_inputs).sum(axis=1)


def changes(key: Ints) -> NDArray[np.bool_]:
    """Whether each entry differs from the one before it; the first does."""
    return np.concatenate(([True], key[1:] != key[:-1]))


def table_of(pieces: Sequence[Any]) -> PieceTable:
    """Pieces or blocks (`mapping.partition.Piece`, `xbar.program.Block`) as a table."""
    rows = [(p.planes[0], p.planes[-1] + 1, *p.groups, p.row_block, *p.cols, p.n_rows, p.n_cols) for p in pieces]
    return PieceTable(*np.array(rows, np.int64).reshape(-1, 9).T)
