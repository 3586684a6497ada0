"""Inputs as pulses: bit packing, what word lines carry, and what no ADC of a layer can clip.

Inputs are int32; signed ones are two's complement, so that bit `input_bits - 1` is the sign pulse. Each kernel has a
plain numpy twin (`..._plain`) that a test compares.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from xbar.kernels.parallel import parallel_for, team

_VECTORS_PER_TASK = 16
_COUNT_TASKS = 64
_COUNTED_AT_ONCE = 1 << 14  # vectors: the squared digits of one are below 2^17, and a sum of them has 32 bits


@intrinsic
def _count_ones(typingctx, word):  # type: ignore[no-untyped-def]
    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.call(builder.module.declare_intrinsic("llvm.ctpop", [ir.IntType(32)]), args)

    return types.uint32(types.uint32), codegen


def digit_table(input_bits: int, signed: bool, dac_bits: int) -> NDArray[np.int64]:
    """Pulses of one input, int64 [pulse, 3]: first bit of the digit, number of its bits, weight of the pulse.

    Magnitude bits go `dac_bits` a pulse, least significant first; a sign bit has the last pulse, of negative weight.
    """
    magnitude = input_bits - signed
    rows = [(bit, min(dac_bits, magnitude - bit), 1 << bit) for bit in range(0, magnitude, dac_bits)]
    if signed:
        rows.append((input_bits - 1, 1, -(1 << (input_bits - 1))))
    return np.array(rows, np.int64).reshape(-1, 3)


class Packed(NamedTuple):
    """Bit-packed inputs of some (group, block) pairs.

    words: uint32 [pair, vector, bit, word]. n_active: int32 [pair, vector, pulse], word lines with a non-zero digit.
    """

    words: NDArray[np.uint32]
    n_active: NDArray[np.int32]


@njit(cache=True)
def _transposed(octet):  # type: ignore[no-untyped-def]
    """8x8 bits: bit b of byte r becomes bit r of byte b (Warren, Hacker's Delight, section 7-3)."""
    swap = (octet ^ (octet >> np.uint64(7))) & np.uint64(0x00AA00AA00AA00AA)
    octet = octet ^ swap ^ (swap << np.uint64(7))
    swap = (octet ^ (octet >> np.uint64(14))) & np.uint64(0x0000CCCC0000CCCC)
    octet = octet ^ swap ^ (swap << np.uint64(14))
    swap = (octet ^ (octet >> np.uint64(28))) & np.uint64(0x00000000F0F0F0F0)
    return octet ^ swap ^ (swap << np.uint64(28))


@njit(cache=True)
def _pack_task(task, x, pair_group, pair_rows, digit, words, n_active):  # type: ignore[no-untyped-def]
    n_pairs, n_vectors, n_bits, n_words = words.shape
    for v in range(task * _VECTORS_PER_TASK, min(n_vectors, (task + 1) * _VECTORS_PER_TASK)):
        for pair in range(n_pairs):
            group, last = pair_group[pair], pair_rows[pair, 1]
            words[pair, v] = 0
            for first in range(pair_rows[pair, 0], last, 8):
                place = first - pair_rows[pair, 0]
                for low in range(0, n_bits, 8):
                    octet = np.uint64(0)
                    if last - first >= 8:
                        for r in range(8):  # a fixed length, which the compiler unrolls
                            octet |= np.uint64((np.int64(x[v, group, first + r]) >> low) & 255) << np.uint64(8 * r)
                    else:
                        for r in range(last - first):
                            octet |= np.uint64((np.int64(x[v, group, first + r]) >> low) & 255) << np.uint64(8 * r)
                    octet = _transposed(octet)
                    for bit in range(low, min(n_bits, low + 8)):
                        byte = (octet >> np.uint64(8 * (bit - low))) & np.uint64(255)
                        words[pair, v, bit, place // 32] |= np.uint32(byte << np.uint64(place % 32))
            for p in range(digit.shape[0]):
                count = 0
                for w in range(n_words):
                    any_bit = np.uint32(0)
                    for i in range(digit[p, 1]):
                        any_bit |= words[pair, v, digit[p, 0] + i, w]
                    count += _count_ones(any_bit)  # type: ignore[call-arg]
                n_active[pair, v, p] = count


@njit(cache=True)
def _pack_all(threads, x, pair_group, pair_rows, digit, words, n_active):  # type: ignore[no-untyped-def]
    n_tasks = -(-words.shape[1] // _VECTORS_PER_TASK)
    parallel_for(threads, _pack_task, n_tasks, (x, pair_group, pair_rows, digit, words, n_active))  # type: ignore[call-arg]


def pack_pulses(
    x: NDArray[np.signedinteger | np.unsignedinteger],
    pair_group: NDArray[np.int64],
    pair_rows: NDArray[np.int64],
    n_words: int,
    input_bits: int,
    digit: NDArray[np.int64],
) -> Packed:
    """Bits of the inputs of each pair's rows, 32 rows a word, and the number of active word lines of every pulse.

    x: integers [vector, group, row]; pair_group: [pair]; pair_rows: [pair, 2], first row and last + 1;
    digit: `digit_table`.
    """
    words = np.empty((len(pair_group), len(x), input_bits, n_words), np.uint32)
    n_active = np.empty((len(pair_group), len(x), len(digit)), np.int32)
    _pack_all(team(), x, pair_group, pair_rows, digit, words, n_active)
    return Packed(words, n_active)


def pack_pulses_plain(
    x: NDArray[np.signedinteger | np.unsignedinteger],
    pair_group: NDArray[np.int64],
    pair_rows: NDArray[np.int64],
    n_words: int,
    input_bits: int,
    digit: NDArray[np.int64],
) -> Packed:
    """`pack_pulses` in numpy."""
    words = np.zeros((len(pair_group), len(x), input_bits, n_words), np.uint32)
    n_active = np.zeros((len(pair_group), len(x), len(digit)), np.int32)
    for pair, (group, (first, last)) in enumerate(zip(pair_group, pair_rows, strict=True)):
        rows = x[:, group, first:last].astype(np.int64)
        for r in range(last - first):
            for bit in range(input_bits):
                words[pair, :, bit, r // 32] |= (((rows[:, r] >> bit) & 1) << (r % 32)).astype(np.uint32)
        for p, (bit, n_bits, _) in enumerate(digit):
            n_active[pair, :, p] = ((rows >> bit) & ((1 << n_bits) - 1) != 0).sum(axis=1)
    return Packed(words, n_active)


@njit(cache=True)
def _route(n_active, n_safe, pulse_bits, send, active, kept):  # type: ignore[no-untyped-def]
    n_pairs, n_vectors, n_pulses = n_active.shape
    for pair in range(n_pairs):
        for v in range(n_vectors):
            through, some, bits = np.uint32(0), np.uint32(0), np.int32(0)
            for p in range(n_pulses):
                n = n_active[pair, v, p]
                if n > 0:
                    some |= np.uint32(1) << np.uint32(p)
                if n > n_safe[pair, p]:
                    through |= np.uint32(1) << np.uint32(p)
                else:
                    bits |= pulse_bits[p]
            send[pair, v], active[pair, v], kept[pair, v] = through, some, bits


class Routes(NamedTuple):
    """Where pulses go, [pair, vector] each.

    Bit p of `send` (uint32) is set where pulse p may clip and goes through the kernel, that of `active` (uint32) where
    it is not empty; `kept` (int32) masks the bits of x whose pulses cannot clip.
    """

    send: NDArray[np.uint32]
    active: NDArray[np.uint32]
    kept: NDArray[np.int32]


def route_pulses(n_active: NDArray[np.int32], n_safe: NDArray[np.int32], pulse_bits: NDArray[np.int32]) -> Routes:
    """Split the pulses: those with at most n_safe [pair, pulse] active word lines cannot clip.

    pulse_bits: int32 [pulse], the bits of x that a pulse carries (for the sign pulse all bits above, too).
    """
    shape = n_active.shape[:2]
    routes = Routes(np.empty(shape, np.uint32), np.empty(shape, np.uint32), np.empty(shape, np.int32))
    _route(n_active, n_safe, pulse_bits, *routes)
    return routes


def route_pulses_plain(n_active: NDArray[np.int32], n_safe: NDArray[np.int32], pulse_bits: NDArray[np.int32]) -> Routes:
    """`route_pulses` in numpy."""
    flags = (1 << np.arange(n_active.shape[2])).astype(np.uint32)
    through = n_active > n_safe[:, None, :]
    return Routes(
        (through * flags).sum(axis=2).astype(np.uint32),
        ((n_active > 0) * flags).sum(axis=2).astype(np.uint32),
        np.bitwise_or.reduce(np.where(through, 0, pulse_bits), axis=2).astype(np.int32),
    )


@njit(cache=True)
def _keep_task(task, x, pair_group, pair_rows, kept, out):  # type: ignore[no-untyped-def]
    for v in range(task * _VECTORS_PER_TASK, min(len(x), (task + 1) * _VECTORS_PER_TASK)):
        for pair in range(kept.shape[0]):
            group, mask = pair_group[pair], kept[pair, v]
            for r in range(pair_rows[pair, 0], pair_rows[pair, 1]):
                out[v, group, r] = np.float32(np.int32(x[v, group, r]) & mask)


@njit(cache=True)
def _keep_all(threads, x, pair_group, pair_rows, kept, out):  # type: ignore[no-untyped-def]
    n_tasks = -(-len(x) // _VECTORS_PER_TASK)
    parallel_for(threads, _keep_task, n_tasks, (x, pair_group, pair_rows, kept, out))  # type: ignore[call-arg]


def keep_bits(
    x: NDArray[np.signedinteger | np.unsignedinteger],
    pair_group: NDArray[np.int64],
    pair_rows: NDArray[np.int64],
    kept: NDArray[np.int32],
    out: NDArray[np.float32],
) -> None:
    """Write the part of the inputs whose bits `kept` [pair, vector] names to `out`, float32 [vector, group, row]."""
    _keep_all(team(), x, pair_group, pair_rows, kept, out)


def keep_bits_plain(
    x: NDArray[np.signedinteger | np.unsignedinteger],
    pair_group: NDArray[np.int64],
    pair_rows: NDArray[np.int64],
    kept: NDArray[np.int32],
    out: NDArray[np.float32],
) -> None:
    """`keep_bits` in numpy."""
    for pair, (group, (first, last)) in enumerate(zip(pair_group, pair_rows, strict=True)):
        out[:, group, first:last] = x[:, group, first:last].astype(np.int32) & kept[pair][:, None]


class LineDigits(NamedTuple):
    """What each word line carried over all vectors and pulses, int64 [group, row].

    active: digits that are not zero; squares: the sum of the squared digits.
    """

    active: NDArray[np.int64]
    squares: NDArray[np.int64]


@njit(cache=True)
def _count_task(task, flat, table, mask, share, counts):  # type: ignore[no-untyped-def]
    sums = np.zeros(flat.shape[1], np.uint64)
    for v in range(task * share, min(len(flat), (task + 1) * share)):
        for line in range(len(sums)):
            sums[line] += table[np.uint32(np.int32(flat[v, line])) & mask]
    counts[task] = sums


@njit(cache=True)
def _count_all(threads, flat, table, mask, share, counts):  # type: ignore[no-untyped-def]
    parallel_for(threads, _count_task, len(counts), (flat, table, mask, share, counts))  # type: ignore[call-arg]


def count_digits(
    x: NDArray[np.signedinteger | np.unsignedinteger], input_bits: int, signed: bool, dac_bits: int
) -> LineDigits:
    """Digits of inputs [vector, group, row], counted by word line and added up squared, in one look-up each."""
    codes = np.arange(1 << input_bits)  # what an input looks like as a word, two's complement
    digits = [(codes >> bit) & ((1 << n_bits) - 1) for bit, n_bits, _ in digit_table(input_bits, signed, dac_bits)]
    table = sum((((d > 0) << 32) + d**2).astype(np.uint64) for d in digits)  # both counts in one word
    share = min(-(-len(x) // _COUNT_TASKS), _COUNTED_AT_ONCE) or 1
    counts = np.empty((-(-len(x) // share), math.prod(x.shape[1:])), np.uint64)
    _count_all(team(), x.reshape(len(x), counts.shape[1]), table, np.uint32(len(codes) - 1), share, counts)
    active, squares = (counts >> 32).sum(axis=0), (counts & 0xFFFFFFFF).sum(axis=0)
    return LineDigits(*(n.astype(np.int64).reshape(x.shape[1:]) for n in (active, squares)))


def count_digits_plain(
    x: NDArray[np.signedinteger | np.unsignedinteger], input_bits: int, signed: bool, dac_bits: int
) -> LineDigits:
    """`count_digits` in numpy."""
    active, squares = np.zeros((2, *x.shape[1:]), np.int64)
    for bit, n_bits, _ in digit_table(input_bits, signed, dac_bits):
        digit = (x.astype(np.int64) >> bit) & ((1 << n_bits) - 1)
        active += np.count_nonzero(digit, axis=0)
        squares += (digit**2).sum(axis=0)
    return LineDigits(active, squares)


@njit(cache=True)
def _unit(words, digit, max_code, out):  # type: ignore[no-untyped-def]
    n_pairs, n_vectors, _, n_words = words.shape
    over = 0
    for pair in range(n_pairs):
        for v in range(n_vectors):
            total = 0
            for p in range(digit.shape[0]):
                u = 0
                for i in range(digit[p, 1]):
                    for w in range(n_words):
                        word = words[pair, v, digit[p, 0] + i, w]
                        u += np.int64(_count_ones(word)) << i  # type: ignore[call-arg, assignment]
                over += u > max_code
                total += min(u, max_code) * digit[p, 2]
            out[pair, v] = total
    return over


def unit_codes(words: NDArray[np.uint32], digit: NDArray[np.int64], max_code: int) -> tuple[NDArray[np.int64], int]:
    """Digitised, shifted sums of the unit columns, int64 [pair, vector], and their saturated conversions."""
    out = np.empty(words.shape[:2], np.int64)
    return out, int(_unit(words, digit, max_code, out))


def unit_codes_plain(
    words: NDArray[np.uint32], digit: NDArray[np.int64], max_code: int
) -> tuple[NDArray[np.int64], int]:
    """`unit_codes` in numpy."""
    ones = np.bitwise_count(words).sum(axis=3, dtype=np.int64)  # [pair, vector, bit]
    out, saturated = np.zeros(words.shape[:2], np.int64), 0
    for bit, n_bits, weight in digit:
        u = (ones[:, :, bit : bit + n_bits] << np.arange(n_bits)).sum(axis=2)
        saturated += int(np.count_nonzero(u > max_code))
        out += np.minimum(u, max_code) * weight
    return out, saturated
