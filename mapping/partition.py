"""Cut a layer's planes into pieces that fit one crossbar each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from xbar.pieces import PieceTable


@dataclass(frozen=True)
class Piece:
    """What one crossbar holds (see `xbar.program.Block`), before it has a place."""

    planes: tuple[int, ...]
    groups: tuple[int, int]  # first, last + 1
    row_block: int
    cols: tuple[int, int]  # first, last + 1
    n_rows: int
    n_cols: int


def row_edges(n_rows: int, crossbar_rows: int) -> tuple[int, ...]:
    """Edges of the row blocks within a group: full crossbars first, the rest in the last block."""
    return (*range(0, n_rows, crossbar_rows), n_rows)


@lru_cache(maxsize=128)  # points of a sweep share layers and crossbars, and with them what their tables have counted
def piece_table(
    n_planes: int,
    groups: int,
    n_rows: int,
    n_cols: int,
    crossbar_rows: int,
    crossbar_cols: int,
    interleaved: bool,
    shared_rows: bool,
) -> PieceTable:
    """Pieces of a layer of `groups` matrices [n_rows, n_cols] with `n_planes` columns per weight.

    interleaved: all planes of a weight are neighbouring columns of one crossbar (ISAAC), so a crossbar holds
        crossbar_cols // n_planes weights per row. Otherwise each plane has crossbars of its own.
    shared_rows: the crossbar has a unit column, which sums every word line. Groups have different inputs, so they
        cannot share such a crossbar; otherwise as many groups as fit lie on the diagonal of one crossbar.

    Pieces of one output column follow each other (column block, then row block, then plane), so that the partial
    sums of an output meet in one tile where they can.
    """
    together = n_planes if interleaved else 1
    wide = crossbar_cols // together
    if wide == 0:
        raise ValueError(f"{together} columns per weight do not fit {crossbar_cols} columns")
    fits_whole = n_rows <= crossbar_rows and n_cols <= wide
    per_crossbar = min(crossbar_rows // n_rows, wide // n_cols) if fits_whole and not shared_rows else 1
    edges = np.array(row_edges(n_rows, crossbar_rows))
    shape = -(-groups // per_crossbar), -(-n_cols // wide), len(edges) - 1, n_planes // together
    group, col, row, plane = (axis.ravel() for axis in np.indices(shape, np.int64))
    group, col, plane = group * per_crossbar, col * wide, plane * together
    group_end, col_end = np.minimum(group + per_crossbar, groups), np.minimum(col + wide, n_cols)
    n_groups = group_end - group
    return PieceTable(
        plane_first=plane,
        plane_end=plane + together,
        group_first=group,
        group_end=group_end,
        row_block=row,
        col_first=col,
        col_end=col_end,
        n_rows=np.diff(edges)[row] * n_groups,
        n_cols=(col_end - col) * together * n_groups,
    )


def partition(
    n_planes: int,
    groups: int,
    n_rows: int,
    n_cols: int,
    crossbar_rows: int,
    crossbar_cols: int,
    interleaved: bool,
    shared_rows: bool,
) -> tuple[Piece, ...]:
    """The pieces of `piece_table` one by one."""
    t = piece_table(n_planes, groups, n_rows, n_cols, crossbar_rows, crossbar_cols, interleaved, shared_rows)
    columns = (t.plane_first, t.plane_end, t.group_first, t.group_end, t.row_block, t.col_first, t.col_end, t.n_rows)
    return tuple(
        Piece(tuple(range(p0, p1)), (g0, g1), row, (c0, c1), rows, cols)
        for p0, p1, g0, g1, row, c0, c1, rows, cols in zip(*(c.tolist() for c in (*columns, t.n_cols)), strict=True)
    )
