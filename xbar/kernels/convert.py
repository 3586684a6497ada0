"""What ADCs make of analog column sums: read noise, conversion, shift-and-add, in one pass over the sums.

A column sum is a whole number of grid steps in float32, as a matrix product gives it. Of a conversion,

    z = c1 s + c0 + c2 s^2 + sqrt(gain v + adc_variance) xi,    code = min(max(floor(z), 0), max_code),

c0 holds the half LSB of rounding, s is the sum, v the variance of its read noise (of the row's, or of every sum, or
none) and xi a standard normal that depends on (key, row id, column) alone. z is float32, in the order written; codes
add up in float64, or in float32 where that holds them exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from xbar.kernels.digitise import BY_ROW, BY_SUM, IDEAL, SILENT, WHOLE, WIDE, WIDTH, digitise
from xbar.kernels.normal import BLOCK, PAIRS, normal_rows, normals_plain, row_key
from xbar.kernels.parallel import parallel_for, team

_ROWS, _BLOCKS = 8, 8  # rows, and blocks of columns, whose normals are made at a time and stay in the first cache
_CHUNK = _BLOCKS * BLOCK
_MAX_TASKS, _MIN_VECTORS = 32, 8  # a task allocates what it works with, so that it should not be too short
_EXACT = 2**24  # float32 holds whole numbers up to here


class Reads(NamedTuple):
    """Column sums of pulses. A row is one pulse of one vector; rows of a vector lie side by side.

    sums: float32 [row, col], in grid steps. vector: int64 [row], ascending. weight: float64 [row], what a pulse counts.
    id: int64 [row], which normals a row gets.
    variances: float32 [row, col], or row_variance: float32 [row], of the read noise, in grid steps; both None: no read
    noise. offset: float32 [row, segment], in grid steps, added to the sums of a segment's columns.
    """

    sums: NDArray[np.float32]
    vector: NDArray[np.int64]
    weight: NDArray[np.float64]
    id: NDArray[np.integer]
    variances: NDArray[np.float32] | None = None
    row_variance: NDArray[np.float32] | None = None
    offset: NDArray[np.float32] | None = None


class Converters(NamedTuple):
    """The ADCs of a row block's columns and what becomes of their codes; made by `converters`.

    c0, c1, c2, gain, max_code, factor: float32 [col], padded with zeros (max_code: infinity) to a multiple of BLOCK.
    alike: int32 [col / WIDTH], 1 where `gain` is that of the WIDTH columns before, in the same chunk.
    runs: int64 [run, 5], columns first..last of one slice that go to the out columns from out_first on, one by one:
    (first, last, slice, out_first, segment).
    adc_variance: of every conversion, in LSB^2. largest: the largest code of all. bent: c2 is not all 0.
    ideal: codes are z itself.
    """

    c0: NDArray[np.float32]
    c1: NDArray[np.float32]
    c2: NDArray[np.float32]
    gain: NDArray[np.float32]
    max_code: NDArray[np.float32]
    factor: NDArray[np.float32]
    alike: NDArray[np.int32]
    runs: NDArray[np.int64]
    adc_variance: np.float32
    largest: float
    bent: bool
    ideal: bool


def converters(
    runs: Sequence[Sequence[int]] | NDArray[np.int64],
    factor: ArrayLike,
    max_code: ArrayLike | None = None,
    errors: ArrayLike = (0.0, 1.0, 0.0),
    lsb: ArrayLike = 1.0,
    sum_scale: float = 1.0,
    variance_scale: ArrayLike = 1.0,
    sigma_lsb: float = 0.0,
) -> Converters:
    """Fold scales and errors of ADCs into the coefficients of `Converters`.

    runs: [run, 4 or 5], (first, last, slice, out_first, segment of `offset`: 0 if left out); they cover all columns in
    ascending order.
    factor: [col] or one number, weight of a code. max_code: [col] or one number; None: an ideal ADC.
    errors: [col, 3] or [3], c0, c1, c2 of code = round(c0 + c1 y + c2 y^2 + sigma xi) for a sum of y LSB.
    lsb: [col] or one number, in the unit of a sum; sum_scale, variance_scale: grid steps of sums and variances (of
    these by column, too) in that unit and in its square. sigma_lsb: sigma of every conversion.
    """
    table = np.array(runs, np.int64)
    table = np.pad(table, ((0, 0), (0, 5 - table.shape[1])))
    n_cols = int(table[-1, 1])

    def column(values: ArrayLike, fill: float = 0.0) -> NDArray[np.float32]:
        full = np.full(-(-n_cols // BLOCK) * BLOCK, fill, np.float32)
        full[:n_cols] = values
        return full

    c0, c1, c2 = np.broadcast_to(np.asarray(errors, np.float64), (n_cols, 3)).T
    ideal = max_code is None
    steps = sum_scale / np.asarray(lsb, np.float64)
    gain = column(np.asarray(variance_scale) / np.square(np.asarray(lsb, np.float64)))
    by_vector = gain.reshape(-1, WIDTH)
    alike = np.concatenate([[False], (by_vector[1:] == by_vector[:-1]).all(axis=1)])
    alike[:: _CHUNK // WIDTH] = False
    return Converters(
        column(c0 + (0 if ideal else 0.5)), column(c1 * steps), column(c2 * steps**2), gain,
        column(np.inf if max_code is None else max_code, np.inf), column(factor), alike.astype(np.int32), table,
        np.float32(sigma_lsb**2), np.inf if max_code is None else float(np.max(max_code)), bool(np.any(c2)), ideal,
    )  # fmt: skip


# where things are in the float32 of a task's room
_SCRATCH = _ROWS * _CHUNK  # after the normals
_SIGMAS = _SCRATCH + _ROWS * _BLOCKS * PAIRS
_OF_ROWS = _SIGMAS + _ROWS * WIDTH
_SUMS = _OF_ROWS + 2 * _ROWS
_VARIANCES = _SUMS + _ROWS * _CHUNK
_WHOLE = _VARIANCES + _ROWS * _CHUNK
_FLOATS = _WHOLE + _CHUNK


class _Room(NamedTuple):
    """What one task works with, in few pieces because each takes 0.1 us to get.

    floats: float32, normals of _ROWS rows and _CHUNK columns, words that become normals, sigmas, variance and weight of
    rows, copies of sums and of variances, totals that float32 holds. real: other totals, float64 [_CHUNK].
    keys: uint64 [_ROWS, 2]. over: int32 [col], minus the conversions above the largest code.
    """

    floats: NDArray[np.float32]
    real: NDArray[np.float64]
    keys: NDArray[np.uint64]
    over: NDArray[np.int32]


@njit(cache=True)
def room_for(adc):  # type: ignore[no-untyped-def]
    """Room for one task."""
    over = np.zeros(len(adc.c0), np.int32)
    return _Room(np.empty(_FLOATS, np.float32), np.empty(_CHUNK, np.float64), np.empty((_ROWS, 2), np.uint64), over)


@njit(cache=True)
def count_over(over, runs, saturations):  # type: ignore[no-untyped-def]
    """Add what `over` counted to `saturations` [slice]."""
    for run in range(runs.shape[0]):
        for c in range(runs[run, 0], runs[run, 1]):
            saturations[runs[run, 2]] -= over[c]


@njit(cache=True)
def _copy(values, row, n_rows, first, last, offset, runs, floats, to):  # type: ignore[no-untyped-def]
    """Copy some rows and columns to where vectors may end behind them, and add the offset of each segment."""
    for r in range(n_rows):
        for run in range(runs.shape[0]):
            shift = offset[row + r, runs[run, 4]] if len(offset) else np.float32(0)
            start = np.uint64(to + r * _CHUNK - first)
            for c in range(np.uint64(max(runs[run, 0], first)), np.uint64(min(runs[run, 1], last))):
                floats[start + c] = values[row + r, c] + shift


@njit(cache=True)
def _add_totals(v, totals, begin, first, last, factor, runs, out):  # type: ignore[no-untyped-def]
    """Add factor times the total of every column to its out column. Unsigned indices: no checks for negative ones."""
    for run in range(runs.shape[0]):
        low, high = max(runs[run, 0], first), min(runs[run, 1], last)
        if low < high:
            to, at, c = np.uint64(runs[run, 3] + low - runs[run, 0]), np.uint64(begin + low - first), np.uint64(low)
            for k in range(np.uint64(high - low)):
                out[v, to + k] += np.float64(totals[at + k]) * np.float64(factor[c + k])


@njit(cache=True)
def _is_whole(weight, first, last, largest):  # type: ignore[no-untyped-def]
    """Whether float32 holds all totals of codes up to `largest` with the weights of rows first..last."""
    total, whole = 0.0, True
    for r in range(first, last):
        total += abs(weight[r])
        whole &= np.floor(weight[r]) == weight[r]
    return whole and total * largest <= _EXACT


@njit(cache=True)
def _of_rows(row, n_rows, key, row_id, row_variance, weight, keys, floats):  # type: ignore[no-untyped-def]
    for r in range(n_rows):
        keys[r, 0], keys[r, 1] = row_key(key, row_id[row + r])
        floats[_OF_ROWS + r], floats[_OF_ROWS + _ROWS + r] = row_variance[row + r], weight[row + r]


@njit(cache=True)
def convert_vectors(first_vector, last_vector, noise, key, row_first, reads, adc, room, out):  # type: ignore[no-untyped-def]
    """Convert the reads of some vectors: rows row_first[v] to row_first[v + 1] are those of vector v.

    Arrays and addresses are taken out of the tuples once: within the loops each access would count references.
    """
    sums, variances, row_variance, offset = reads.sums, reads.variances, reads.row_variance, reads.offset
    row_id, weight, factor, runs, largest = reads.id, reads.weight, adc.factor, adc.runs, adc.largest
    floats, real, keys = room.floats, room.real, room.keys
    sum_at, sum_step = sums.ctypes.data, sums.strides[0]
    variance_at, variance_step = variances.ctypes.data, variances.strides[0]
    c0_at, c1_at, c2_at, alike_at = adc.c0.ctypes.data, adc.c1.ctypes.data, adc.c2.ctypes.data, adc.alike.ctypes.data
    gain_at, max_at, over_at = adc.gain.ctypes.data, adc.max_code.ctypes.data, room.over.ctypes.data
    key_at, normal_at = keys.ctypes.data, floats.ctypes.data
    row_at = (normal_at + 4 * _OF_ROWS, normal_at + 4 * (_OF_ROWS + _ROWS), normal_at + 4 * _SIGMAS)
    total_at, of_adcs = (normal_at + 4 * _WHOLE, real.ctypes.data), adc.adc_variance
    n_cols, ideal, bent = sums.shape[1], adc.ideal, 1 if adc.bent else 0
    for v in range(first_vector, last_vector):
        codes = IDEAL if ideal else WHOLE if _is_whole(weight, row_first[v], row_first[v + 1], largest) else WIDE
        for first in range(0, n_cols, _CHUNK):
            last, at = min(n_cols, first + _CHUNK), 4 * first
            n_vectors, n_blocks = (last - first + WIDTH - 1) // WIDTH, (last - first + BLOCK - 1) // BLOCK
            of_columns = (c0_at + at, c1_at + at, c2_at + at, gain_at + at, max_at + at, alike_at + at // WIDTH)
            beyond = n_vectors * WIDTH > last - first
            for c in range(n_vectors * WIDTH):
                floats[_WHOLE + c] = 0
                real[c] = 0
            for row in range(row_first[v], row_first[v + 1], _ROWS):
                n_rows = min(_ROWS, row_first[v + 1] - row)
                _of_rows(row, n_rows, key, row_id, row_variance, weight, keys, floats)
                if noise != SILENT:
                    scratch_at = normal_at + 4 * _SCRATCH
                    normal_rows(key_at, n_rows, first // BLOCK, n_blocks, scratch_at, normal_at)  # type: ignore[call-arg]
                sums_now = (sum_at + row * sum_step + at, sum_step)
                if beyond or len(offset):
                    _copy(sums, row, n_rows, first, last, offset, runs, floats, _SUMS)
                    sums_now = (normal_at + 4 * _SUMS, 4 * _CHUNK)
                variances_now = (variance_at + row * variance_step + at, variance_step)
                if beyond and noise == BY_SUM:
                    _copy(variances, row, n_rows, first, last, offset[:0], runs, floats, _VARIANCES)
                    variances_now = (normal_at + 4 * _VARIANCES, 4 * _CHUNK)
                digitise(  # type: ignore[call-arg]
                    (noise, codes, bent), (n_rows, n_vectors), sums_now, variances_now,
                    (normal_at, 4 * n_blocks * BLOCK), row_at, of_columns, of_adcs, total_at, over_at + at,
                )  # fmt: skip
            if codes == WHOLE:
                _add_totals(v, floats, _WHOLE, first, last, factor, runs, out)
            else:
                _add_totals(v, real, 0, first, last, factor, runs, out)


@njit(cache=True)
def _convert_task(task, noise, key, row_first, reads, adc, out, saturations):  # type: ignore[no-untyped-def]
    room = room_for(adc)
    share = -(-len(out) // len(saturations))
    convert_vectors(task * share, min(len(out), (task + 1) * share), noise, key, row_first, reads, adc, room, out)
    count_over(room.over, adc.runs, saturations[task])


@njit(cache=True)
def _convert_all(threads, noise, key, row_first, reads, adc, out, saturations):  # type: ignore[no-untyped-def]
    arguments = (noise, key, row_first, reads, adc, out, saturations)
    parallel_for(threads, _convert_task, len(saturations), arguments)  # type: ignore[call-arg]


def convert(reads: Reads, adc: Converters, key: int, out: NDArray[np.float64], saturations: NDArray[np.int64]) -> None:
    """Digitise column sums and add the codes to `out`, float64 [vector, out column]:

        out[vector] += sum_run factor * sum_row weight * code,

    rows and runs in their order, so that the result is the same bits for any number of threads. Codes below 0
    or above the largest are counted in `saturations`, int64 [slice]. key: 64 bits.
    """
    noise = SILENT
    if reads.variances is not None:
        noise = BY_SUM
    elif reads.row_variance is not None or adc.adc_variance > 0:
        noise = BY_ROW
    nothing = np.empty((0, 0), np.float32)
    full = reads._replace(
        id=reads.id.astype(np.uint64),
        variances=nothing if reads.variances is None else reads.variances,
        row_variance=np.zeros(len(reads.sums), np.float32) if reads.row_variance is None else reads.row_variance,
        offset=nothing if reads.offset is None else reads.offset,
    )
    counts = np.zeros((min(_MAX_TASKS, -(-len(out) // _MIN_VECTORS)), len(saturations)), np.int64)
    row_first = np.searchsorted(reads.vector, np.arange(len(out) + 1))
    _convert_all(team(), noise, np.uint64(key), row_first, full, adc, out, counts)
    saturations += counts.sum(axis=0)


def convert_plain(
    reads: Reads, adc: Converters, key: int, out: NDArray[np.float64], saturations: NDArray[np.int64]
) -> None:
    """`convert` in numpy, the same bits."""
    n = reads.sums.shape[1]
    c0, c1, c2, gain, top, factor = (column[:n] for column in adc[:6])
    s = reads.sums.copy()
    if reads.offset is not None:
        for first, last, _, _, segment in adc.runs:
            s[:, first:last] += reads.offset[:, segment, None]
    z = c1 * s + c0 + c2 * s * s
    variance = np.zeros(1, np.float32) if reads.row_variance is None else reads.row_variance[:, None]
    if reads.variances is not None:
        variance = reads.variances
    if reads.variances is not None or reads.row_variance is not None or adc.adc_variance > 0:
        z = z + np.sqrt(variance * gain + adc.adc_variance) * normals_plain(key, reads.id, n)
    codes = z
    if not adc.ideal:
        rounded = np.floor(z)
        for first, last, s_index, _, _ in adc.runs:
            part = rounded[:, first:last]
            saturations[s_index] += np.count_nonzero((part > top[first:last]) | (part < 0))
        codes = np.clip(rounded, 0, top)
    totals = np.zeros((len(out), n))
    np.add.at(totals, reads.vector, codes.astype(np.float64) * reads.weight[:, None])  # one row after the other
    for first, last, _, out_first, _ in adc.runs:
        out[:, out_first : out_first + last - first] += totals[:, first:last] * factor[first:last].astype(np.float64)
