"""Digitised column sums of bit-packed inputs: what an ADC can clip or round, and only that.

Each kernel has a plain numpy twin of the same name with `_plain`; the results are integers, so that they are the same
bits for any number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from xbar.kernels.parallel import parallel_for, team
from xbar.kernels.tile import LANES, PART_BITS, TABLE_BYTES, tile_codes, write_sums

VECTORS_PER_TASK = 32


class PackedCells(NamedTuple):
    """Cells of row blocks with the same number of words, in tiles of 32 columns; one job is one plane of one block.

    cells: uint8, for each tile [part, row, lane], flat; a part is PART_BITS bits of each cell, the lowest first.
    lane_factor: int64 [tile, lane], sign times 2^(cell_bits * slice); 0 in unused lanes.
    columns: int64 [tile, lane], the column that a lane adds to.
    dense: int64 [job], 1 where the lanes of a job lie side by side.
    narrow: int64 [job], 1 where 16 bits hold all sums of a job (see `tile_codes`).
    job_slice, job_slot: int64 [job], the slice and the accumulator of a job.
    job_parts, job_start: int64 [job], parts that its cells need, and where its first tile begins in `cells`.
    job_first: int64 [job + 1], first tile. pair_first: int64 [pair + 1], first job (jobs are sorted by pair).
    pair_group: int64 [pair].
    max_code: int64 [slice]; gain, shift: float64 [slice], code = floor(y * gain + shift) where rounded [slice] is 1.
    """

    cells: NDArray[np.uint8]
    lane_factor: NDArray[np.int64]
    columns: NDArray[np.int64]
    dense: NDArray[np.int64]
    narrow: NDArray[np.int64]
    job_slice: NDArray[np.int64]
    job_slot: NDArray[np.int64]
    job_parts: NDArray[np.int64]
    job_start: NDArray[np.int64]
    job_first: NDArray[np.int64]
    pair_first: NDArray[np.int64]
    pair_group: NDArray[np.int64]
    max_code: NDArray[np.int64]
    gain: NDArray[np.float64]
    shift: NDArray[np.float64]
    rounded: NDArray[np.int64]


@njit(cache=True)
def _list_pulses(words, mask, pair, first, last, digit, out_step, wide, segments, pulses):  # type: ignore[no-untyped-def]
    """Write the pulses of vectors first..last that `mask` names; one segment a vector, or a pulse where `wide`."""
    n_vectors, n_bits, n_words = words.shape[1:]
    n_segments, n_pulses = 0, 0
    for v in range(first, last):
        named = mask[pair, v]
        if named == 0:
            continue
        if not wide:
            segments[n_segments, 0], segments[n_segments, 1], segments[n_segments, 2] = n_pulses, v * out_step, 1
            n_segments += 1
        for p in range(digit.shape[0]):
            if not (named >> p) & 1:
                continue
            if wide:
                segments[n_segments, 0], segments[n_segments, 1] = n_pulses, v * out_step
                segments[n_segments, 2] = digit[p, 2]
                n_segments += 1
            pulses[n_pulses, 0] = ((pair * n_vectors + v) * n_bits + digit[p, 0]) * n_words
            pulses[n_pulses, 1] = digit[p, 1]
            pulses[n_pulses, 2] = 1 if wide else digit[p, 2]
            n_pulses += 1
    segments[n_segments, 0] = n_pulses
    return n_segments


@njit(cache=True)
def _clip_task(task, words, send, active, digit, packed, wide, out, saturations):  # type: ignore[no-untyped-def]
    n_pairs, n_vectors, _, n_words = words.shape
    n_groups, n_slots, width = out.shape[1:]
    out_step = n_groups * n_slots * width
    first = task * VECTORS_PER_TASK
    last = min(n_vectors, first + VECTORS_PER_TASK)
    n_pulses = digit.shape[0]
    segments = np.empty((2, VECTORS_PER_TASK * n_pulses + 1, 3), np.int64)
    pulses = np.empty((2, VECTORS_PER_TASK * n_pulses, 3), np.int64)
    room = np.empty(packed.job_parts.max() * n_words * TABLE_BYTES + 64, np.uint8)
    table = room[-room.ctypes.data % 64 :]  # from a cache line on
    for pair in range(n_pairs):
        n_send = _list_pulses(words, send, pair, first, last, digit, out_step, wide, segments[0], pulses[0])
        n_active = _list_pulses(words, active, pair, first, last, digit, out_step, wide, segments[1], pulses[1])
        for job in range(packed.pair_first[pair], packed.pair_first[pair + 1]):
            s = packed.job_slice[job]
            rounded = packed.rounded[s]
            n_segments = n_active if rounded else n_send
            if n_segments == 0:
                continue
            start = (packed.pair_group[pair] * n_slots + packed.job_slot[job]) * width
            total, n_parts = 0, packed.job_parts[job]
            cells = packed.cells.ctypes.data + packed.job_start[job]
            for tile in range(packed.job_first[job], packed.job_first[job + 1]):
                write_sums(cells, n_parts * n_words, table.ctypes.data)  # type: ignore[call-arg]
                total += tile_codes(
                    words.ctypes.data, n_words, table.ctypes.data, n_parts,
                    segments.ctypes.data + rounded * segments.strides[0], n_segments,
                    pulses.ctypes.data + rounded * pulses.strides[0], packed.max_code[s], packed.gain[s],
                    packed.shift[s], rounded, 0 if wide else packed.narrow[job],
                    packed.lane_factor.ctypes.data + tile * LANES * 8, packed.columns.ctypes.data + tile * LANES * 8,
                    packed.dense[job], out.ctypes.data + start * 8,
                )  # fmt: skip
                cells += n_parts * n_words * 32 * LANES
            saturations[task, s] += total


@njit(cache=True)
def _clip_all(threads, words, send, active, digit, packed, wide, out, saturations):  # type: ignore[no-untyped-def]
    arguments = (words, send, active, digit, packed, wide, out, saturations)
    parallel_for(threads, _clip_task, saturations.shape[0], arguments)  # type: ignore[call-arg]


def clip_codes(
    words: NDArray[np.uint32],
    send: NDArray[np.uint32],
    active: NDArray[np.uint32],
    digit: NDArray[np.int64],
    packed: PackedCells,
    wide: bool,
    out: NDArray[np.int64],
) -> NDArray[np.int64]:
    """Add the digitised, shifted column sums of all packed cells to `out`; returns the saturated conversions [slice].

    words: uint32 [pair, vector, bit, word], bit i of the inputs of 32 rows each (`xbar.kernels.pulses.pack_pulses`).
    send, active: uint32 [pair, vector], bit p set where pulse p goes through slices that clip, or that round.
    digit: int64 [pulse, 3], first bit of the pulse's digit, number of its bits, weight of the pulse.
    wide: True where 2^input_bits times a code may exceed 31 bits, so that every pulse is widened on its own.
    out: int64 [vector, group, slot, column], its last axis padded to a multiple of 32.
    """
    n_tasks = -(-words.shape[1] // VECTORS_PER_TASK)
    saturations = np.zeros((n_tasks, len(packed.max_code)), np.int64)
    _clip_all(team(), words, send, active, digit, packed, wide, out, saturations)
    return saturations.sum(axis=0)


def clip_codes_plain(
    words: NDArray[np.uint32],
    send: NDArray[np.uint32],
    active: NDArray[np.uint32],
    digit: NDArray[np.int64],
    packed: PackedCells,
    out: NDArray[np.int64],
) -> NDArray[np.int64]:
    """`clip_codes` in numpy, one tile and pulse at a time, in 64 bits throughout."""
    n_words = words.shape[3]
    rows = np.unpackbits(words.view(np.uint8), axis=3, bitorder="little")  # [pair, vector, bit, row]
    saturations = np.zeros(len(packed.max_code), np.int64)
    for pair in range(words.shape[0]):
        for job in range(packed.pair_first[pair], packed.pair_first[pair + 1]):
            s, parts, first_tile = packed.job_slice[job], packed.job_parts[job], packed.job_first[job]
            n_tiles = packed.job_first[job + 1] - first_tile
            here = packed.cells[packed.job_start[job] :][: n_tiles * parts * n_words * 32 * LANES]
            weight_of_part = 1 << PART_BITS * np.arange(parts)
            tiles = np.tensordot(here.reshape(n_tiles, parts, n_words * 32, LANES), weight_of_part, (1, 0))
            target = out[:, packed.pair_group[pair], packed.job_slot[job]]
            for p, (first_bit, n_bits, weight) in enumerate(digit):
                named = ((active if packed.rounded[s] else send)[pair] >> np.uint32(p)) & 1 == 1
                inputs = np.tensordot(rows[pair, named, first_bit : first_bit + n_bits], 1 << np.arange(n_bits), (1, 0))
                for tile in range(n_tiles):
                    y = inputs @ tiles[tile]
                    code = np.floor(y * packed.gain[s] + packed.shift[s]).astype(np.int64) if packed.rounded[s] else y
                    saturations[s] += np.count_nonzero(code > packed.max_code[s])
                    code = np.minimum(code, packed.max_code[s]) * weight * packed.lane_factor[first_tile + tile]
                    for lane, column in enumerate(packed.columns[first_tile + tile]):
                        target[named, column] += code[:, lane]
    return saturations
