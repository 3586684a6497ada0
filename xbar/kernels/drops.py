"""Voltage drops along word lines and bit lines for given currents of the cells: running sums, forth and back.

The numba functions are for other kernels; `drops` is for arrays.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from xbar.kernels.wires import Wires

Floats = NDArray[np.float64]


@njit(cache=True, fastmath={"contract"})
def word_drop(current, word_Ohm, end, drop):  # type: ignore[no-untyped-def]
    """Drops along the word lines, for what the cells draw; four rows at a time, whose sums overlap in time."""
    k, n = current.shape
    for first in range(0, k, 4):
        a, b, c, d = first, min(first + 1, k - 1), min(first + 2, k - 1), min(first + 3, k - 1)
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        for j in range(n - 1, -1, -1):
            s0 += current[a, j]
            s1 += current[b, j]
            s2 += current[c, j]
            s3 += current[d, j]
            drop[a, j], drop[b, j], drop[c, j], drop[d, j] = s0, s1, s2, s3
        if first + 4 > k:  # fewer than four rows are left, and none may be summed twice
            for row in range(first, k):
                s0 = 0.0
                for j in range(n):
                    s0 += word_Ohm[j] * drop[row, j]
                    drop[row, j] = s0
            continue
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        for j in range(n):
            r = word_Ohm[j]
            s0 += r * drop[a, j]
            s1 += r * drop[b, j]
            s2 += r * drop[c, j]
            s3 += r * drop[d, j]
            drop[a, j], drop[b, j], drop[c, j], drop[d, j] = s0, s1, s2, s3
    if end > 0:  # a driver there feeds current back from the far end
        to_end = np.cumsum(word_Ohm)
        for row in range(k):
            back = drop[row, n - 1] / (end + to_end[n - 1])
            for j in range(n):
                drop[row, j] -= back * to_end[j]


@njit(cache=True, fastmath={"contract"})
def add_bit_rise(current, bit_Ohm, drop):  # type: ignore[no-untyped-def]
    """Add the voltages of the bit lines, for what the cells feed in."""
    k, n = current.shape
    below, rise = np.zeros(n), np.zeros(n)
    for row in range(k):
        c = current[row]
        for j in range(n):
            below[j] += c[j]
    for row in range(k - 1, -1, -1):
        c, d, r = current[row], drop[row], bit_Ohm[row]
        for j in range(n):
            rise[j] += r * below[j]
            d[j] += rise[j]
        for j in range(n):
            below[j] -= c[j]


def drops(current: Floats, wires: Wires) -> tuple[Floats, Floats]:
    """Drops along word lines and voltages of bit lines, [row, col] each, for the currents of the cells [row, col]."""
    word_Ohm, bit_Ohm, end = wires.paths_Ohm(current.shape)
    word, bit = np.empty(current.shape), np.zeros(current.shape)
    word_drop(current, word_Ohm, end, word)
    add_bit_rise(current, bit_Ohm, bit)
    return word, bit
