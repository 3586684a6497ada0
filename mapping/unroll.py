"""Unroll a layer's integer weights into the matrices that crossbars hold."""

from __future__ import annotations

import numpy as np

from xbar.network import QuantizedLayer


def unroll(layer: QuantizedLayer) -> np.ndarray:
    """Integer weight matrices of a layer, int32 [group, row, col].

    Column j of group g is output g * col + j; its rows are the fan-in in the order (channel, kernel axes) in which
    the input vectors arrive (im2col; a linear layer is one group with its inputs as rows).
    """
    shape = layer.layer
    weights = layer.weight_q.reshape(shape.groups, shape.n_cols, shape.n_rows)
    return np.ascontiguousarray(weights.transpose(0, 2, 1), dtype=np.int32)
