"""What ADCs make of analog column sums: read noise, conversion, shift-and-add, one pass over the sums.

A column sum is a whole number of grid steps in float32, as a matrix product gives it. Of a conversion,

    z = c0 + c1 s + c2 s^2 + sqrt(gain v + adc_variance) xi,    code = min(max(floor(z + 0.5), 0), max_code),

s is the sum, v the variance of its read noise (of the row's, or of every sum, or none) and xi a standard normal that
depends on (key, row id, column) alone. All of it is in float32, in the order written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import ArrayLike, NDArray

from xbar.kernels.lanes import Row, splat
from xbar.kernels.normal import BLOCK, normal_row, normals_plain, row_key
from xbar.kernels.parallel import parallel_for, team

WIDTH = 32
_VECTORS_PER_TASK = 8
_EXACT = 2**24  # float32 holds whole numbers up to here
SILENT, BY_ROW, BY_SUM = range(3)  # where the variance of the noise comes from


class Converters(NamedTuple):
    """The ADCs of a row block's columns and what becomes of their codes; made by `converters`.

    c0, c1, c2, gain, max_code, factor: float32 [col], padded with zeros (max_code: infinity) to a multiple of BLOCK.
    runs: int64 [run, 5], columns first..last of one slice that go to the out columns from out_first on, one by one:
    (first, last, slice, out_first, segment).
    adc_variance: of every conversion, in LSB^2. ideal: codes are z itself. exact: all codes of a row add up to whole
    numbers that float32 holds.
    """

    c0: NDArray[np.float32]
    c1: NDArray[np.float32]
    c2: NDArray[np.float32]
    gain: NDArray[np.float32]
    max_code: NDArray[np.float32]
    factor: NDArray[np.float32]
    runs: NDArray[np.int64]
    adc_variance: np.float32
    ideal: bool
    exact: bool


def converters(
    runs: Sequence[Sequence[int]] | NDArray[np.int64],
    factor: ArrayLike,
    max_code: ArrayLike | None = None,
    errors: ArrayLike = (0.0, 1.0, 0.0),
    lsb: ArrayLike = 1.0,
    sum_scale: float = 1.0,
    variance_scale: float = 1.0,
    sigma_lsb: float = 0.0,
) -> Converters:
    """Fold scales and errors of ADCs into the coefficients of `Converters`.

    runs: [run, 4 or 5], (first, last, slice, out_first, segment of `offset`: 0 if left out); they must cover all
    columns in ascending order.
    factor: [col] or one number, weight of a code. max_code: [col] or one number; None: an ideal ADC.
    errors: [col, 3] or [3], c0, c1, c2 of code = round(c0 + c1 y + c2 y^2 + sigma xi) for a sum of y LSB.
    lsb: [col] or one number, in the unit of a sum; sum_scale, variance_scale: grid steps of sums and variances in that
    unit and in its square. sigma_lsb: sigma of every conversion.
    """
    table = np.array(runs, np.int64)
    table = np.pad(table, ((0, 0), (0, 5 - table.shape[1])))
    n_cols = int(table[-1, 1])
    padded = -(-n_cols // BLOCK) * BLOCK

    def column(values: ArrayLike, fill: float = 0.0) -> NDArray[np.float32]:
        full = np.full(padded, fill, np.float32)
        full[:n_cols] = values
        return full

    c0, c1, c2 = np.broadcast_to(np.asarray(errors, np.float64), (n_cols, 3)).T
    steps = sum_scale / np.asarray(lsb, np.float64)
    gain = variance_scale / np.square(np.asarray(lsb, np.float64))
    factors, top = column(factor), column(np.inf if max_code is None else max_code, np.inf)
    largest = np.zeros(table[:, 3].max() + np.diff(table[:, :2]).max())
    for first, last, _, out_first, _ in table:
        largest[out_first : out_first + last - first] += (np.abs(factors) * np.minimum(top, 2.0**30))[first:last]
    exact = max_code is not None and bool((factors == np.rint(factors)).all()) and bool((largest <= _EXACT).all())
    return Converters(
        column(c0), column(c1 * steps), column(c2 * steps**2), column(gain), top, factors, table,
        np.float32(sigma_lsb**2), max_code is None, exact,
    )  # fmt: skip


@intrinsic
def _digitise(
    typingctx: Any, n: Any, sums: Any, mode: Any, variance: Any, variances: Any, normal: Any, adc: Any, ideal: Any,
    codes: Any, over: Any,
) -> Any:  # fmt: skip
    """Codes of n * WIDTH columns, and one less in `over` wherever a code was above its largest.

    sums, variances, normal, codes: addresses of float32; over: of int32. adc: addresses of c0, c1, c2, gain, max_code,
    then adc_variance. mode: SILENT; BY_ROW: `variance` holds for all columns; BY_SUM: `variances` does.
    """
    whole, real = types.intp, types.float32
    addresses = types.UniTuple(whole, 5)
    signature = types.void(
        whole, whole, whole, real, whole, whole, types.Tuple((addresses, real)), types.boolean, whole, whole
    )  # fmt: skip

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        for noise in (SILENT, BY_ROW, BY_SUM):
            with b.if_then(b.icmp_signed("==", args[2], ir.Constant(args[2].type, noise))):
                is_ideal = b.trunc(args[7], ir.IntType(1)) if args[7].type.width > 1 else args[7]
                with b.if_else(is_ideal) as (passed, rounded):
                    with passed:
                        _emit_codes(b, args, noise, True)
                    with rounded:
                        _emit_codes(b, args, noise, False)
        return context.get_dummy_value()

    return signature, codegen


def _emit_codes(b: Any, args: Any, noise: int, ideal: bool) -> None:
    n, sums, _, variance, variances, normal, adc, _, codes, over = args
    addresses, adc_variance = (b.extract_value(adc, i) for i in range(2))
    c0, c1, c2, gain, max_code = (Row(b, b.extract_value(addresses, i), WIDTH) for i in range(5))
    sum_row, code_row, over_row = Row(b, sums, WIDTH), Row(b, codes, WIDTH), Row(b, over, WIDTH, ir.IntType(32))
    of_adc, of_row = splat(b, adc_variance, WIDTH), splat(b, variance, WIDTH)
    with cgutils.for_range(b, n) as loop:
        i = loop.index
        s = sum_row.load(i)
        z = (c2.load(i) * s + c1.load(i)) * s + c0.load(i)
        if noise != SILENT:
            v = of_row if noise == BY_ROW else Row(b, variances, WIDTH).load(i)
            z = z + (v * gain.load(i) + of_adc).sqrt() * Row(b, normal, WIDTH).load(i)
        if not ideal:
            top = max_code.load(i)
            z = (z + 0.5).floor()
            over_row.store(i, over_row.load(i) + z.over(top))
            z = z.at_least(0.0).at_most(top)
        code_row.store(i, z)


@njit(cache=True)
def _add_whole(codes, factor, runs, total):  # type: ignore[no-untyped-def]
    """Add code times factor to the out columns of each run, in float32, which holds them all."""
    total[:] = 0
    for run in range(runs.shape[0]):
        first, last, at = runs[run, 0], runs[run, 1], runs[run, 3]
        part, code, by = total[at : at + last - first], codes[first:last], factor[first:last]
        for k in range(len(part)):
            part[k] += code[k] * by[k]


@njit(cache=True)
def _add_real(codes, factor, runs, total):  # type: ignore[no-untyped-def]
    """`_add_whole` in float64."""
    total[:] = 0
    for run in range(runs.shape[0]):
        first, last, at = runs[run, 0], runs[run, 1], runs[run, 3]
        part, code, by = total[at : at + last - first], codes[first:last], factor[first:last]
        for k in range(len(part)):
            part[k] += np.float64(code[k]) * np.float64(by[k])


@njit(cache=True)
def _padded_row(values, offset, runs, padded):  # type: ignore[no-untyped-def]
    """A row copied to where vectors may end behind it, with the offset of each segment added."""
    for run in range(runs.shape[0]):
        shift = offset[runs[run, 4]] if len(offset) else np.float32(0)
        for c in range(runs[run, 0], runs[run, 1]):
            padded[c] = values[c] + shift
    return padded.ctypes.data


@njit(cache=True)
def _convert_task(  # type: ignore[no-untyped-def]
    task, key, row_first, row_id, row_weight, sums, mode, row_variance, variances, offset, adc, out, saturations
):
    n_cols, padded = sums.shape[1], len(adc.c0)
    normal, codes, over = np.empty(padded, np.float32), np.empty(padded, np.float32), np.zeros(padded, np.int32)
    sum_row, variance_row = np.zeros(padded, np.float32), np.zeros(padded, np.float32)
    whole, real = np.empty(out.shape[1], np.float32), np.empty(out.shape[1], np.float64)
    n, in_place = (n_cols + WIDTH - 1) // WIDTH, n_cols % WIDTH == 0
    of_columns = (
        adc.c0.ctypes.data, adc.c1.ctypes.data, adc.c2.ctypes.data, adc.gain.ctypes.data, adc.max_code.ctypes.data
    )  # fmt: skip
    no_offset, variance = np.empty(0, np.float32), np.float32(0)
    sum_at, variance_at = 0, 0
    for v in range(task * _VECTORS_PER_TASK, min(len(out), (task + 1) * _VECTORS_PER_TASK)):
        for r in range(row_first[v], row_first[v + 1]):
            if in_place and len(offset) == 0:
                sum_at = sums.ctypes.data + r * sums.strides[0]
            else:
                sum_at = _padded_row(sums[r], offset[r] if len(offset) else no_offset, adc.runs, sum_row)
            if mode != SILENT:
                low, high = row_key(key, row_id[r])
                normal_row(low, high, padded // BLOCK, normal.ctypes.data)  # type: ignore[call-arg]
            if mode == BY_ROW:
                variance = row_variance[r]
            elif mode == BY_SUM and in_place:
                variance_at = variances.ctypes.data + r * variances.strides[0]
            elif mode == BY_SUM:
                variance_at = _padded_row(variances[r], no_offset, adc.runs, variance_row)
            _digitise(  # type: ignore[call-arg]
                n, sum_at, mode, variance, variance_at, normal.ctypes.data, (of_columns, adc.adc_variance), adc.ideal,
                codes.ctypes.data, over.ctypes.data,
            )  # fmt: skip
            if adc.exact:
                _add_whole(codes, adc.factor, adc.runs, whole)
                for k in range(out.shape[1]):
                    out[v, k] += np.float64(whole[k]) * row_weight[r]
            else:
                _add_real(codes, adc.factor, adc.runs, real)
                for k in range(out.shape[1]):
                    out[v, k] += real[k] * row_weight[r]
    for run in range(adc.runs.shape[0]):
        for c in range(adc.runs[run, 0], adc.runs[run, 1]):
            saturations[task, adc.runs[run, 2]] -= over[c]


@njit(cache=True)
def _convert_all(  # type: ignore[no-untyped-def]
    threads, key, row_first, row_id, row_weight, sums, mode, row_variance, variances, offset, adc, out, saturations
):
    arguments = (
        key, row_first, row_id, row_weight, sums, mode, row_variance, variances, offset, adc, out, saturations
    )  # fmt: skip
    parallel_for(threads, _convert_task, len(saturations), arguments)  # type: ignore[call-arg]


def convert(
    sums: NDArray[np.float32],
    row_vector: NDArray[np.int64],
    row_weight: NDArray[np.float64],
    row_id: NDArray[np.int64],
    adc: Converters,
    key: int,
    out: NDArray[np.float64],
    saturations: NDArray[np.int64],
    variances: NDArray[np.float32] | None = None,
    row_variance: NDArray[np.float32] | None = None,
    offset: NDArray[np.float32] | None = None,
) -> None:
    """Digitise column sums and add the codes to `out`, float64 [vector, out column]:

        out[row_vector, out column] += code * factor * row_weight,

    row by row, so that the result is the same bits for any number of threads. Codes above the largest are added to
    `saturations`, int64 [slice].

    sums: float32 [row, col], in grid steps; a row is one pulse of one vector. row_vector: [row], ascending.
    row_weight: [row], what a pulse counts. row_id: [row], which normals a row gets. key: 64 bits.
    variances: float32 [row, col] or row_variance: float32 [row], of the read noise, in grid steps; both None: no read
    noise. offset: float32 [row, segment], added to the sums of a segment's columns, in their grid steps.
    """
    mode = BY_SUM if variances is not None else BY_ROW if row_variance is not None or adc.adc_variance else SILENT
    if row_variance is None:
        row_variance = np.zeros(len(sums), np.float32)
    counts = np.zeros((-(-len(out) // _VECTORS_PER_TASK), len(saturations)), np.int64)
    nothing = np.empty((0, 0), np.float32)
    _convert_all(
        team(), np.uint64(key), np.searchsorted(row_vector, np.arange(len(out) + 1)), row_id.astype(np.uint64),
        row_weight, sums, mode, row_variance, nothing if variances is None else variances,
        nothing if offset is None else offset, adc, out, counts,
    )  # fmt: skip
    saturations += counts.sum(axis=0)


def convert_plain(
    sums: NDArray[np.float32],
    row_vector: NDArray[np.int64],
    row_weight: NDArray[np.float64],
    row_id: NDArray[np.int64],
    adc: Converters,
    key: int,
    out: NDArray[np.float64],
    saturations: NDArray[np.int64],
    variances: NDArray[np.float32] | None = None,
    row_variance: NDArray[np.float32] | None = None,
    offset: NDArray[np.float32] | None = None,
) -> None:
    """`convert` in numpy, the same bits."""
    n = sums.shape[1]
    c0, c1, c2, gain, top, factor = (column[:n] for column in adc[:6])
    s = sums.copy()
    for first, last, _, _, segment in adc.runs:
        if offset is not None:
            s[:, first:last] += offset[:, segment, None]
    z = (c2 * s + c1) * s + c0
    if variances is not None or row_variance is not None or adc.adc_variance:
        v = variances if variances is not None else np.float32(0) if row_variance is None else row_variance[:, None]
        z = z + np.sqrt(v * gain + adc.adc_variance) * normals_plain(key, row_id, n)
    codes = z if adc.ideal else np.clip(np.floor(z + np.float32(0.5)), 0, top)
    for first, last, s_index, _, _ in adc.runs:
        if not adc.ideal:
            above = np.floor(z + np.float32(0.5))[:, first:last] > top[first:last]
            saturations[s_index] += np.count_nonzero(above)
    products = codes.astype(np.float64) * factor.astype(np.float64)
    for r, v_index in enumerate(row_vector):
        total = np.zeros(out.shape[1])
        for first, last, _, out_first, _ in adc.runs:
            total[out_first : out_first + last - first] += products[r, first:last]
        out[v_index] += total * row_weight[r]
