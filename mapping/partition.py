"""Cut a layer's planes into pieces that fit one crossbar each."""

from __future__ import annotations

from dataclasses import dataclass


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
    """Pieces of a layer of `groups` matrices [n_rows, n_cols] with `n_planes` columns per weight.

    interleaved: all planes of a weight are neighbouring columns of one crossbar (ISAAC), so a crossbar holds
        crossbar_cols // n_planes weights per row. Otherwise each plane has crossbars of its own.
    shared_rows: the crossbar has a unit column, which sums every word line. Groups have different inputs, so they
        cannot share such a crossbar; otherwise as many groups as fit lie on the diagonal of one crossbar.

    Pieces of one output column follow each other (column block, then row block, then plane), so that the partial
    sums of an output meet in one tile where they can.
    """
    together = tuple(range(n_planes))
    plane_sets = (together,) if interleaved else tuple((p,) for p in together)
    cols_per_weight = len(plane_sets[0])
    wide = crossbar_cols // cols_per_weight
    if wide == 0:
        raise ValueError(f"{cols_per_weight} columns per weight do not fit {crossbar_cols} columns")
    fits_whole = n_rows <= crossbar_rows and n_cols <= wide
    per_crossbar = min(crossbar_rows // n_rows, wide // n_cols) if fits_whole and not shared_rows else 1
    edges = row_edges(n_rows, crossbar_rows)
    pieces: list[Piece] = []
    for g in range(0, groups, per_crossbar):
        g_end = min(g + per_crossbar, groups)
        for c in range(0, n_cols, wide):
            c_end = min(c + wide, n_cols)
            for block in range(len(edges) - 1):
                rows_used = (edges[block + 1] - edges[block]) * (g_end - g)
                cols_used = (c_end - c) * cols_per_weight * (g_end - g)
                pieces.extend(
                    Piece(planes, (g, g_end), block, (c, c_end), rows_used, cols_used) for planes in plane_sets
                )
    return tuple(pieces)
