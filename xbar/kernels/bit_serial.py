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
    BY_ROW,
    BY_SUM,
    SILENT,
    WIDTH,
    Converters,
    _add_real,
    _add_whole,
    _digitise,
    convert_plain,
)
from xbar.kernels.normal import BLOCK, normal_row, normals_plain, row_key
from xbar.kernels.parallel import parallel_for, team
from xbar.kernels.pulses import _count_ones

CHUNK = 64  # columns that are added up in registers: four AVX-512 vectors
_LANES = 16
_VECTORS_PER_TASK = 8
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
            pulse = _count_ones(below)  # type: ignore[call-arg]
            lines[pulse, counts[pulse]] = r
            counts[pulse] += 1
            code &= code - np.uint32(1)


@njit(cache=True)
def _add_common(key, row_id, cols, sums, runs, normal):  # type: ignore[no-untyped-def]
    """Add the noise of the reference columns to the sums of their strips."""
    low, high = row_key(key ^ np.uint64(1), row_id)
    normal_row(low, high, (cols.n_common + BLOCK - 1) // BLOCK, normal.ctypes.data)  # type: ignore[call-arg]
    for k in range(cols.n_common):
        normal[k] *= np.sqrt(sums[cols.common_at + k] * cols.common_gain)
    for run in range(runs.shape[0]):
        for c in range(runs[run, 0], runs[run, 1]):
            sums[c] += normal[runs[run, 4]]


@njit(cache=True)
def _serial_task(task, x, weight, first_id, keep_silent, cols, adc, key, out, saturations):  # type: ignore[no-untyped-def]
    n_pulses, n_lines, padded = len(weight), x.shape[1], len(adc.c0)
    first, last = task * _VECTORS_PER_TASK, min(len(x), (task + 1) * _VECTORS_PER_TASK)
    n_chunks = cols.chunks.shape[0]
    lines = np.empty((last - first, n_pulses, n_lines), np.uint16)
    counts = np.empty((last - first, n_pulses), np.int64)
    sums = np.empty(((last - first) * n_pulses, n_chunks * CHUNK), np.float32)
    for v in range(last - first):
        _list_lines(x[first + v], n_pulses, lines[v], counts[v])
    for chunk in range(n_chunks):
        cells = cols.chunks.ctypes.data + 4 * chunk * n_lines * CHUNK
        for r in range(len(sums)):
            v, p = r // n_pulses, r % n_pulses
            if counts[v, p] or keep_silent:
                to = sums.ctypes.data + 4 * (r * n_chunks + chunk) * CHUNK
                _sum_chunk(cells, lines.ctypes.data + 2 * r * n_lines, counts[v, p], to)  # type: ignore[call-arg]
    mode = BY_ROW if cols.mode == SILENT and adc.adc_variance > 0 else cols.mode
    wide = max(padded, (cols.n_common + BLOCK - 1) // BLOCK * BLOCK)
    normal, codes, over = np.empty(wide, np.float32), np.empty(padded, np.float32), np.zeros(padded, np.int32)
    whole, real = np.empty(out.shape[1], np.float32), np.empty(out.shape[1], np.float64)
    of_columns = (
        adc.c0.ctypes.data, adc.c1.ctypes.data, adc.c2.ctypes.data, adc.gain.ctypes.data, adc.max_code.ctypes.data
    )  # fmt: skip
    n = (cols.n_cols + WIDTH - 1) // WIDTH
    for r in range(len(sums)):
        v, p = r // n_pulses, r % n_pulses
        if counts[v, p] == 0 and not keep_silent:
            continue
        row_id = np.uint64(first_id + (first + v) * n_pulses + p)
        variance = sums[r, cols.variance_at] if cols.mode == BY_ROW else np.float32(0)
        if cols.n_common:
            _add_common(key, row_id, cols, sums[r], adc.runs, normal)
        if mode != SILENT:
            low, high = row_key(key, row_id)
            normal_row(low, high, padded // BLOCK, normal.ctypes.data)  # type: ignore[call-arg]
        sum_at = sums.ctypes.data + 4 * r * n_chunks * CHUNK
        _digitise(  # type: ignore[call-arg]
            n, sum_at, mode, variance, sum_at + 4 * cols.variance_at, normal.ctypes.data,
            (of_columns, adc.adc_variance), adc.ideal, codes.ctypes.data, over.ctypes.data,
        )  # fmt: skip
        if adc.exact:
            _add_whole(codes, adc.factor, adc.runs, whole)
            for k in range(out.shape[1]):
                out[first + v, k] += np.float64(whole[k]) * weight[p]
        else:
            _add_real(codes, adc.factor, adc.runs, real)
            for k in range(out.shape[1]):
                out[first + v, k] += real[k] * weight[p]
    for run in range(adc.runs.shape[0]):
        for c in range(adc.runs[run, 0], adc.runs[run, 1]):
            saturations[task, adc.runs[run, 2]] -= over[c]


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

    and codes above the largest to `saturations`, int64 [slice]. weight: [pulse], of bit 0 to the highest, which for
    two's complement is negative. first_id: number of the first pulse of the first vector; the noise of pulse p of
    vector v is that of first_id + v n_pulses + p. keep_silent: convert pulses without an active line as well.
    """
    counts = np.zeros((-(-len(x) // _VECTORS_PER_TASK), len(saturations)), np.int64)
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
        offset = normals_plain(key ^ 1, ids, cols.n_common) * sigma
    n = cols.n_cols
    convert_plain(
        sums[:, :n],
        vector,
        weight[pulse],
        ids,
        adc,
        key,
        out,
        saturations,
        variances=sums[:, cols.variance_at : cols.variance_at + n] if cols.mode == BY_SUM else None,
        row_variance=sums[:, cols.variance_at] if cols.mode == BY_ROW else None,
        offset=offset,
    )
