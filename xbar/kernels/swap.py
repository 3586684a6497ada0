"""Swaps on a mesh: things exchange their places as long as that, or chance, makes the ways between them shorter."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class Ties(NamedTuple):
    """How much joins things to things, symmetric, without ties to themselves.

    first: [thing + 1]; other, weight: [tie], those of thing i from first[i] to first[i + 1].
    """

    first: Ints
    other: Ints
    weight: Ints


class Tries(NamedTuple):
    """Swaps to try, one after the other; each [try].

    thing: who moves. tie: in 0 .. 1, which of its ties it follows. dx, dy: where it moves from the other end's place.
    worse: by how much the ways may get longer.
    """

    thing: Ints
    tie: NDArray[np.float64]
    dx: Ints
    dy: Ints
    worse: NDArray[np.float64]


def swap_plain(ties: Ties, x: Ints, y: Ints, slot: Ints, tries: Tries) -> int:
    """Try swaps of things on slots of a mesh of len(x) columns and len(y) rows; returns how much the ways change.

    slot: [thing], row * len(x) + column, changed in place; empty slots may be taken. x, y: distances of columns and
    rows from the first. The way of a tie is weight (|x - x'| + |y - y'|).
    """
    holder = np.full(len(x) * len(y), -1, np.int64)
    holder[slot] = np.arange(len(slot))
    total = 0
    for a, tie, dx, dy, worse in zip(*tries, strict=True):
        degree = ties.first[a + 1] - ties.first[a]
        if degree == 0:
            continue
        other = ties.other[ties.first[a] + int(tie * degree)]
        row, col = divmod(int(slot[other]), len(x))
        old, new = slot[a], min(max(row + dy, 0), len(y) - 1) * len(x) + min(max(col + dx, 0), len(x) - 1)
        b = holder[new]
        if b == a:
            continue
        change = _change_plain(ties, x, y, slot, a, b, new)
        if b >= 0:
            change += _change_plain(ties, x, y, slot, b, a, old)
        if change <= worse:
            slot[a], holder[new], holder[old] = new, a, b
            if b >= 0:
                slot[b] = old
            total += int(change)
    return total


def _change_plain(ties: Ties, x: Ints, y: Ints, slot: Ints, thing: int, partner: int, new: int) -> int:
    own = slice(ties.first[thing], ties.first[thing + 1])
    others = ties.other[own]
    to = slot[others]

    def ways(place: int) -> Ints:
        return np.abs(x[place % len(x)] - x[to % len(x)]) + np.abs(y[place // len(x)] - y[to // len(x)])

    return int((ties.weight[own] * (ways(new) - ways(slot[thing])) * (others != partner)).sum())


@njit(cache=True)
def _change(first, other, weight, col, row, thing, partner, x_new, y_new):  # type: ignore[no-untyped-def]
    x_old, y_old = col[thing], row[thing]
    total = 0
    for i in range(first[thing], first[thing + 1]):
        k = other[i]
        if k != partner:
            xk, yk = col[k], row[k]
            total += weight[i] * (abs(x_new - xk) + abs(y_new - yk) - abs(x_old - xk) - abs(y_old - yk))
    return total


@njit(cache=True)
def _swap(first, other, weight, x, y, slot, thing, tie, dx, dy, worse):  # type: ignore[no-untyped-def]
    n_cols, n_rows = len(x), len(y)
    holder = np.full(n_cols * n_rows, -1, np.int64)
    col, row = np.empty(len(slot), np.int64), np.empty(len(slot), np.int64)
    for i in range(len(slot)):
        holder[slot[i]] = i
        col[i], row[i] = x[slot[i] % n_cols], y[slot[i] // n_cols]
    total = 0
    for i in range(len(thing)):
        a = thing[i]
        degree = first[a + 1] - first[a]
        if degree == 0:
            continue
        end = slot[other[first[a] + np.int64(tie[i] * degree)]]
        to_row = min(max(end // n_cols + dy[i], 0), n_rows - 1)
        to_col = min(max(end % n_cols + dx[i], 0), n_cols - 1)
        old, new = slot[a], to_row * n_cols + to_col
        b = holder[new]
        if b == a:
            continue
        change = _change(first, other, weight, col, row, a, b, x[to_col], y[to_row])
        if b >= 0:
            change += _change(first, other, weight, col, row, b, a, col[a], row[a])
        if change <= worse[i]:
            holder[new], holder[old] = a, b
            if b >= 0:
                slot[b], col[b], row[b] = old, col[a], row[a]
            slot[a], col[a], row[a] = new, x[to_col], y[to_row]
            total += change
    return total


def swap(ties: Ties, x: Ints, y: Ints, slot: Ints, tries: Tries) -> int:
    """`swap_plain`, compiled."""
    return int(_swap(*ties, x, y, slot, *tries))
