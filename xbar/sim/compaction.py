"""Where vectors enter and sums leave the crossbars: rows and columns without a weight are not there."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xbar.program import LayerProgram, crossbars_by_rows
from xbar.sim.crossbar import Integers


def gather(layer: LayerProgram, x: Integers) -> Integers:
    """The inputs [vector, group, kept row] of a layer's vectors [vector, group, row], contiguous."""
    return np.ascontiguousarray(x) if layer.kept_rows is None else np.take(x, layer.kept_rows, axis=2)


def scatter(layer: LayerProgram, sums: Tensor) -> Tensor:
    """The outputs [vector, group, col] of a layer's sums [vector, group, kept col]; 0 in columns that are not kept."""
    if layer.kept_cols is None:
        return sums
    outputs = sums.new_zeros(*sums.shape[:2], layer.shape[1])
    outputs[:, :, torch.from_numpy(layer.kept_cols)] = sums
    return outputs


def active_rows(layer: LayerProgram, active: NDArray[np.int64]) -> int:
    """Word lines that carried a digit, in all crossbars; active: digits that are not zero [group, kept row]."""
    by_block = np.add.reduceat(active, layer.row_edges[:-1], axis=1)  # [group, row_block]
    return int((by_block.T * crossbars_by_rows(layer)).sum())
