"""Which part of a layer's input each replica needs.

The input vectors of one network input, in order (row by row over the output map), are split into r contiguous runs:
replica k of r computes vectors k * n // r to (k + 1) * n // r - 1. In a linear layer it needs those vectors. In a
convolution it needs the whole rows of the input map (along the first space axis, all channels) that the windows of its
output rows touch: its share and the halo around it. Padding is not sent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch.fx import Node

from xbar.aten import argument
from xbar.network import ConvShape, MatrixLayer


@dataclass(frozen=True)
class InputMap:
    """Rows of a layer's input for one network input: `n_maps` maps of `in_rows` rows of `row_bits` bits.

    Output row o of a map, `vectors_per_row` vectors, needs the input rows o * stride - padding + k * dilation for k in
    0 .. kernel - 1, as far as they exist. A linear layer has one map; each of its vectors is a row.
    """

    n_vectors: int
    n_maps: int
    in_rows: int
    out_rows: int
    vectors_per_row: int
    row_bits: int
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    dilation: int = 1

    def run(self, replica: int, n_replicas: int) -> tuple[int, int]:
        """The vectors of a replica: first, last + 1."""
        return replica * self.n_vectors // n_replicas, (replica + 1) * self.n_vectors // n_replicas

    def bits(self, first: int, end: int) -> int:
        """Bits of the rows that vectors first .. end - 1 need, each row once."""
        if first == end:
            return 0
        outputs = np.arange(first // self.vectors_per_row, (end - 1) // self.vectors_per_row + 1)
        image, output = np.divmod(outputs, self.out_rows)
        rows = output[:, None] * self.stride - self.padding + np.arange(self.kernel) * self.dilation
        exists = (rows >= 0) & (rows < self.in_rows)
        return len(np.unique((image[:, None] * self.in_rows + rows)[exists])) * self.row_bits


def input_map(layer: MatrixLayer, node: Node, input_bits: int, kept_rows: np.ndarray | None = None) -> InputMap:
    """The input of a matrix layer; `node` is its node in the exported graph, which knows the size of the map.

    kept_rows: rows of the layer's matrices that are on crossbars, None: all. Others are not sent; of a convolution,
    channels of which no row is kept.
    """
    if layer.conv is None:
        n = layer.vectors_per_input
        n_rows = layer.n_rows if kept_rows is None else len(kept_rows)
        return InputMap(n, 1, n, n, 1, n_rows * input_bits)
    space = [int(size) for size in argument(node, "input").meta["val"].shape[-len(layer.conv.kernel) :]]
    channels = layer.groups * layer.weight.shape[1]
    n_maps = layer.input_elements // (channels * int(np.prod(space)))
    if kept_rows is not None:
        channels = layer.groups * len(np.unique(kept_rows // int(np.prod(layer.conv.kernel))))
    return convolution_map(layer.conv, channels, space, n_maps, input_bits)


def convolution_map(conv: ConvShape, channels: int, space: list[int], n_maps: int, input_bits: int) -> InputMap:
    """The input of a convolution, of which one network input is `n_maps` maps [channel, *space]."""
    out_space = [
        (size + sum(padding) - dilation * (kernel - 1) - 1) // stride + 1
        for size, padding, dilation, kernel, stride in zip(
            space, conv.padding, conv.dilation, conv.kernel, conv.stride, strict=True
        )
    ]
    per_row = int(np.prod(out_space[1:]))
    return InputMap(
        n_vectors=n_maps * out_space[0] * per_row,
        n_maps=n_maps,
        in_rows=space[0],
        out_rows=out_space[0],
        vectors_per_row=per_row,
        row_bits=channels * int(np.prod(space[1:])) * input_bits,
        kernel=conv.kernel[0],
        stride=conv.stride[0],
        padding=conv.padding[0][0],
        dilation=conv.dilation[0],
    )
