"""What the cells of a network hold, from all of its weights, a few columns at a time: no cell is made."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mapping.partition import row_edges
from xbar.hardware import Chip
from xbar.kernels.levels import add_levels
from xbar.network import MatrixLayer, Network
from xbar.outline import Outline
from xbar.quantization.network import integer_columns

_AT_ONCE = 1 << 20  # weights


def weighed(
    outline: Outline,
    network: Network,
    progress: Callable[[str], None] = lambda name: None,
    known: dict[Hashable, NDArray[np.int64]] | None = None,
) -> Outline:
    """The outline of a network with what all of its weights say about its cells (`LayerOutline.mean_rel`).

    progress hears which layer's turn it is. known: remembers the cells of a network from one chip to the next. Outlines
    of chips whose cells have no conductances stay as they are.
    """
    if outline.chip.device.range_S is None:
        return outline
    chip, seen = outline.chip, {} if known is None else known
    levels = chip.device.levels_rel()
    layers = []
    for layer, shape in zip(network.layers, outline.layers, strict=True):
        key = layer.name, chip.precision, chip.encoding, chip.device.cell_bits, chip.crossbar.rows
        if key not in seen:
            progress(layer.name)
            seen[key] = level_counts(layer, chip)
        counts = seen[key]
        layers.append(replace(shape, mean_rel=float(counts @ levels) / int(counts.sum())))
    return replace(outline, layers=tuple(layers))


def level_counts(layer: MatrixLayer, chip: Chip) -> NDArray[np.int64]:
    """How many cells get each level, int64 [level], if `mapping.compile` left out none of a layer's weights."""
    encoding, cell_bits = chip.encoding, chip.device.cell_bits
    edges = np.array(row_edges(layer.n_rows, chip.crossbar.rows))
    counts = np.zeros(1 << cell_bits, np.int64)
    for q in integer_columns(layer.weight, chip.precision, tuple(_ranges(layer))):
        words = [q, -q] if encoding.kind != "offset" else [q + (1 << (chip.precision.weight_bits - 1))]
        for word in words:
            add_levels(np.maximum(word, 0), edges, chip.n_slices, cell_bits, encoding.flipped, counts)
    return counts


def _ranges(layer: MatrixLayer) -> Iterator[tuple[int, int]]:
    """Columns of all groups, first and last + 1."""
    step = max(1, _AT_ONCE // layer.n_rows)
    yield from ((c, min(c + step, len(layer.weight))) for c in range(0, len(layer.weight), step))
