"""Bit-serial inputs straight through real crossbars: active word lines, column sums, noise, ADC, shift-and-add at once.

With one-bit digits most word lines carry nothing in most pulses: adding up the cells of the lines that do is less work
than a product with all of them, and what is added up never leaves the processor's cache. Cells are whole numbers whose
sums float32 holds, so that the order of additions does not matter.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from xbar.kernels.convert import (
    Converters,
    Reads,
    convert_plain,
    convert_vectors,
    count_over,
    room_for,
)
from xbar.kernels.digitise import BY_ROW, BY_SUM, SILENT, WIDTH
from xbar.kernels.normal import BLOCK, PAIRS, normal_rows, normals, row_key
from xbar.kernels.parallel import parallel_for, team
from xbar.kernels.pulses import _count_ones

CHUNK = 64  # columns that are added up in registers: four AVX-512 vectors
_LANES = 16
_VECTORS = 8  # whose sums a task holds at a time
_MAX_TASKS = 32  # a task allocates what it works with, so that it should not be too short
_VECTOR = ir.VectorType(ir.FloatType(), _LANES)


class Columns(NamedTuple):
    """The cells of a row block as the kernel reads them; made by `columns`.

    chunks: float32 [chunk, line, CHUNK] of whole numbers: the cells, then, each from a new chunk on, the variances of
    their reads if they are by cell, and the columns that are few: the variance of a row, those of reference columns.
    n_cols: columns of cells. mode: where the variance of a sum comes from. variance_at: first column of the variances.
    common_at, n_common: reference columns; common_gain: their variances in squared steps of the cells.
    """

    chunks: NDArray[np.float32]
    n_cols: int
    mode: int
    variance_at: int
    common_at: int
    n_common: int
    common_gain: np.float32


def columns(
    cells: NDArray[np.float32],
    variance: NDArray[np.float32] | None = None,
    common: NDArray[np.float32] | None = None,
    common_gain: float = 0.0,
) -> Columns:
    """Of cells [line, col], the variance of reads, [line, col] or [line, 1] for all, and of references [line, k]."""
    parts, n_cols = [cells], cells.shape[1]
    mode, variance_at = SILENT, 0
    if variance is not None and variance.shape[1] == n_cols and n_cols > 1:
        mode, variance_at = BY_SUM, -(-n_cols // CHUNK) * CHUNK
        parts += [np.zeros((len(cells), variance_at - n_cols), np.float32), variance]
    elif variance is not None:
        mode, variance_at = BY_ROW, n_cols
        parts.append(variance)
    common_at = sum(part.shape[1] for part in parts)
    if common is not None:
        parts.append(common)
    table = np.concatenate(parts, axis=1)
    n_chunks = -(-table.shape[1] // CHUNK)
    padded = np.pad(table, ((0, 0), (0, n_chunks * CHUNK - table.shape[1])))
    chunks = np.ascontiguousarray(padded.reshape(len(cells), n_chunks, CHUNK).swapaxes(0, 1), np.float32)
    n_common = 0 if common is None else common.shape[1]
    return Columns(chunks, n_cols, mode, variance_at, common_at, n_common, np.float32(common_gain))


@intrinsic
def _sum_chunk(typingctx: Any, cells: Any, lines: Any, n: Any, out: Any) -> Any:
    """Add up CHUNK columns of `n` lines in registers: addresses of float32 cells, uint16 lines and float32 out."""
    signature = types.void(types.intp, types.intp, types.intp, types.intp)

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(64)
        cells, out = (b.inttoptr(args[i], _VECTOR.as_pointer()) for i in (0, 3))
        lines = b.inttoptr(args[1], ir.IntType(16).as_pointer())
        n_vectors = CHUNK // _LANES
        slots = [cgutils.alloca_once_value(b, ir.Constant(_VECTOR, [0.0] * _LANES)) for _ in range(n_vectors)]
        for slot in slots:
            b.store(ir.Constant(_VECTOR, [0.0] * _LANES), slot)
        with cgutils.for_range(b, args[2]) as loop:
            line = b.zext(b.load(b.gep(lines, [loop.index])), word)
            base = b.mul(line, ir.Constant(word, n_vectors))
            for k, slot in enumerate(slots):
                value = b.load(b.gep(cells, [b.add(base, ir.Constant(word, k))]))
                value.align = 4
                b.store(b.fadd(b.load(slot), value), slot)
        for k, slot in enumerate(slots):
            b.store(b.load(slot), b.gep(out, [ir.Constant(word, k)])).align = 4
        return context.get_dummy_value()

    return signature, codegen


@njit(cache=True)
def _list_lines(row, n_pulses, lines, counts):  # type: ignore[no-untyped-def]
    """Active word lines of each pulse of one vector: lines[pulse, :counts[pulse]]; pulse p sends bit p."""
    counts[:] = 0
    mask = np.int64((1 << n_pulses) - 1)
    for r in range(len(row)):
        code = np.uint32(np.int64(row[r]) & mask)
        while code:
            below = (code & (~code + np.uint32(1))) - np.uint32(1)  # ones below the lowest 1
            pulse = _count_ones(below)  # type: ignore[call-arg,var-annotated]
            lines[pulse, counts[pulse]] = r
            counts[pulse] += 1
            code &= code - np.uint32(1)


@njit(cache=True)
def _add_common(key, ids, cols, runs, sums):  # type: ignore[no-untyped-def]
    """Add the noise of the reference columns to the sums of their strips; normals as `common_normals`."""
    n, n_blocks = cols.n_common, (cols.n_common + BLOCK - 1) // BLOCK
    rows = np.uint64(max(1, BLOCK // n))
    keys, row = np.empty((1, 2), np.uint64), np.empty(n_blocks * BLOCK, np.float32)
    words, made = np.empty(n_blocks * PAIRS, np.float32), False
    last = np.uint64(0)
    for r in range(len(ids)):
        shared, place = ids[r] // rows, np.int64(ids[r] % rows) * n
        if not made or shared != last:
            keys[0, 0], keys[0, 1] = row_key(key ^ np.uint64(1), shared)
            normal_rows(keys.ctypes.data, 1, 0, n_blocks, words.ctypes.data, row.ctypes.data)  # type: ignore[call-arg]
            last, made = shared, True
        for k in range(n):
            sums[r, cols.common_at + k] = row[place + k] * np.sqrt(sums[r, cols.common_at + k] * cols.common_gain)
        for run in range(runs.shape[0]):
            shift = sums[r, cols.common_at + runs[run, 4]]
            for c in range(runs[run, 0], runs[run, 1]):
                sums[r, c] += shift


def common_normals(key: int, ids: NDArray[np.integer], n: int) -> NDArray[np.float32]:
    """Standard normals of `n` reference columns, float32 [row, n]; neighbouring ids share a row of `normals`."""
    rows = max(1, BLOCK // n)
    shared, own = np.unique(ids // rows, return_inverse=True)
    of_rows = normals(key ^ 1, shared, rows * n)
    return np.take_along_axis(of_rows[own], (ids % rows)[:, None] * n + np.arange(n), axis=1)


@njit(cache=True)
def _read_vectors(first, last, x, weight, first_id, keep_silent, cols, lines, counts, row_first, reads):  # type: ignore[no-untyped-def]
    """Column sums of the pulses of some vectors, and what else `Reads` says of them; returns the number of rows."""
    n_pulses, n_lines, n_chunks, n_rows = len(weight), x.shape[1], cols.chunks.shape[0], 0
    sums, row_weight, ids, row_variance = reads
    cells, to = cols.chunks.ctypes.data, sums.ctypes.data
    for v in range(first, last):
        _list_lines(x[v], n_pulses, lines, counts)
        for p in range(n_pulses):
            if counts[p] or keep_silent:
                row_weight[n_rows], ids[n_rows] = weight[p], np.uint64(first_id + v * n_pulses + p)
                of_pulse = lines.ctypes.data + 2 * p * n_lines
                for chunk in range(n_chunks):
                    at = to + 4 * (n_rows * n_chunks + chunk) * CHUNK
                    _sum_chunk(cells + 4 * chunk * n_lines * CHUNK, of_pulse, counts[p], at)  # type: ignore[call-arg]
                if cols.mode == BY_ROW:
                    row_variance[n_rows] = sums[n_rows, cols.variance_at]
                n_rows += 1
        row_first[v - first + 1] = n_rows
    return n_rows


@njit(cache=True)
def _serial_task(task, x, weight, first_id, keep_silent, cols, adc, key, out, saturations):  # type: ignore[no-untyped-def]
    n_pulses, n_chunks, n_common, most = len(weight), cols.chunks.shape[0], cols.n_common, _VECTORS * len(weight)
    lines, counts = np.empty((n_pulses, x.shape[1]), np.uint16), np.empty(n_pulses, np.int64)
    sums, row_weight = np.empty((most, n_chunks * CHUNK), np.float32), np.empty(most, np.float64)
    ids, row_variance = np.empty(most, np.uint64), np.zeros(most, np.float32)
    no_offset, row_first = np.empty((0, 0), np.float32), np.zeros(_VECTORS + 1, np.int64)
    noise = BY_ROW if cols.mode == SILENT and adc.adc_variance > 0 else cols.mode
    room, of_rows = room_for(adc), (sums, row_weight, ids, row_variance)
    whole = sums[:, : (cols.n_cols + WIDTH - 1) // WIDTH * WIDTH]  # what lies beyond the cells has no run
    reads = Reads(whole, row_first, row_weight, ids, sums[:, cols.variance_at :], row_variance, no_offset)
    end = len(x) * (task + 1) // len(saturations)
    for first in range(len(x) * task // len(saturations), end, _VECTORS):
        last = min(end, first + _VECTORS)
        n_rows = _read_vectors(first, last, x, weight, first_id, keep_silent, cols, lines, counts, row_first, of_rows)
        if n_common:
            _add_common(key, ids[:n_rows], cols, adc.runs, sums)
        convert_vectors(0, last - first, noise, key, row_first, reads, adc, room, out[first:last])
    count_over(room.over, adc.runs, saturations[task])


@njit(cache=True)
def _serial_all(threads, x, weight, first_id, keep_silent, cols, adc, key, out, saturations):  # type: ignore[no-untyped-def]
    arguments = (x, weight, first_id, keep_silent, cols, adc, key, out, saturations)
    parallel_for(threads, _serial_task, len(saturations), arguments)  # type: ignore[call-arg]


def bit_serial(
    x: NDArray[np.signedinteger | np.unsignedinteger],
    weight: NDArray[np.float64],
    first_id: int,
    keep_silent: bool,
    cols: Columns,
    adc: Converters,
    key: int,
    out: NDArray[np.float64],
    saturations: NDArray[np.int64],
) -> None:
    """Add to `out`, float64 [vector, out column], what the codes of all pulses of x [vector, line] count:

        out += sum_pulse weight_pulse sum_col factor code(sum_line bit cells + read noise),

    and the number of codes below 0 or above the largest to `saturations`, int64 [slice].

    weight: [pulse], of bit 0 to the highest, which for two's complement is negative. first_id: number of the first
    pulse of the first vector; the noise of pulse p of vector v is that of first_id + v n_pulses + p. keep_silent:
    convert pulses without an active line as well.
    """
    counts = np.zeros((min(_MAX_TASKS, -(-len(x) // _VECTORS)), len(saturations)), np.int64)
    _serial_all(team(), x, weight, first_id, keep_silent, cols, adc, np.uint64(key), out, counts)
    saturations += counts.sum(axis=0)


def bit_serial_plain(
    x: NDArray[np.signedinteger | np.unsignedinteger],
    weight: NDArray[np.float64],
    first_id: int,
    keep_silent: bool,
    cols: Columns,
    adc: Converters,
    key: int,
    out: NDArray[np.float64],
    saturations: NDArray[np.int64],
) -> None:
    """`bit_serial` in numpy, the same bits."""
    table = cols.chunks.swapaxes(0, 1).reshape(x.shape[1], -1)
    on = (x.astype(np.int64)[:, None, :] >> np.arange(len(weight))[:, None]) & 1  # [vector, pulse, line]
    vector, pulse = np.nonzero(np.ones(on.shape[:2], bool) if keep_silent else on.any(axis=2))
    sums = (on[vector, pulse].astype(np.float64) @ table).astype(np.float32)
    ids = first_id + vector * len(weight) + pulse
    offset = None
    if cols.n_common:
        sigma = np.sqrt(sums[:, cols.common_at : cols.common_at + cols.n_common] * cols.common_gain)
        offset = common_normals(key, ids, cols.n_common) * sigma
    n = cols.n_cols
    variances = sums[:, cols.variance_at : cols.variance_at + n] if cols.mode == BY_SUM else None
    row_variance = sums[:, cols.variance_at] if cols.mode == BY_ROW else None
    reads = Reads(sums[:, :n], vector, weight[pulse], ids, variances, row_variance, offset)
    convert_plain(reads, adc, key, out, saturations)
