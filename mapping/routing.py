"""What a program asks of the chip's wiring: crossbars, cells, and the wires that lead to them.

Wires are counted as Group Scissor does (Wang et al., DAC 2017, arXiv 1702.03443): the weight matrix is cut into blocks
of one crossbar's size, with all planes of a weight together, and each row and each column of a block is a wire of its
own. A wire whose weights in the block are all zero is deleted. Routing area grows with the square of the wires:

    routing area of a layer = (remaining wires / all wires)^2,    of a network = mean over its matrices

(those larger than one block: the others need no routing between crossbars, and the paper leaves them alone).
Blocks are those of the whole matrix, without `mapping.compact`, so that figures compare with published ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from mapping.partition import row_edges
from xbar.hardware import Chip
from xbar.outline import outline
from xbar.program import LayerProgram, Program
from xbar.traffic import Links, connections


@dataclass(frozen=True)
class LayerRouting:
    """One layer, one copy of it. crossbars: occupied; cells: word lines x bit lines used in them, without unit columns.

    weights: rows x columns of its matrices, those without a weight left out. blocks: of the whole matrices, all groups.
    wires: that lead to a non-zero weight, of all_wires. wire_length_m: of the distinct connections between tiles that
    its inputs (to every copy) and partial sums (in every copy) take: the links between them (`Wiring.length`).
    """

    name: str
    crossbars: int
    cells: int
    weights: int
    blocks: int
    wires: int
    all_wires: int
    wire_length_m: float

    @property
    def wires_rel(self) -> float:
        """Remaining wires over those without deletion."""
        return self.wires / self.all_wires

    @property
    def area_rel(self) -> float:
        """Routing area over that without deletion."""
        return self.wires_rel**2

    def __str__(self) -> str:
        return _line(self.name, self, self.area_rel)


@dataclass(frozen=True)
class Routing:
    """What `routing` finds. tile_pitch_m: side of a square tile; 0 where the chip's parts have no area."""

    layers: tuple[LayerRouting, ...]
    tile_pitch_m: float

    @property
    def crossbars(self) -> int:
        return sum(layer.crossbars for layer in self.layers)

    @property
    def cells(self) -> int:
        return sum(layer.cells for layer in self.layers)

    @property
    def weights(self) -> int:
        return sum(layer.weights for layer in self.layers)

    @property
    def wires(self) -> int:
        return sum(layer.wires for layer in self.layers)

    @property
    def all_wires(self) -> int:
        return sum(layer.all_wires for layer in self.layers)

    @property
    def wire_length_m(self) -> float:
        """Of all layers; a connection that two of them use counts for both."""
        return sum(layer.wire_length_m for layer in self.layers)

    @property
    def area_rel(self) -> float:
        """Routing area over that without deletion, mean over the matrices larger than one block; of all, if none is."""
        large = [layer for layer in self.layers if layer.blocks > 1] or self.layers
        return float(np.mean([layer.area_rel for layer in large]))

    def __str__(self) -> str:
        names = ("layer", "crossbars", "cells", "weights", "wires", "of", "area", "length")
        lines = [f"{names[0]:<20}" + "".join(f"{name:>{w}}" for name, w in zip(names[1:], _WIDTHS, strict=True))]
        lines += [str(layer) for layer in self.layers] + [_line("total", self, self.area_rel)]
        if self.tile_pitch_m == 0:
            lines.append("lengths are 0, since no part of a tile has an area")
        return "\n".join(lines)


_WIDTHS = (10, 12, 12, 10, 10, 9, 12)


def _line(name: str, figures: LayerRouting | Routing, area_rel: float) -> str:
    counts = (figures.crossbars, figures.cells, figures.weights, figures.wires, figures.all_wires)
    texts = [*(f"{n:,}" for n in counts), f"{area_rel:.2%}", f"{1e3 * figures.wire_length_m:.4g} mm"]
    return f"{name:<20}" + "".join(f"{text:>{w}}" for text, w in zip(texts, _WIDTHS, strict=True))


def routing(program: Program) -> Routing:
    """Crossbars, cells, wires and their lengths, by layer and in all; see the module."""
    pitch_m = sqrt(program.chip.total("tile").area_m2)
    sketch, links = outline(program), Links(program.chip, program.n_chips)
    found = []
    for i, layer in enumerate(program.layers):
        wires, all_wires, blocks = _wires(layer, program.chip)
        pitches = sum(links.length(*pair) for pair in connections(sketch, i))
        found.append(
            LayerRouting(
                name=layer.name,
                crossbars=len(layer.blocks),
                cells=sum(b.n_rows * b.n_cols for b in layer.blocks),
                weights=layer.cells[0].size,
                blocks=blocks,
                wires=wires,
                all_wires=all_wires,
                wire_length_m=pitches * pitch_m,
            )
        )
    return Routing(tuple(found), pitch_m)


def _wires(layer: LayerProgram, chip: Chip) -> tuple[int, int, int]:
    """Wires that lead to a weight, all wires, and blocks of the whole matrices of a layer."""
    n_rows, n_cols = layer.shape
    wide = chip.crossbar.cols // (chip.n_planes if chip.encoding.layout == "interleaved" else 1)
    rows, cols = row_edges(n_rows, chip.crossbar.rows), row_edges(n_cols, wide)
    used = _used(layer)
    by_row = np.logical_or.reduceat(used, cols[:-1], axis=2)  # [group, row, column block]
    by_col = np.logical_or.reduceat(used, rows[:-1], axis=1)  # [group, row block, col]
    return int(by_row.sum() + by_col.sum()), by_row.size + by_col.size, layer.groups * (len(rows) - 1) * (len(cols) - 1)


def _used(layer: LayerProgram) -> NDArray[np.bool_]:
    """Weights that are not zero, [group, row, col] of the whole matrices, from the cells."""
    kept = np.zeros((layer.groups, *layer.cells.shape[2:]), bool)
    for block, (first, last) in enumerate(pairwise(layer.row_edges)):
        weights = np.zeros(kept[:, first:last].shape, np.int64)
        for plane, s in enumerate(layer.plane_slice):
            factor = layer.plane_sign[plane, block].astype(np.int64) << (layer.cell_bits * s)  # [group, col]
            weights += layer.cells[plane, :, first:last] * factor[:, None, :]
        if layer.unit_coef is not None:
            weights += layer.unit_coef[block][:, None, :]
        kept[:, first:last] = weights != 0
    full = np.zeros((layer.groups, *layer.shape), bool)
    rows = np.arange(layer.shape[0]) if layer.kept_rows is None else layer.kept_rows
    cols = np.arange(layer.shape[1]) if layer.kept_cols is None else layer.kept_cols
    full[:, rows[:, None], cols] = kept
    return full
