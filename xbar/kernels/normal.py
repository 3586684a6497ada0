"""Standard normal numbers that are a function of (key, row, column): the same for any batch, thread or machine.

A row's key is mixed from the key and the row's id with two rounds of a 64-bit finaliser (Stafford's mix 13, as in
SplitMix64; Steele, Lea & Flood, OOPSLA 2014), so that rows are independent whatever their ids. Within a row a 32-bit
mixer (multipliers of Wellons, `hash-prospector`, and of MurmurHash3) with four words of the row's key makes two words
for a pair of columns, and the method of Box & Muller (Ann. Math. Stat. 29, 1958) two normals of them:

    n = sqrt(-2 ln u) (cos, sin)(pi v / 2),  u in (0, 1], v in [-1, 1), and a random sign for the cosine.

The polynomials are minimax fits; float32 throughout. A normal differs from the same formula in float64 by less than
1e-6. The largest magnitude is 6.56, what u = 2^-31 gives. Columns 64 b + i and 64 b + 32 + i (i < 32) are a pair.
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
from xbar.kernels.parallel import parallel_for, team

PAIRS = 32
BLOCK = 2 * PAIRS
_ROWS_PER_TASK = 64

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio
_STEP = 0x9E3779B9
_MULTIPLIERS = (0x21F0AAAD, 0x735A2D97, 0x85EBCA6B, 0xC2B2AE35)
_SQRT_HALF = 0x3F3504F3  # bits of the float32 below sqrt(1/2)
_MINUS_2_LN_2 = float(np.float32(-2 * np.log(2)))


def _float32(*coefficients: float) -> tuple[float, ...]:
    return tuple(float(np.float32(c)) for c in coefficients)


# -2 ln(1 + f) / f for 1 + f in [sqrt(1/2), sqrt(2)): within 1.2e-6 of it, relative
_LOG = _float32(
    -2.0000017547863088, 1.0000279665814214, -0.6663205872672909, 0.49793783707674763, -0.4090951175925854,
    0.3756547602, -0.2442197687154,
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
def _mixed(z):  # type: ignore[no-untyped-def]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@njit(cache=True)
def row_key(key, row):  # type: ignore[no-untyped-def]
    """128 bits for a row, as two uint64."""
    low = _mixed(_mixed(key + _GOLDEN) + row * _GOLDEN)
    return low, _mixed(low + _GOLDEN)


def _row_key_plain(key: int, row: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    def mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))

    low = mixed(mixed(np.array([key], np.uint64) + _GOLDEN) + row * _GOLDEN)
    return low, mixed(low + _GOLDEN)


def _angle_word(first: Lanes, keys: list[Lanes]) -> Lanes:
    g = (first ^ keys[2]) * _MULTIPLIERS[2]
    g = (g ^ (g >> 16)) * _MULTIPLIERS[3] + keys[3]
    return g ^ (g >> 15)


def _radius_word(counter: Lanes, keys: list[Lanes]) -> Lanes:
    h = (counter ^ (counter >> 16)) * _MULTIPLIERS[0] ^ keys[1]
    h = (h ^ (h >> 15)) * _MULTIPLIERS[1]
    return h ^ (h >> 15)


def _radius(word: Lanes) -> Lanes:
    """sqrt(-2 ln u), u = word / 2^32 rounded to an odd multiple of 2^-31; a polynomial in pairs of terms."""
    u = ((word >> 1) | 1).to_float().bits() - (_SQRT_HALF + (31 << 23))  # exponents are now those of u
    exponent = u.signed_shift(23).to_float()
    f = ((u & 0x7FFFFF) + _SQRT_HALF).as_float() - 1.0
    f2 = f * f
    a = f2 * _LOG[6] + (f * _LOG[5] + _LOG[4])
    a = a * f2 + (f * _LOG[3] + _LOG[2])
    a = a * f2 + (f * _LOG[1] + _LOG[0])
    return (exponent * _MINUS_2_LN_2 + a * f).sqrt()


def _circle(angle: Lanes, sign: Lanes) -> tuple[Lanes, Lanes]:
    """A point on the unit circle."""
    v = angle.to_float() * 2.0**-31
    q = v * v
    q2 = q * q
    sine = ((q2 * _SIN[4] + (q * _SIN[3] + _SIN[2])) * q2 + (q * _SIN[1] + _SIN[0])) * v
    cosine = (q2 * _COS[4] + (q * _COS[3] + _COS[2])) * q2 + (q * _COS[1] + _COS[0])
    return (cosine.bits() ^ (sign << 31)).as_float(), sine


@intrinsic
def normal_row(typingctx: Any, low: Any, high: Any, n_blocks: Any, out: Any) -> Any:
    """Write n_blocks * BLOCK normals of the row with `row_key` (low, high) to address `out`, float32."""
    signature = types.void(types.uint64, types.uint64, types.intp, types.intp)

    def codegen(context: Any, b: Any, signature: Any, args: Any) -> Any:
        word, one, half = ir.IntType(32), ir.Constant(ir.IntType(64), 1), ir.Constant(ir.IntType(64), 32)
        parts = [b.trunc(part, word) for k in args[:2] for part in (k, b.lshr(k, half))]
        keys = [splat(b, part, PAIRS) for part in parts]
        row = Row(b, args[3], PAIRS)
        counter = cgutils.alloca_once_value(b, (ramp(b, _STEP, PAIRS) + keys[0]).value)
        with cgutils.for_range(b, args[2]) as block:
            now = Lanes(b, b.load(counter))
            b.store((now + _STEP * PAIRS).value, counter)
            h = _radius_word(now, keys)
            radius = _radius(h)
            cosine, sine = _circle(_angle_word(h, keys), h)
            at = b.add(block.index, block.index)
            row.store(at, radius * cosine)
            row.store(b.add(at, one), radius * sine)
        return context.get_dummy_value()

    return signature, codegen


@njit(cache=True)
def _normals_task(task, key, row_id, out):  # type: ignore[no-untyped-def]
    n = out.shape[1]
    n_blocks = (n + BLOCK - 1) // BLOCK
    padded = np.empty(n_blocks * BLOCK, np.float32)
    for r in range(task * _ROWS_PER_TASK, min(len(row_id), (task + 1) * _ROWS_PER_TASK)):
        low, high = row_key(key, row_id[r])
        normal_row(low, high, n_blocks, padded.ctypes.data)  # type: ignore[call-arg]
        out[r] = padded[:n]


@njit(cache=True)
def _normals_all(threads, key, row_id, out):  # type: ignore[no-untyped-def]
    parallel_for(threads, _normals_task, -(-len(row_id) // _ROWS_PER_TASK), (key, row_id, out))  # type: ignore[call-arg]


def normals(key: int, row_id: NDArray[np.integer], n: int) -> NDArray[np.float32]:
    """Standard normals, float32 [row, n]: element (i, c) depends on key (64 bits), row_id[i] and c alone."""
    out = np.empty((len(row_id), n), np.float32)
    _normals_all(team(), np.uint64(key), np.ascontiguousarray(row_id).astype(np.uint64), out)
    return out


def normals_plain(key: int, row_id: NDArray[np.integer], n: int) -> NDArray[np.float32]:
    """`normals` in numpy, the same bits."""
    low, high = _row_key_plain(key, np.asarray(row_id).astype(np.uint64))
    k0, k1, k2, k3 = (part.astype(np.uint32)[:, None] for k in (low, high) for part in (k, k >> np.uint64(32)))
    m0, m1, m2, m3 = (np.uint32(m) for m in _MULTIPLIERS)
    n_blocks = -(-n // BLOCK)
    h = k0 + np.arange(n_blocks * PAIRS, dtype=np.uint32) * np.uint32(_STEP)
    h = ((h ^ (h >> 16)) * m0) ^ k1
    h = (h ^ (h >> 15)) * m1
    h ^= h >> 15
    g = (h ^ k2) * m2
    g = (g ^ (g >> 16)) * m3 + k3
    g ^= g >> 15

    bits = ((h >> 1) | 1).astype(np.int32).astype(np.float32).view(np.int32) - np.int32(_SQRT_HALF + (31 << 23))
    f = ((bits & 0x7FFFFF) + _SQRT_HALF).view(np.float32) - 1
    log, sin, cos = (np.array(c, np.float32) for c in (_LOG, _SIN, _COS))
    a = f * f * log[6] + (f * log[5] + log[4])
    a = a * (f * f) + (f * log[3] + log[2])
    a = a * (f * f) + (f * log[1] + log[0])
    radius = np.sqrt((bits >> 23).astype(np.float32) * np.float32(_MINUS_2_LN_2) + a * f)
    v = g.view(np.int32).astype(np.float32) * np.float32(2.0**-31)
    q = v * v
    sine = ((q * q * sin[4] + (q * sin[3] + sin[2])) * (q * q) + (q * sin[1] + sin[0])) * v
    cosine = (q * q * cos[4] + (q * cos[3] + cos[2])) * (q * q) + (q * cos[1] + cos[0])
    cosine = np.where(h & 1, -cosine, cosine)
    pairs = [(radius * part).reshape(len(h), n_blocks, 1, PAIRS) for part in (cosine, sine)]
    return np.concatenate(pairs, axis=2).reshape(len(h), n_blocks * BLOCK)[:, :n]
