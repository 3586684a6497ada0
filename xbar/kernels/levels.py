"""How many cells of a layer get each level, without the cells."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def _count(words, edges, slices, cell_bits, flipped, counts):  # type: ignore[no-untyped-def]
    top = (1 << cell_bits) - 1
    block = np.zeros((slices, top + 1), np.int64)
    for col in range(words.shape[0]):
        for b in range(len(edges) - 1):
            block[:] = 0
            for row in range(edges[b], edges[b + 1]):
                word = words[col, row]
                for s in range(slices):
                    block[s, word >> (s * cell_bits) & top] += 1
            for s in range(slices):
                total = 0
                for level in range(top + 1):
                    total += level * block[s, level]
                flip = flipped and 2 * total > (edges[b + 1] - edges[b]) * top
                for level in range(top + 1):
                    counts[top - level if flip else level] += block[s, level]


def add_levels(
    words: NDArray[np.int32],
    edges: NDArray[np.int64],
    slices: int,
    cell_bits: int,
    flipped: bool,
    counts: NDArray[np.int64],
) -> None:
    """Add how many cells get each level to `counts` [level], where words [col, row] from 0 up lie in bit slices.

    edges: of the row blocks. flipped: columns of a block and slice whose levels sum to more than half of the full range
    are stored inverted (see `mapping.encode`).
    """
    _count(words, edges, slices, cell_bits, flipped, counts)


def add_levels_plain(
    words: NDArray[np.int32],
    edges: NDArray[np.int64],
    slices: int,
    cell_bits: int,
    flipped: bool,
    counts: NDArray[np.int64],
) -> None:
    """`add_levels` in numpy."""
    top = (1 << cell_bits) - 1
    for first, last in pairwise(edges.tolist()):
        for s in range(slices):
            levels = words[:, first:last] >> (s * cell_bits) & top
            heavy = flipped & (2 * levels.sum(axis=1) > (last - first) * top)
            counts += np.bincount(np.where(heavy[:, None], top - levels, levels).ravel(), minlength=top + 1)
