"""Standard normal numbers that are a function of (key, row, column): the same for any batch, thread or machine.

A row's key is mixed from the key and the row's id with two rounds of a 64-bit finaliser (`xbar.kernels.mixing`), so
that rows are independent whatever their ids. Within a row a 32-bit
mixer (multipliers of Wellons, `hash-prospector`, and of MurmurHash3) with four words of the row's key makes two words
for a pair of columns, and the method of Box & Muller (Ann. Math. Stat. 29, 1958) two normals of them:

    n = sqrt(-2 ln u) (cos, sin)(pi v / 2),  u in (0, 1], v in [-1, 1], and a random sign for the cosine.

The polynomials are minimax fits; all is float32, u and v too. A normal differs from the formula in float64 by less than
1.5e-6. The largest magnitude is 6.56, what u = 2^-31 gives. Columns 64 b + i and 64 b + 32 + i (i < 32) are a pair.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from xbar.kernels.lanes import Lanes, Row, ramp, splat
from xbar.kernels.mixing import GOLDEN, counted, counted_plain, mixed, mixed_plain
from xbar.kernels.parallel import parallel_for, team

PAIRS = 32
BLOCK = 2 * PAIRS
_ROWS_PER_TASK = 64
_I32, _I64 = ir.IntType(32), ir.IntType(64)

_STEP = 0x9E3779B9
_MULTIPLIERS = (0x21F0AAAD, 0x735A2D97, 0x85EBCA6B, 0xC2B2AE35)
_ONE = 0x3F800000  # bits of 1.0
_MINUS_2_LN_2 = float(np.float32(-2 * np.log(2) / 2**23))  # per step of a float's bits


def _float32(*coefficients: float) -> tuple[float, ...]:
    return tuple(float(np.float32(c)) for c in coefficients)


# -2 (ln(2 - y) - (1 - y) ln 2) / (y - y^2) in powers of y, for y in (0, 1]: sqrt(-2 ln u) is within 4e-7
_LOG = _float32(
    -0.3862844662523558, -0.13662993192499534, -0.049841534150341316, -0.033563392691127854, 0.011205616020399746,
    -0.01853060608780122,
)  # fmt: skip
# sin(pi v / 2) / v in powers of v^2, for |v| <= 1: v times it is within 4e-9 of the sine
_SIN = _float32(
    1.5707962900221588, -0.6459633598625254, 0.07968848052638389, -0.004672227902215831, 0.00015082055410198247
)
# cos(pi v / 2) in powers of v^2, within 5e-8
_COS = _float32(
    0.9999999534699395, -1.233698214704662, 0.25365074473614835, -0.02081062761581287, 0.0008581906454507293
)


@njit(cache=True)
def row_key(key, row):  # type: ignore[no-untyped-def]
    """128 bits for a row, as two uint64."""
    low = counted(key, row)
    return low, mixed(low + GOLDEN)


def _row_key_plain(key: int, row: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    low = counted_plain(np.array([key], np.uint64), row)
    return low, mixed_plain(low + GOLDEN)


def _words(counter: Lanes, keys: list[Lanes]) -> tuple[Lanes, Lanes]:
    h = (counter ^ (counter >> 16)) * _MULTIPLIERS[0] ^ keys[1]
    h = (h ^ (h >> 15)) * _MULTIPLIERS[1]
    h = h ^ (h >> 15)
    g = (h ^ keys[2]) * _MULTIPLIERS[2]
    return h, (g ^ (g >> 16)) * _MULTIPLIERS[3] + keys[3]


def _split(word: Lanes) -> tuple[Lanes, Lanes]:
    """Of u = 2^exponent (2 - y), an odd multiple of 2^-31: y, and -2 ln 2 (exponent + 1 - y)."""
    bits = ((word >> 1) | 1).to_float().bits()
    y = 2.0 - ((bits & 0x7FFFFF) | _ONE).as_float()
    return y, (bits - (_ONE + (31 << 23))).to_float() * _MINUS_2_LN_2


def _square(y: Lanes, straight: Lanes) -> Lanes:
    """-2 ln u, the polynomial in pairs of terms."""
    y2 = y * y
    a = y2 * (y * _LOG[5] + _LOG[4]) + (y * _LOG[3] + _LOG[2])
    a = a * y2 + (y * _LOG[1] + _LOG[0])
    return straight + a * (y - y2)


def _circle(word: Lanes) -> tuple[Lanes, Lanes]:
    """A point on the unit circle."""
    v = word.to_float() * 2.0**-31
    q = v * v
    q2 = q * q
    sine = ((q2 * _SIN[4] + (q * _SIN[3] + _SIN[2])) * q2 + (q * _SIN[1] + _SIN[0])) * v
    cosine = (q2 * _COS[4] + (q * _COS[3] + _COS[2])) * q2 + (q * _COS[1] + _COS[0])
    return (cosine.bits() ^ (word << 31)).as_float(), sine


@intrinsic
def normal_rows(
    typingctx: Any, keys: Any, n_rows: Any, first_block: Any, n_blocks: Any, scratch: Any, out: Any
) -> Any:  # fmt: skip
    """Write normals of columns BLOCK * first_block ... BLOCK * (first_block + n_blocks) of some rows.

    keys: address of uint64 [row, 2], `row_key`. out: address of float32 [row, block, BLOCK]. scratch: of half its size.

    Four short loops, because a processor looks only some 60 vector operations ahead: in one loop those would be less
    than the chain of one pair, each waiting for the one before it.
    """
    whole = types.intp
    signature = types.void(whole, whole, whole, whole, whole, whole)

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        keys, n_rows, first_block, n_blocks, scratch, out = args
        _emit_words(b, keys, n_rows, first_block, n_blocks, out)
        words, floats = Row(b, out, PAIRS, _I32), Row(b, out, PAIRS)
        straight, n_pairs = Row(b, scratch, PAIRS), b.mul(n_rows, n_blocks)
        with cgutils.for_range(b, n_pairs) as loop:
            at = b.add(loop.index, loop.index)
            y, line = _split(words.load(at))
            floats.store(at, y)
            straight.store(loop.index, line)
        with cgutils.for_range(b, n_pairs) as loop:
            at = b.add(loop.index, loop.index)
            floats.store(at, _square(floats.load(at), straight.load(loop.index)))
        with cgutils.for_range(b, n_pairs) as loop:
            at = b.add(loop.index, loop.index)
            after = b.add(at, ir.Constant(_I64, 1))
            cosine, sine = _circle(words.load(after))
            radius = floats.load(at).sqrt()
            floats.store(at, radius * cosine)
            floats.store(after, radius * sine)
        return context.get_dummy_value()

    return signature, codegen


def _emit_words(b: Any, keys: Any, n_rows: Any, first_block: Any, n_blocks: Any, out: Any) -> None:
    """The two words of every pair, where its two normals will be."""
    key_words, words = b.inttoptr(keys, _I32.as_pointer()), Row(b, out, PAIRS, _I32)
    start = ramp(b, _STEP, PAIRS) + splat(b, b.trunc(first_block, _I32), PAIRS) * (_STEP * PAIRS)
    with cgutils.for_range(b, n_rows) as row:
        four = b.mul(row.index, ir.Constant(_I64, 4))
        parts = [b.load(b.gep(key_words, [b.add(four, ir.Constant(_I64, i))])) for i in range(4)]
        of_row = [splat(b, part, PAIRS) for part in parts]
        counter = cgutils.alloca_once(b, start.value.type)
        b.store((start + of_row[0]).value, counter)
        first = b.mul(row.index, n_blocks)
        with cgutils.for_range(b, n_blocks) as block:
            now = Lanes(b, b.load(counter))
            b.store((now + _STEP * PAIRS).value, counter)
            at = b.shl(b.add(first, block.index), ir.Constant(_I64, 1))
            h, g = _words(now, of_row)
            words.store(at, h)
            words.store(b.add(at, ir.Constant(_I64, 1)), g)


@njit(cache=True)
def _normals_task(task, key, row_id, out):  # type: ignore[no-untyped-def]
    n = out.shape[1]
    keys = np.empty((_ROWS_PER_TASK, 2), np.uint64)
    rows = np.empty((_ROWS_PER_TASK, BLOCK), np.float32)
    scratch = np.empty((_ROWS_PER_TASK, PAIRS), np.float32)
    first = task * _ROWS_PER_TASK
    n_rows = min(len(row_id) - first, _ROWS_PER_TASK)
    for r in range(n_rows):
        keys[r] = row_key(key, row_id[first + r])
    for block in range((n + BLOCK - 1) // BLOCK):
        normal_rows(keys.ctypes.data, n_rows, block, 1, scratch.ctypes.data, rows.ctypes.data)  # type: ignore[call-arg]
        columns = min(BLOCK, n - block * BLOCK)
        out[first : first + n_rows, block * BLOCK : block * BLOCK + columns] = rows[:n_rows, :columns]


@njit(cache=True)
def _normals_all(threads, key, row_id, out):  # type: ignore[no-untyped-def]
    parallel_for(threads, _normals_task, -(-len(row_id) // _ROWS_PER_TASK), (key, row_id, out))  # type: ignore[call-arg]


def normals(key: int, row_id: NDArray[np.integer], n: int) -> NDArray[np.float32]:
    """Standard normals, float32 [row, n]: element (i, c) depends on key (64 bits), row_id[i] and c alone."""
    out = np.empty((len(row_id), n), np.float32)
    _normals_all(team(), np.uint64(key), np.ascontiguousarray(row_id).astype(np.uint64), out)
    return out


def words_plain(key: int, row_id: NDArray[np.integer], n_blocks: int) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """The two words of every pair of columns, uint32 [row, pair] each, in numpy."""
    low, high = _row_key_plain(key, np.asarray(row_id).astype(np.uint64))
    k0, k1, k2, k3 = (part.astype(np.uint32)[:, None] for k in (low, high) for part in (k, k >> np.uint64(32)))
    m0, m1, m2, m3 = (np.uint32(m) for m in _MULTIPLIERS)
    h = k0 + np.arange(n_blocks * PAIRS, dtype=np.uint32) * np.uint32(_STEP)
    h = ((h ^ (h >> 16)) * m0) ^ k1
    h = (h ^ (h >> 15)) * m1
    h ^= h >> 15
    g = (h ^ k2) * m2
    return h, (g ^ (g >> 16)) * m3 + k3


def radius_plain(word: NDArray[np.uint32]) -> NDArray[np.float32]:
    """sqrt(-2 ln u) in numpy; u is `word` / 2^32, rounded to an odd multiple of 2^-31 and then to float32."""
    log = np.array(_LOG, np.float32)
    bits = ((word >> 1) | 1).astype(np.float32).view(np.int32)
    y = 2 - ((bits & 0x7FFFFF) | _ONE).view(np.float32)
    a = y * y * (y * log[5] + log[4]) + (y * log[3] + log[2])
    a = a * (y * y) + (y * log[1] + log[0])
    straight = (bits - (_ONE + (31 << 23))).astype(np.float32) * np.float32(_MINUS_2_LN_2)
    return np.sqrt(straight + a * (y - y * y))


def normals_plain(key: int, row_id: NDArray[np.integer], n: int) -> NDArray[np.float32]:
    """`normals` in numpy, the same bits."""
    n_blocks = -(-n // BLOCK)
    h, g = words_plain(key, row_id, n_blocks)
    radius, sin, cos = radius_plain(h), np.array(_SIN, np.float32), np.array(_COS, np.float32)
    v = g.view(np.int32).astype(np.float32) * np.float32(2.0**-31)
    q = v * v
    sine = ((q * q * sin[4] + (q * sin[3] + sin[2])) * (q * q) + (q * sin[1] + sin[0])) * v
    cosine = (q * q * cos[4] + (q * cos[3] + cos[2])) * (q * q) + (q * cos[1] + cos[0])
    cosine = np.where(g & 1, -cosine, cosine)
    pairs = [(radius * part).reshape(len(h), n_blocks, 1, PAIRS) for part in (cosine, sine)]
    return np.concatenate(pairs, axis=2).reshape(len(h), n_blocks * BLOCK)[:, :n]
