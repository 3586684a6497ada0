"""Products of integers in floating point that are exact whatever the order of their sums."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_MIN_ROWS = 64  # fewer rows a product than this, and float64 is faster


@dataclass(frozen=True, eq=False)
class ExactProduct:
    """x [vector, group, row] times integer weights [group, row, col], exactly.

    float32 holds integers below 2^24: the rows are cut so that no partial sum of a cut can be larger, given the actual
    weights; where that would cut too finely, or where torch may use fewer bits for float32 products
    (`torch.set_float32_matmul_precision`), the product runs in float64.
    """

    weights: tuple[Tensor, ...]
    row_edges: tuple[int, ...]
    is_zero: bool

    @classmethod
    def of(cls, weights: NDArray[np.int64], largest_input: int) -> ExactProduct:
        """For inputs of magnitude up to `largest_input`."""
        is_zero = not weights.any()
        edges = _cut_rows(np.abs(weights), (2**24 - 1) // largest_input)
        if edges is None or torch.get_float32_matmul_precision() != "highest":
            return cls((torch.from_numpy(weights.astype(np.float64)),), (0, weights.shape[1]), is_zero)
        single = torch.from_numpy(weights.astype(np.float32))
        cuts = tuple(single[:, a:b].contiguous() for a, b in pairwise(edges))
        return cls(cuts, edges, is_zero)

    def __call__(self, x: Tensor) -> Tensor:
        """[vector, group, col] for float32 x of whole numbers; float32 where one product holds all, else float64."""
        if self.is_zero:
            return torch.zeros(len(x), self.weights[0].shape[0], self.weights[0].shape[2], dtype=torch.float64)
        cuts = zip(self.weights, self.row_edges, self.row_edges[1:], strict=False)
        first, *others = (_product(x[:, :, start:end], weight) for weight, start, end in cuts)
        if not others:
            return first
        total = first.double()
        for other in others:
            total += other
        return total


def _product(x: Tensor, weight: Tensor) -> Tensor:
    if weight.shape[0] == 1:
        return (x[:, 0].to(weight.dtype) @ weight[0]).unsqueeze(1)
    return torch.bmm(x.to(weight.dtype).transpose(0, 1), weight).transpose(0, 1)


def _cut_rows(magnitudes: NDArray[np.int64], largest_sum: int) -> tuple[int, ...] | None:
    """Edges of the fewest runs of rows whose column sums stay within `largest_sum`; None where runs are too short."""
    sums = np.cumsum(magnitudes, axis=1)
    n_rows, edges = magnitudes.shape[1], [0]
    while edges[-1] < n_rows:
        before = sums[:, edges[-1] - 1 : edges[-1]] if edges[-1] else 0
        within = (sums[:, edges[-1] :] - before <= largest_sum).all(axis=(0, 2))
        run = n_rows - edges[-1] if within.all() else int(np.argmin(within))
        edges.append(edges[-1] + run)
        if run < min(n_rows, _MIN_ROWS) and edges[-1] < n_rows:
            return None
    return tuple(edges)
