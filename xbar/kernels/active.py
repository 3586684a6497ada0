"""Column sums of one-bit digits: the cells of the active word lines, added up.

With bit-serial inputs most word lines carry nothing in most pulses: adding the lines that do is less work than a product
with all of them. Sums of whole numbers below 2^24 are exact in float32, in any order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from xbar.kernels.parallel import parallel_for, team
from xbar.kernels.pulses import _count_ones, pack_pulses, padded_words

CHUNK = 64  # columns that are summed in registers: four AVX-512 vectors
_LANES = 16
_VECTORS_PER_TASK = 32
_ROWS_PER_TASK = 256
_VECTOR = ir.VectorType(ir.FloatType(), _LANES)


class Active(NamedTuple):
    """Active word lines of every (vector, pulse) row: lines[first[i] : first[i + 1]] in rising order.

    lines: uint16; first: int64 [row + 1]; vector, pulse: int64 [row], vectors in order, and pulses within them.
    """

    lines: NDArray[np.uint16]
    first: NDArray[np.int64]
    vector: NDArray[np.int64]
    pulse: NDArray[np.int64]


@njit(cache=True)
def _list_task(task, words, bits, starts, lines):  # type: ignore[no-untyped-def]
    for v in range(task * _VECTORS_PER_TASK, min(len(words), (task + 1) * _VECTORS_PER_TASK)):
        for p in range(len(bits)):
            at = starts[v, p]
            for w in range(words.shape[2]):
                word = words[v, bits[p], w]
                while word:
                    below = (word & (~word + np.uint32(1))) - np.uint32(1)  # ones below the lowest 1
                    lines[at] = 32 * w + _count_ones(below)  # type: ignore[call-arg]
                    at += 1
                    word &= word - np.uint32(1)


@njit(cache=True)
def _list_all(threads, words, bits, starts, lines):  # type: ignore[no-untyped-def]
    n_tasks = -(-len(words) // _VECTORS_PER_TASK)
    parallel_for(threads, _list_task, n_tasks, (words, bits, starts, lines))  # type: ignore[call-arg]


def active_lines(
    x: NDArray[np.signedinteger | np.unsignedinteger], digit: NDArray[np.int64], keep_silent: bool
) -> Active:
    """Where the digits of x [vector, row] are 1; rows without an active word line only if `keep_silent`.

    digit: `digit_table` of one-bit digits.
    """
    n_vectors, n_lines = x.shape
    group, rows, n_bits = np.zeros(1, np.int64), np.array([[0, n_lines]]), int(digit[:, 0].max()) + 1
    packed = pack_pulses(x[:, None], group, rows, padded_words(n_lines), n_bits, digit)
    counts = packed.n_active[0]  # [vector, pulse]
    ends = np.cumsum(counts, dtype=np.int64).reshape(counts.shape)
    lines = np.empty(int(ends[-1, -1]) if ends.size else 0, np.uint16)
    _list_all(team(), packed.words[0], np.ascontiguousarray(digit[:, 0]), ends - counts, lines)
    vector, pulse = np.nonzero(np.ones_like(counts) if keep_silent else counts)
    return Active(lines, np.append((ends - counts)[vector, pulse], len(lines)), vector, pulse)


def active_lines_plain(
    x: NDArray[np.signedinteger | np.unsignedinteger], digit: NDArray[np.int64], keep_silent: bool
) -> Active:
    """`active_lines` in numpy."""
    on = ((x.astype(np.int64)[:, None, :] >> digit[:, :1]) & 1).astype(bool)  # [vector, pulse, row]
    vector, pulse = np.nonzero(np.ones(on.shape[:2], bool) if keep_silent else on.any(axis=2))
    lines = [np.flatnonzero(on[v, p]) for v, p in zip(vector, pulse, strict=True)]
    first = np.cumsum([0, *map(len, lines)])
    return Active(np.concatenate([*lines, []]).astype(np.uint16), first, vector, pulse)


def in_chunks(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cells [line, col] as `add_lines` reads them: [chunk, line, CHUNK], filled up with zeros."""
    n_chunks = -(-cells.shape[1] // CHUNK)
    padded = np.pad(cells, ((0, 0), (0, n_chunks * CHUNK - cells.shape[1])))
    return np.ascontiguousarray(padded.reshape(len(cells), n_chunks, CHUNK).swapaxes(0, 1))


@intrinsic
def _sum_chunk(typingctx: Any, cells: Any, lines: Any, n: Any, out: Any) -> Any:
    """Add up CHUNK columns of `n` lines in registers: addresses of float32 cells, uint16 lines and float32 out."""
    signature = types.void(types.intp, types.intp, types.intp, types.intp)

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        i32, i64 = ir.IntType(32), ir.IntType(64)
        cells = b.inttoptr(args[0], _VECTOR.as_pointer())
        lines = b.inttoptr(args[1], ir.IntType(16).as_pointer())
        out = b.inttoptr(args[3], _VECTOR.as_pointer())
        n_vectors = CHUNK // _LANES
        slots = [cgutils.alloca_once(b, _VECTOR) for _ in range(n_vectors)]
        for slot in slots:
            b.store(ir.Constant(_VECTOR, [0.0] * _LANES), slot)
        with cgutils.for_range(b, args[2]) as loop:
            line = b.zext(b.load(b.gep(lines, [loop.index])), i64)
            base = b.mul(line, ir.Constant(i64, n_vectors))
            for k, slot in enumerate(slots):
                value = b.load(b.gep(cells, [b.add(base, ir.Constant(i64, k))]))
                value.align = 4
                b.store(b.fadd(b.load(slot), value), slot)
        for k, slot in enumerate(slots):
            b.store(b.load(slot), b.gep(out, [ir.Constant(i32, k)])).align = 4
        return context.get_dummy_value()

    return signature, codegen


@njit(cache=True)
def _add_task(task, chunks, lines, first, sums):  # type: ignore[no-untyped-def]
    n_blocks = -(-(len(first) - 1) // _ROWS_PER_TASK)
    chunk, block = task // n_blocks, task % n_blocks
    for row in range(block * _ROWS_PER_TASK, min(len(first) - 1, (block + 1) * _ROWS_PER_TASK)):
        n = first[row + 1] - first[row]
        out = sums.ctypes.data + 4 * (row * sums.shape[1] + chunk * CHUNK)
        cells = chunks.ctypes.data + 4 * chunk * chunks.shape[1] * CHUNK
        _sum_chunk(cells, lines.ctypes.data + 2 * first[row], n, out)  # type: ignore[call-arg]


@njit(cache=True)
def _add_all(threads, chunks, lines, first, sums):  # type: ignore[no-untyped-def]
    n_tasks = chunks.shape[0] * -(-(len(first) - 1) // _ROWS_PER_TASK)
    parallel_for(threads, _add_task, n_tasks, (chunks, lines, first, sums))  # type: ignore[call-arg]


def add_lines(chunks: NDArray[np.float32], active: Active) -> NDArray[np.float32]:
    """Sums over the active lines of every row, float32 [row, col], from `in_chunks` cells; columns filled up to CHUNK."""
    sums = np.empty((len(active.vector), chunks.shape[0] * CHUNK), np.float32)
    _add_all(team(), chunks, active.lines, active.first, sums)
    return sums


def add_lines_plain(chunks: NDArray[np.float32], active: Active) -> NDArray[np.float32]:
    """`add_lines` in numpy."""
    cells = chunks.swapaxes(0, 1).reshape(chunks.shape[1], -1)
    rows = [cells[active.lines[a:b]].sum(axis=0) for a, b in zip(active.first, active.first[1:], strict=False)]
    return np.stack(rows) if rows else np.zeros((0, cells.shape[1]), np.float32)
