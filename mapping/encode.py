"""From integer weights to the levels of cells: bit slices, polarities, the offset and ISAAC's flipped columns.

A *plane* is one bit slice of one polarity. Every encoding satisfies, for each row block with inputs x,

    sum_r x_r w_rc = sum_plane 2^(cell_bits * slice) * sign * sum_r x_r cell_rc  +  unit_coef * sum_r x_r

(Shafiee et al., ISCA 2016, section 5 for the offset and the flipped columns.)
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

Encoding = Literal["differential", "offset", "ternary"]


@dataclass(frozen=True, eq=False)
class Encoded:
    """Cells of a layer and how to add their columns up; axes as in `xbar.program.LayerProgram`.

    cells: uint8 [plane, group, row, col]; plane_slice: [plane]; plane_sign: int8 [plane, row_block, group, col];
    unit_coef: int64 [row_block, group, col] or None without a unit column.
    """

    cells: np.ndarray
    plane_slice: tuple[int, ...]
    plane_sign: np.ndarray
    unit_coef: np.ndarray | None


def encode(
    weights: np.ndarray,
    row_edges: tuple[int, ...],
    kind: Encoding,
    weight_bits: int,
    cell_bits: int,
    slices: int,
    flipped: bool,
) -> Encoded:
    """Levels of the cells for integer `weights` [group, row, col] with |w| < 2^(weight_bits - 1), in `slices` slices.

    differential and ternary (weight_bits 2): planes 0 .. S-1 hold the slices of max(w, 0), the rest those of
    max(-w, 0).
    offset: the planes hold the slices of w + 2^(weight_bits - 1), and unit_coef takes the offset away again; with
    `flipped`, a column whose levels sum to more than half of the full range stores (2^cell_bits - 1) - level instead.
    """
    if kind == "offset":
        words = [weights + (1 << (weight_bits - 1))]
    else:
        words = [np.maximum(weights, 0), np.maximum(-weights, 0)]
    cells = np.empty((len(words) * slices, *weights.shape), dtype=np.uint8)
    top_level = (1 << cell_bits) - 1
    for polarity, word in enumerate(words):
        for s in range(slices):
            np.bitwise_and(word >> (cell_bits * s), top_level, out=cells[polarity * slices + s], casting="unsafe")

    group, _, col = weights.shape
    blocks = len(row_edges) - 1
    sign = np.ones((len(cells), blocks, group, col), dtype=np.int8)
    plane_slice = tuple(range(slices)) * len(words)
    if kind != "offset":
        sign[slices:] = -1
        return Encoded(cells, plane_slice, sign, None)
    unit = np.full((blocks, group, col), -(1 << (weight_bits - 1)), dtype=np.int64)
    if flipped:
        _flip(cells, sign, unit, row_edges, cell_bits)
    return Encoded(cells, plane_slice, sign, unit)


def _flip(cells: np.ndarray, sign: np.ndarray, unit: np.ndarray, row_edges: tuple[int, ...], cell_bits: int) -> None:
    """Flip heavy columns in place: sum x level = (2^cell_bits - 1) sum x - sum x (2^cell_bits - 1 - level)."""
    top_level = (1 << cell_bits) - 1
    for s, plane in enumerate(cells):
        for b, (first, last) in enumerate(pairwise(row_edges)):
            block = plane[:, first:last, :]
            heavy = 2 * block.sum(axis=1, dtype=np.int64) > (last - first) * top_level  # [group, col]
            np.copyto(block, top_level - block, where=heavy[:, None, :])
            sign[s, b][heavy] = -1
            unit[b][heavy] += top_level << (cell_bits * s)
