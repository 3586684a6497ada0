"""Count the events that a placed layer causes: per input vector, and on the links between tiles.

The counts within the tiles of a replica are those of replica 0; one whose cores straddle tiles differently is taken to
behave like it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xbar.pieces import PieceTable, first_of
from xbar.program import VectorEvents, partial_sum_bits


def vector_events(
    pieces: PieceTable,
    tiles: NDArray[np.int64],
    cores: NDArray[np.int64],
    n_rows: int,
    plane_slice: tuple[int, ...],
    has_unit_column: bool,
    n_pulses: int,
    weight_bits: int,
    input_bits: int,
    output_bits: int,
) -> VectorEvents:
    """Events of one input vector (MVM), whatever its values; `n_rows` word lines that a group has on crossbars.

    tiles, cores: where the crossbar of each piece is, cores counted over the chip.
    array_reads: one per pulse and crossbar. row_pulses: the used word lines of those reads. conversions [slice]: the
    used columns of that slice. unit_conversions: one per read where there are unit columns, since every crossbar reads
    its own, also with `layout: separate`, where those of a row block's slices hold the same sum. tile_adds: sums of
    several cores put together, (cores - 1) per output; within a core they meet in the output register, as the codes of
    pulses and slices do. buffer_read_bits: each row block's
    inputs, once per tile that needs them. bus_bits: the same once per core, and each core's sums back, as wide as an
    exact accumulator. buffer_write_bits: the outputs that crossbars make, `output_bits` each.
    """
    n_slices = max(plane_slice) + 1
    per_plane = pieces.n_cols // (pieces.plane_end - pieces.plane_first)
    conversions = [0] * n_slices
    for s, n in zip(plane_slice, pieces.by_plane(per_plane, len(plane_slice)), strict=True):
        conversions[s] += n_pulses * int(n.sum())
    n_outputs = _total(pieces.n_outputs, pieces.output)
    sum_bits = partial_sum_bits(weight_bits, input_bits, n_rows)
    return VectorEvents(
        array_reads=n_pulses * len(pieces),
        row_pulses=n_pulses * int(pieces.n_rows.sum()),
        conversions=tuple(conversions),
        unit_conversions=n_pulses * len(pieces) if has_unit_column else 0,
        tile_adds=_total(pieces.n_outputs, cores, pieces.output) - n_outputs,
        buffer_read_bits=_total(pieces.n_rows, tiles, pieces.rows) * input_bits,
        buffer_write_bits=n_outputs * output_bits,
        bus_bits=_total(pieces.n_rows, cores, pieces.rows) * input_bits
        + _total(pieces.n_outputs, cores, pieces.output) * sum_bits,
    )


def _total(values: NDArray[np.int64], *keys: NDArray[np.int64]) -> int:
    """Sum of one value for each distinct combination of keys."""
    return int(values[first_of(*keys)].sum())
