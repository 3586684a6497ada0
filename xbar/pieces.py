"""How a layer's matrix is cut into crossbar-sized pieces: a table of numbers, however many pieces there are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbar.same import same_fields

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class PieceTable:
    """All int64 [piece], in the order in which pieces take crossbars; see `xbar.program.Block` for what they say.

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

    def by_plane(self, values: Ints, n_planes: int) -> Iterator[Ints]:
        """For each plane the values of the pieces, 0 where a piece does not hold it."""
        if (self.plane_end - self.plane_first == n_planes).all():
            yield from repeat(values, n_planes)
            return
        for plane in range(n_planes):
            yield np.where((self.plane_first <= plane) & (plane < self.plane_end), values, 0)


def first_of(*keys: Ints) -> Ints:
    """Indices of the first entry of each distinct combination of keys, in rising order; keys are 0 or more."""
    combined, size = keys[0], int(keys[0].max(initial=0)) + 1
    for key in keys[1:]:
        values = int(key.max(initial=0)) + 1
        combined, size = combined * values + key, size * values
    if size > 8 * len(combined) + 1024:
        return np.sort(np.unique(combined, return_index=True)[1])
    first = np.full(size, -1)  # few combinations are possible: a table of all is faster than sorting
    first[combined[::-1]] = np.arange(len(combined))[::-1]
    return np.sort(first[first >= 0])


def table_of(pieces: Sequence[Any]) -> PieceTable:
    """Pieces or blocks (`mapping.partition.Piece`, `xbar.program.Block`) as a table."""
    rows = [(p.planes[0], p.planes[-1] + 1, *p.groups, p.row_block, *p.cols, p.n_rows, p.n_cols) for p in pieces]
    return PieceTable(*np.array(rows, np.int64).reshape(-1, 9).T)
