"""Leave out what holds no weight: rows and columns of zeros, and crossbars whose piece of the matrix is empty.

A row that is zero in every column of every group needs no word line, and a column of zeros no bit line: which are left
is known before the cells are programmed, so that hardware needs no index for them, only wiring. What the crossbars then
hold is cut into pieces, and a piece without a weight gets no crossbar. With offset encoding a weight of zero is a level
like any other, and a piece is empty where all its weights are zero: all its planes go, with their part of the offset.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mapping.encode import Encoded
from mapping.partition import Piece


@dataclass(frozen=True, eq=False)
class Compacted:
    """weights: [group, kept row, kept col]. rows, cols: which are kept, int64 rising, None: all. shape: before."""

    weights: np.ndarray
    rows: np.ndarray | None
    cols: np.ndarray | None
    shape: tuple[int, int]

    @property
    def full_shape(self) -> tuple[int, int] | None:
        """Rows and columns before, None where all are kept."""
        return None if self.rows is None and self.cols is None else self.shape


def compact(weights: np.ndarray) -> Compacted:
    """Drop rows and columns of [group, row, col] that are zero in every group; if all are, keep the first."""
    used = weights != 0
    rows, cols = _kept(used.any(axis=(0, 2))), _kept(used.any(axis=(0, 1)))
    shape = weights.shape[1], weights.shape[2]
    weights = weights if rows is None else weights[:, rows]
    return Compacted(np.ascontiguousarray(weights if cols is None else weights[:, :, cols]), rows, cols, shape)


def _kept(used: np.ndarray) -> np.ndarray | None:
    """Which are used, at least one; None where all are kept."""
    kept = np.flatnonzero(used).astype(np.int64) if used.any() else np.zeros(1, np.int64)
    return None if len(kept) == len(used) else kept


def drop_empty(
    pieces: tuple[Piece, ...], weights: np.ndarray, coded: Encoded, edges: tuple[int, ...]
) -> tuple[tuple[Piece, ...], Encoded]:
    """The pieces that hold a weight (a layer without any keeps its first), and the cells with the others at 0.

    A piece holds one if a cell of its planes is not 0, with offset encoding if one of its weights is not 0.
    """
    offset = coded.unit_coef is not None
    kept: list[Piece] = []
    empty: list[tuple[Piece, tuple[slice, slice, slice]]] = []
    for piece in pieces:
        window = (slice(*piece.groups), slice(edges[piece.row_block], edges[piece.row_block + 1]), slice(*piece.cols))
        held = weights[window].any() if offset else any(coded.cells[(plane, *window)].any() for plane in piece.planes)
        if held:
            kept.append(piece)
        else:
            empty.append((piece, window))
    if offset and empty:
        cells, unit = coded.cells.copy(), np.array(coded.unit_coef)
        for piece, window in empty:
            for plane in piece.planes:
                cells[(plane, *window)] = 0
            unit[piece.row_block, window[0], window[2]] = 0
        coded = replace(coded, cells=cells, unit_coef=unit)
    return tuple(kept) or pieces[:1], coded
