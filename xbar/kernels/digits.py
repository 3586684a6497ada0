"""Inputs as the word line voltages of single pulses, one row of digits for each, ready for a matrix product."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from xbar.kernels.parallel import parallel_for, team

_VECTORS_PER_TASK = 16


class DigitRows(NamedTuple):
    """Pulses of vectors, by vector and then by pulse.

    digits: float32 [pulse of a vector, row]. vector, pulse: int64 [pulse of a vector], which they are.
    """

    digits: NDArray[np.float32]
    vector: NDArray[np.int64]
    pulse: NDArray[np.int64]


@njit(cache=True)
def _any_bit_task(task, x, any_bit):  # type: ignore[no-untyped-def]
    for v in range(task * _VECTORS_PER_TASK, min(len(x), (task + 1) * _VECTORS_PER_TASK)):
        bits = np.int64(0)
        for r in range(x.shape[1]):
            bits |= np.int64(x[v, r])
        any_bit[v] = bits


@njit(cache=True)
def _digits_task(task, x, first_row, pulse, digit, digits):  # type: ignore[no-untyped-def]
    values = np.empty(x.shape[1], np.uint32)
    for v in range(task * _VECTORS_PER_TASK, min(len(x), (task + 1) * _VECTORS_PER_TASK)):
        for r in range(len(values)):
            values[r] = np.uint32(x[v, r])
        for row in range(first_row[v], first_row[v + 1]):
            p = pulse[row]
            bit, mask = np.uint32(digit[p, 0] & 31), np.uint32((1 << digit[p, 1]) - 1)
            out = digits[row]
            for r in range(len(values)):
                out[r] = np.float32(np.int32((values[r] >> bit) & mask))


@njit(cache=True)
def _any_bit_all(threads, x, any_bit):  # type: ignore[no-untyped-def]
    parallel_for(threads, _any_bit_task, -(-len(x) // _VECTORS_PER_TASK), (x, any_bit))  # type: ignore[call-arg]


@njit(cache=True)
def _digits_all(threads, x, first_row, pulse, digit, digits):  # type: ignore[no-untyped-def]
    arguments = (x, first_row, pulse, digit, digits)
    parallel_for(threads, _digits_task, -(-len(x) // _VECTORS_PER_TASK), arguments)  # type: ignore[call-arg]


def digit_rows(
    x: NDArray[np.signedinteger | np.unsignedinteger], digit: NDArray[np.int64], keep_silent: bool = False
) -> DigitRows:
    """The digits of all pulses of `x`, integers [vector, row], but those of pulses without an active word line.

    digit: `xbar.kernels.pulses.digit_table`; signed inputs are two's complement. keep_silent: all pulses. Of the
    len(x) * len(digit) pulses those that are not in the result are silent.
    """
    any_bit = np.empty(len(x), np.int64)
    _any_bit_all(team(), x, any_bit)
    named = ((any_bit[:, None] >> digit[:, 0]) & ((1 << digit[:, 1]) - 1) != 0) | keep_silent
    vector, pulse = map(np.ascontiguousarray, np.nonzero(named))  # else kernels would be compiled for views too
    first_row = np.concatenate([[0], np.cumsum(named.sum(axis=1))])
    digits = np.empty((len(vector), x.shape[1]), np.float32)
    _digits_all(team(), x, first_row, pulse, digit, digits)
    return DigitRows(digits, vector, pulse)


def digit_rows_plain(
    x: NDArray[np.signedinteger | np.unsignedinteger], digit: NDArray[np.int64], keep_silent: bool = False
) -> DigitRows:
    """`digit_rows` in numpy."""
    digits = (x.astype(np.int64)[:, None, :] >> digit[:, :1]) & ((1 << digit[:, 1:2]) - 1)
    vector, pulse = np.nonzero(digits.any(axis=2) | keep_silent)
    return DigitRows(digits[vector, pulse].astype(np.float32), vector, pulse)
