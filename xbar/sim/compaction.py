"""Where vectors enter and sums leave the crossbars: rows and columns without a weight are not there."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from xbar.kernels.pulses import read_inputs
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


def active_rows(layer: LayerProgram, x: Integers, digits: int) -> int:
    """Word lines that carry a non-zero digit of x [vector, group, kept row], in all crossbars; digits: of all of x."""
    crossbars = crossbars_by_rows(layer)
    if (crossbars == crossbars[0, 0]).all():
        return digits * int(crossbars[0, 0])
    total = 0
    for here, first, last in zip(crossbars, layer.row_edges, layer.row_edges[1:], strict=False):
        for n in np.unique(here[here > 0]):
            part = np.ascontiguousarray(x[:, here == n, first:last])
            total += int(n) * read_inputs(part, layer.input_bits, layer.input_signed, layer.dac_bits)[1]
    return total
