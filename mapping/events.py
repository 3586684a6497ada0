"""Count the events that a placed layer causes: per input vector, and on the links between tiles.

The counts within the tiles of a replica are those of replica 0; one whose cores straddle tiles differently is taken to
behave like it.
"""

from __future__ import annotations

from xbar.pieces import Placement
from xbar.program import VectorEvents, partial_sum_bits


def vector_events(
    placed: Placement,
    n_rows: int,
    plane_slice: tuple[int, ...],
    has_unit_column: bool,
    n_pulses: int,
    weight_bits: int,
    input_bits: int,
    output_bits: int,
) -> VectorEvents:
    """Events of one input vector (MVM), whatever its values; `n_rows` word lines that a group has on crossbars.

    array_reads: one per pulse and crossbar. row_pulses: the used word lines of those reads. conversions [slice]: the
    used columns of that slice. unit_conversions: one per read where there are unit columns, since every crossbar reads
    its own, also with `layout: separate`, where those of a row block's slices hold the same sum. tile_adds: sums of
    several cores put together, (cores - 1) per output; within a core they meet in the output register, as the codes of
    pulses and slices do. buffer_read_bits: each row block's
    inputs, once per tile that needs them. bus_bits: the same once per core, and each core's sums back, as wide as an
    exact accumulator. buffer_write_bits: the outputs that crossbars make, `output_bits` each.
    """
    pieces, conversions = placed.pieces, [0] * (max(plane_slice) + 1)
    for s, n in zip(plane_slice, placed.columns.sum(axis=1).tolist(), strict=False):  # the last may hold nothing
        conversions[s] += n_pulses * n
    n_outputs, n_sums = sum(placed.homes.values()), int(placed.core_sums.sum())
    sum_bits = partial_sum_bits(weight_bits, input_bits, n_rows)
    return VectorEvents(
        array_reads=n_pulses * len(pieces),
        row_pulses=n_pulses * pieces.word_lines,
        conversions=tuple(conversions),
        unit_conversions=n_pulses * len(pieces) if has_unit_column else 0,
        tile_adds=n_sums - n_outputs,
        buffer_read_bits=int(placed.tile_rows.sum()) * input_bits,
        buffer_write_bits=n_outputs * output_bits,
        bus_bits=int(placed.core_rows.sum()) * input_bits + n_sums * sum_bits,
    )
