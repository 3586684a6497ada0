"""Structures that pruning removes whole: each is a tiling of a layer's crossbar matrix [group, row, col].

A structure is a function from a layer (and the crossbar) to the size of its tiles, rows x cols; the last tile of an
axis may be smaller, as `mapping.partition.row_edges` cuts. Whatever the structure, what is removed is a set of tiles:

    filter           all rows x 1           an output: a column of the matrix
    channel          kernel x all columns   an input channel: the rows of its kernel positions
    shape_column     1 x all columns        the same row for all filters; a column of the weights as GEMM has them
    crossbar_row     1 x crossbar columns   a word line of one crossbar
    crossbar_column  crossbar rows x 1      a bit line of one crossbar
    crossbar_block   crossbar rows x crossbar columns
    unstructured     1 x 1                  every weight for itself
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from mapping.partition import row_edges
from xbar.training.base import Treated

Tile = tuple[int, int]  # rows, cols
Crossbar = tuple[int, int]  # rows, weights per row (crossbar columns over the columns that one weight takes)


def filter_tile(layer: Treated, crossbar: Crossbar | None) -> Tile:
    """A filter: all weights of one output."""
    return layer.matrix().shape[1], 1


def channel_tile(layer: Treated, crossbar: Crossbar | None) -> Tile:
    """A channel: all weights of one input channel of its group."""
    _, _, n_cols = layer.matrix().shape
    return math.prod(layer.parameter.shape[2:]), n_cols


def shape_column_tile(layer: Treated, crossbar: Crossbar | None) -> Tile:
    """A shape column: the same position of all filters. ValueError for groups, whose filters have different inputs."""
    if layer.groups > 1:
        raise ValueError(
            f"must have filters that share their inputs, got {layer.groups} groups; choose crossbar_row, filter or "
            "channel"
        )
    return 1, layer.matrix().shape[2]


def crossbar_row_tile(layer: Treated, crossbar: Crossbar | None) -> Tile:
    """A word line of one crossbar."""
    return 1, _known(crossbar)[1]


def crossbar_column_tile(layer: Treated, crossbar: Crossbar | None) -> Tile:
    """A bit line of one crossbar."""
    return _known(crossbar)[0], 1


def crossbar_block_tile(layer: Treated, crossbar: Crossbar | None) -> Tile:
    """All that one crossbar holds. ValueError for groups, of which several may share a crossbar."""
    if layer.groups > 1:
        raise ValueError(
            f"must have crossbars for itself, got {layer.groups} groups that may share them; choose crossbar_row, "
            "crossbar_column, filter or channel"
        )
    return _known(crossbar)


def unstructured_tile(layer: Treated, crossbar: Crossbar | None) -> Tile:
    """One weight."""
    return 1, 1


STRUCTURES: dict[str, Callable[[Treated, Crossbar | None], Tile]] = {
    "filter": filter_tile,
    "channel": channel_tile,
    "shape_column": shape_column_tile,
    "crossbar_row": crossbar_row_tile,
    "crossbar_column": crossbar_column_tile,
    "crossbar_block": crossbar_block_tile,
    "unstructured": unstructured_tile,
}


def tile_energies(matrix: Tensor, tile: Tile) -> Tensor:
    """Sum of squares of each tile, float64 [group, row_tile, col_tile]."""
    group, n_rows, n_cols = matrix.shape
    rows, cols = tile
    high, wide = len(row_edges(n_rows, rows)) - 1, len(row_edges(n_cols, cols)) - 1
    squares = matrix.detach().double().square()
    padded = functional.pad(squares, (0, wide * cols - n_cols, 0, high * rows - n_rows))
    return padded.reshape(group, high, rows, wide, cols).sum((2, 4))


def n_tiles(shape: tuple[int, ...], tile: Tile) -> int:
    """How many structures a matrix of this shape [group, row, col] has."""
    group, n_rows, n_cols = shape
    return group * math.ceil(n_rows / tile[0]) * math.ceil(n_cols / tile[1])


def n_kept(keep: float, n: int) -> int:
    """How many of n structures a keep ratio leaves: the largest whole number of at most keep n."""
    return math.floor(keep * n + 1e-9)  # 0.29 * 100 is 28.999999999999996


def largest_tiles(matrix: Tensor, tile: Tile, n: int) -> Tensor:
    """Mask of the n tiles with the largest norms, bool [group, row, col]; of equal ones the first.

    Times the matrix, it is the Euclidean projection onto the matrices with at most n non-zero tiles: the squared
    distance is the sum of squares of the tiles left out.
    """
    energies = tile_energies(matrix, tile)
    order = torch.sort(energies.flatten(), descending=True, stable=True).indices
    kept = torch.zeros(energies.numel(), dtype=torch.bool, device=matrix.device)
    kept[order[:n]] = True
    _, n_rows, n_cols = matrix.shape
    tall = kept.reshape(energies.shape).repeat_interleave(tile[0], 1)[:, :n_rows]
    return tall.repeat_interleave(tile[1], 2)[:, :, :n_cols]


def _known(crossbar: Crossbar | None) -> Crossbar:
    if crossbar is None:
        raise ValueError("needs the size of a crossbar; set crossbar=(rows, weights per row)")
    return crossbar
