"""What methods promise, measured: how full the bit slices of a network are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xbar.network import QuantizedNetwork
from xbar.program import Program


def nonzero_slices(network: QuantizedNetwork | Program, cell_bits: int | None = None) -> tuple[float, ...]:
    """Share of the weights whose bit slice is not zero, by slice, the most significant first, over all layers.

    Of a quantized network: of the magnitudes |w| in slices of `cell_bits`, as `differential` encodings hold them. Of a
    program: of the cells that it holds (cell_bits is the chip's); an offset encoding has few zeros.
    """
    counts = _counts(network, cell_bits)
    n_slices = max(len(c) for c, _ in counts.values())
    aligned = np.array([np.pad(c, (0, n_slices - len(c))) for c, _ in counts.values()])
    return _ratios(aligned.sum(axis=0), sum(n for _, n in counts.values()))


def nonzero_slices_by_layer(
    network: QuantizedNetwork | Program, cell_bits: int | None = None
) -> dict[str, tuple[float, ...]]:
    """As `nonzero_slices`, for each layer."""
    return {name: _ratios(*counts) for name, counts in _counts(network, cell_bits).items()}


def _counts(network: QuantizedNetwork | Program, cell_bits: int | None) -> dict[str, tuple[NDArray[np.int64], int]]:
    """By layer: the non-zero cells of each slice, the least significant first, and the number of weights."""
    if isinstance(network, Program):
        return {
            program.name: (_held(program.cells, program.plane_slice), layer.weight.size)
            for program, layer in zip(network.layers, network.network.layers, strict=True)
        }
    cell_bits = 2 if cell_bits is None else cell_bits
    return {q.layer.name: (_sliced(q.weight_q, q.weight_bits - 1, cell_bits), q.weight_q.size) for q in network.layers}


def _held(cells: np.ndarray, plane_slice: tuple[int, ...]) -> NDArray[np.int64]:
    counts = np.zeros(max(plane_slice) + 1, np.int64)
    np.add.at(counts, np.array(plane_slice), np.count_nonzero(cells, axis=(1, 2, 3)))
    return counts


def _sliced(weights: np.ndarray, magnitude_bits: int, cell_bits: int) -> NDArray[np.int64]:
    words, top = np.abs(weights), (1 << cell_bits) - 1
    return np.array([np.count_nonzero((words >> shift) & top) for shift in range(0, magnitude_bits, cell_bits)])


def _ratios(counts: NDArray[np.int64], n_weights: int) -> tuple[float, ...]:
    return tuple(float(c / n_weights) for c in counts[::-1])
