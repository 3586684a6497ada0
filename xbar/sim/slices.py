"""How full the bit slices of a network are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xbar.errors import XbarError
from xbar.network import QuantizedNetwork
from xbar.program import LayerProgram, Program


def nonzero_slices(network: QuantizedNetwork | Program, cell_bits: int | None = None) -> tuple[float, ...]:
    """Share of the weights whose bit slice is not zero (0 to 1), [slice], over all weights of all layers.

    Slice s, 0 = least significant (papers print them the other way round), of the magnitude |w| holds
    (|w| >> (s cell_bits)) mod 2^cell_bits.

    Of a program: of the cells that it holds. A differential or ternary encoding holds magnitudes, one polarity of a
    weight being 0; with an offset encoding a weight of 0 is a level like any other, so that few cells are 0.
    Of a quantized network: of the magnitudes, in slices of `cell_bits`, which only the chip of a program knows.
    Weights that several layers share count once for each layer, as they do on crossbars.
    Raises XbarError: cell_bits missing or out of range for a quantized network, or given with a program.
    """
    counts = _counts(network, cell_bits)
    n_slices = max(len(c) for c, _ in counts.values())
    aligned = np.array([np.pad(c, (0, n_slices - len(c))) for c, _ in counts.values()])
    return _ratios(aligned.sum(axis=0), sum(n for _, n in counts.values()))


def nonzero_slices_by_layer(
    network: QuantizedNetwork | Program, cell_bits: int | None = None
) -> dict[str, tuple[float, ...]]:
    """As `nonzero_slices`, for each layer by its name."""
    return {name: _ratios(*counts) for name, counts in _counts(network, cell_bits).items()}


def _counts(network: QuantizedNetwork | Program, cell_bits: int | None) -> dict[str, tuple[NDArray[np.int64], int]]:
    """By layer: the non-zero cells of each slice, the least significant first, and the number of weights."""
    if isinstance(network, Program):
        if cell_bits is not None:
            raise XbarError(f"cell_bits: a program has those of its chip, got {cell_bits}; leave it out")
        layers = zip(network.layers, network.network.layers, strict=True)
        return {program.name: (_held(program), layer.weight.size) for program, layer in layers}
    if cell_bits is None or cell_bits not in range(1, 17):
        raise XbarError(
            "cell_bits: a quantized network needs the bits of its cells, a whole number from 1 to 16, "
            f"got {cell_bits}; for example 2"
        )
    return {q.layer.name: (_sliced(q.weight_q, q.weight_bits - 1, cell_bits), q.weight_q.size) for q in network.layers}


def _held(layer: LayerProgram) -> NDArray[np.int64]:
    counts = np.zeros(layer.n_slices, np.int64)
    np.add.at(counts, np.array(layer.plane_slice), np.count_nonzero(layer.cells, axis=(1, 2, 3)))
    return counts


def _sliced(weights: np.ndarray, magnitude_bits: int, cell_bits: int) -> NDArray[np.int64]:
    words, top = np.abs(weights), (1 << cell_bits) - 1
    return np.array([np.count_nonzero((words >> shift) & top) for shift in range(0, magnitude_bits, cell_bits)])


def _ratios(counts: NDArray[np.int64], n_weights: int) -> tuple[float, ...]:
    return tuple(float(c / n_weights) for c in counts)
