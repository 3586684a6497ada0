"""Structures of weights that live or die together: each is a tiling of a layer's crossbar matrix [group, row, col].

A structure is the size of its tiles, rows x cols; the last tile of an axis may be smaller, as `mapping.partition` cuts.
Its name is one of `STRUCTURES`, for every method:

    filter           all rows x 1           an output: a column of the matrix
    channel          kernel x all columns   an input channel: the rows of its kernel positions
    shape_column     1 x all columns        the same row for all filters; a column of the weights as GEMM has them
    crossbar_row     1 x crossbar columns   a word line of one crossbar
    crossbar_column  crossbar rows x 1      a bit line of one crossbar
    crossbar_block   crossbar rows x crossbar columns
    unstructured     1 x 1                  every weight for itself

In a layer with groups a structure lies within one group: only the filters of a group share its channels and rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from mapping.partition import row_edges
from xbar.errors import TrainingError
from xbar.training.base import Treated

Tile = tuple[int, int]  # rows, cols
Crossbar = tuple[int, int]  # rows, weights per row (crossbar columns over the columns that one weight takes)

_OF_CROSSBARS = ("crossbar_row", "crossbar_column", "crossbar_block")
STRUCTURES = ("filter", "channel", "shape_column", *_OF_CROSSBARS, "unstructured")


def structure_problems(who: str, structures: Iterable[str], crossbar: Any) -> list[str]:
    """What is wrong with the structures that a method was given, and with the crossbar (rows, weights per row)."""
    structures = tuple(dict.fromkeys(structures))
    found = [
        f"{who}: structure: must be one of {', '.join(STRUCTURES)}, got {name!r}"
        for name in structures
        if name not in STRUCTURES
    ]
    needing = [name for name in structures if name in _OF_CROSSBARS]
    if crossbar is None and needing:
        found.append(f"{who}: {', '.join(needing)}: needs a crossbar's size; set crossbar=(rows, weights per row)")
    if crossbar is not None and not _is_crossbar(crossbar):
        found.append(f"{who}: crossbar: must be (rows, weights per row), whole numbers from 1, got {crossbar}")
    return found


def misfits(who: str, structures: Iterable[str], layers: Iterable[Treated]) -> list[str]:
    """Layers that do not have a structure: groups may share a crossbar, whose block is then of more than one."""
    if "crossbar_block" not in structures:
        return []
    return [
        f"{who}: layer {layer.name}: crossbar_block: must have crossbars for itself, got {layer.groups} groups that "
        "may share them; choose crossbar_row, crossbar_column, filter or channel"
        for layer in layers
        if layer.groups > 1
    ]


def tile_of(structure: str, layer: Treated, crossbar: Crossbar | None = None) -> Tile:
    """The tile of a structure in a layer, at most its matrix. TrainingError for what `structure_problems` tells."""
    problems = structure_problems("tile_of", [structure], crossbar)
    if problems:
        raise TrainingError(problems)
    _, n_rows, n_cols = layer.matrix().shape
    rows, cols = crossbar or (n_rows, n_cols)
    tile_rows, tile_cols = {
        "filter": (n_rows, 1),
        "channel": (math.prod(layer.parameter.shape[2:]), n_cols),
        "shape_column": (1, n_cols),
        "crossbar_row": (1, cols),
        "crossbar_column": (rows, 1),
        "crossbar_block": (rows, cols),
        "unstructured": (1, 1),
    }[structure]
    return min(tile_rows, n_rows), min(tile_cols, n_cols)


def cut(matrix: Tensor, tile: Tile) -> Tensor:
    """A matrix [group, row, col] as [group, row tile, row in it, col tile, col in it], filled up with zeros.

    Differentiable, and a view where whole tiles fit.
    """
    groups, n_rows, n_cols = matrix.shape
    (rows, cols), (high, wide) = tile, _n_tiles(matrix.shape, tile)
    if (high * rows, wide * cols) != (n_rows, n_cols):
        matrix = functional.pad(matrix.mT, (0, high * rows - n_rows, 0, wide * cols - n_cols)).mT
    return matrix.reshape(groups, high, rows, wide, cols)


def norms(matrix: Tensor, tile: Tile) -> Tensor:
    """||w||_2 of each tile, [group, row tile, col tile]; its gradient is w / ||w||, and 0 where ||w|| = 0."""
    return torch.linalg.vector_norm(cut(matrix, tile), dim=(2, 4))


def sum_of_norms(layer: Treated, tiles: Iterable[Tile]) -> Tensor:
    """sum_g ||w_g||_2 over all tiles g of a layer, a scalar; of several structures, if there are several sizes."""
    matrix = layer.matrix()
    return torch.cat([norms(matrix, tile).flatten() for tile in tiles]).sum()


def root_mean_squares(matrix: Tensor, tile: Tile) -> Tensor:
    """sqrt(mean w²) over the weights of each tile, [group, row tile, col tile]: one scale for tiles of every size."""
    _, n_rows, n_cols = matrix.shape
    rows, cols = (
        torch.tensor([end - start for start, end in pairwise(row_edges(n, size))])
        for n, size in ((n_rows, tile[0]), (n_cols, tile[1]))
    )
    n_weights = (rows[:, None] * cols).to(matrix)
    return norms(matrix, tile) / n_weights.sqrt()


def any_nonzero(matrix: Tensor, tile: Tile) -> Tensor:
    """Which tiles have a weight that is not zero, bool [group, row tile, col tile]; the norm of 1e-30 is 0."""
    return (cut(matrix.detach(), tile) != 0).any(4).any(2)


def spread(values: Tensor, tile: Tile, shape: tuple[int, ...]) -> Tensor:
    """Values of tiles [group, row tile, col tile] given to all their weights, in a matrix of `shape`."""
    _, n_rows, n_cols = shape
    tall = values.repeat_interleave(tile[0], 1)[:, :n_rows]
    return tall.repeat_interleave(tile[1], 2)[:, :, :n_cols]


def n_tiles(shape: tuple[int, ...], tile: Tile) -> int:
    """How many structures a matrix of this shape [group, row, col] has."""
    return shape[0] * math.prod(_n_tiles(shape, tile))


def n_in(share: float, n: int) -> int:
    """How many of n structures a share of them is: the largest whole number of at most share n."""
    return math.floor(share * n + 1e-9)  # 0.29 * 100 is 28.999999999999996


def largest_tiles(matrix: Tensor, tile: Tile, n: int) -> Tensor:
    """Mask of the n tiles with the largest norms, bool [group, row, col]; of equal ones the first.

    Times the matrix, it is the Euclidean projection onto the matrices with at most n non-zero tiles: the squared
    distance is the sum of squares of the tiles left out.
    """
    energies = cut(matrix.detach().double(), tile).square().sum((2, 4))
    order = torch.sort(energies.flatten(), descending=True, stable=True).indices
    kept = torch.zeros(energies.numel(), dtype=torch.bool, device=matrix.device)
    kept[order[:n]] = True
    return spread(kept.reshape(energies.shape), tile, matrix.shape)


def _n_tiles(shape: tuple[int, ...], tile: Tile) -> tuple[int, int]:
    _, n_rows, n_cols = shape
    return len(row_edges(n_rows, tile[0])) - 1, len(row_edges(n_cols, tile[1])) - 1


def _is_crossbar(crossbar: Any) -> bool:
    if not isinstance(crossbar, (tuple, list)) or len(crossbar) != 2:
        return False
    return all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in crossbar)
