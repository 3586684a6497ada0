from __future__ import annotations

import numpy as np

from mapping.unroll import unroll
from xbar.network import ConvShape, MatrixLayer, QuantizedLayer


def test_grouped_convolution_unrolls_to_one_matrix_per_group():
    """4 outputs in 2 groups, 1 channel per group, kernel 1 x 3: column j of group g is weight[2 g + j]."""
    weight = np.arange(12).reshape(4, 1, 1, 3)
    conv = ConvShape((1, 3), (1, 1), ((0, 0), (0, 0)), (1, 1))
    layer = MatrixLayer("c", "c", weight.astype(np.float32), None, conv, 2, (), 1, 6)
    q = QuantizedLayer(layer, weight.astype(np.int32), np.ones(1), 8, 1.0, 8, False)
    matrix = unroll(q)
    assert matrix.shape == (2, 3, 2)
    np.testing.assert_array_equal(matrix[1], [[6, 9], [7, 10], [8, 11]])
