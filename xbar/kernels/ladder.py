"""The exact linear map from word line voltages to bit line currents of crossbars with resistive lines.

A rectangle of cells, with the segments on the driver's and the sense amplifier's side of each, is a network with four
rows of terminals. On its near sides (left, bottom) voltages are given and the currents into it answer; on its far sides
(right, top) currents are injected and voltages answer: a hybrid matrix, which stays finite for wires of any resistance,
zero included, and for cells of any conductance. Two neighbours A and B, the far side of A on the near side of B, become
one by solving for the s voltages u and currents i of the wires between them:

    u = a - Z i,  i = Y u + b,  so that  (1 + Z Y) u = a - Z b

with Z the impedance of A and Y the admittance of B there, a and b what their other terminals contribute. No pivots are
needed: every intermediate matrix is that of a network in which some of the wires are connected already. Halving n x n
cells in turn takes about 65 n^3 operations in all (nested dissection: George, SIAM J. Numer. Anal. 10, 1973), where
eliminating column by column takes some 3 n^4.

Rows count from the sense amplifiers upwards here.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from xbar.kernels.ladder_plan import MERGE, plan_of
from xbar.kernels.parallel import parallel_for, team
from xbar.kernels.wires import Wires

Floats = NDArray[np.float64]
BYTES_AT_ONCE = 64e6  # of matrices of rectangles, for as many crossbars as are solved together


@njit(cache=True, fastmath={"contract"})
def _add_rows(target, factors, rows, first, last, start):  # type: ignore[no-untyped-def]
    """target[start:] += sum of factors[k] rows[k, start:] for k from first to last; four at a time."""
    n_cols, fours = target.size, first + (last - first) // 4 * 4
    for k in range(first, fours, 4):
        f0, f1, f2, f3 = factors[k], factors[k + 1], factors[k + 2], factors[k + 3]
        r0, r1, r2, r3 = rows[k], rows[k + 1], rows[k + 2], rows[k + 3]
        for c in range(start, n_cols):
            target[c] += f0 * r0[c] + f1 * r1[c] + f2 * r2[c] + f3 * r3[c]
    for k in range(fours, last):
        f0, r0 = factors[k], rows[k]
        for c in range(start, n_cols):
            target[c] += f0 * r0[c]


@njit(cache=True, fastmath={"contract"})
def _add_product(target, first, a, b):  # type: ignore[no-untyped-def]
    """target[:, first:] += a @ b."""
    for r in range(a.shape[0]):
        _add_rows(target[r, first : first + b.shape[1]], a[r], b, 0, b.shape[0], 0)


@njit(cache=True, fastmath={"contract"})
def _solve(m, u):  # type: ignore[no-untyped-def]
    """u becomes m^-1 u, by elimination row by row without pivots; m is overwritten."""
    s, inverse = m.shape[0], np.empty(m.shape[0])
    for r in range(s):
        row = m[r]
        for k in range(0, r, 4):
            last = min(k + 4, r)
            for p in range(k, last):
                row[p] *= -inverse[p]
                for c in range(p + 1, last):
                    row[c] += row[p] * m[p, c]
            _add_rows(row, row, m, k, last, last)
        inverse[r] = 1 / row[r]
        _add_rows(u[r], row, u, 0, r, 0)
    for r in range(s - 1, -1, -1):
        row, u_row = m[r], u[r]
        for c in range(r + 1, s):
            row[c] *= -inverse[r]
        for c in range(u_row.size):
            u_row[c] *= inverse[r]
        _add_rows(u_row, row, u, r + 1, s, 0)


@njit(cache=True)
def _take(source, rows, cols, target, first, sign):  # type: ignore[no-untyped-def]
    for r in range(rows.size):
        row = source[rows[r]]
        for c in range(cols.size):
            target[r, first + c] = sign * row[cols[c]]


@njit(cache=True)
def _merge(space, op, index):  # type: ignore[no-untyped-def]
    """Write the matrix of two joined rectangles; `op` is a MERGE of the plan."""
    s, a_out, a_in, b_out, b_in = op[1], op[5], op[6], op[7], op[8]
    a = space[op[3] : op[3] + a_out * a_in].reshape(a_out, a_in)
    b = space[op[4] : op[4] + b_out * b_in].reshape(b_out, b_in)
    n_a, n_b = a_in - s, b_in - s
    result = space[op[2] : op[2] + (a_out + b_out - 2 * s) * (n_a + n_b)].reshape(a_out + b_out - 2 * s, n_a + n_b)
    place = op[9]
    wire_u, wire_inject = index[place : place + s], index[place + s : place + 2 * s]
    wire_i, wire_v = index[place + 2 * s : place + 3 * s], index[place + 3 * s : place + 4 * s]
    place += 4 * s
    rows_a, cols_a = index[place : place + a_out - s], index[place + a_out - s : place + a_out - s + n_a]
    place += a_out - s + n_a
    rows_b, cols_b = index[place : place + b_out - s], index[place + b_out - s : place + b_out - s + n_b]

    minus_z, y, rest = np.empty((s, s)), np.empty((s, s)), np.empty((s, n_b))
    _take(a, wire_u, wire_inject, minus_z, 0, -1.0)
    _take(b, wire_i, wire_v, y, 0, 1.0)
    _take(b, wire_i, cols_b, rest, 0, 1.0)
    m, u, i = np.zeros((s, s)), np.zeros((s, n_a + n_b)), np.zeros((s, n_a + n_b))
    _add_product(m, 0, minus_z, y)
    for r in range(s):
        for c in range(s):
            m[r, c] = -m[r, c]
        m[r, r] += 1
    _take(a, wire_u, cols_a, u, 0, 1.0)
    _add_product(u, n_a, minus_z, rest)
    _solve(m, u)
    _take(b, wire_i, cols_b, i, n_a, 1.0)
    _add_product(i, 0, y, u)

    outer_a, outer_b = np.empty((a_out - s, s)), np.empty((b_out - s, s))
    _take(a, rows_a, wire_inject, outer_a, 0, -1.0)
    _take(b, rows_b, wire_v, outer_b, 0, 1.0)
    result[:] = 0
    _take(a, rows_a, cols_a, result, 0, 1.0)
    _take(b, rows_b, cols_b, result[a_out - s :], n_a, 1.0)
    _add_product(result[: a_out - s], 0, outer_a, i)
    _add_product(result[a_out - s :], 0, outer_b, u)


@njit(cache=True)
def _add_to(target, factor, source):  # type: ignore[no-untyped-def]
    for c in range(target.size):
        target[c] += factor * source[c]


@njit(cache=True)
def _cell_currents(g, word, bit, shares, first, current):  # type: ignore[no-untyped-def]
    """Currents of the cells of a rectangle over its inputs, [cell, input]: (1 + g R) c = g E.

    E is the voltage across a cell if none carried current, R c what the currents take from it. word [col], bit [row]:
    resistance from the left and from the bottom. shares: of the left and the right input in a word line's voltage
    [col]. first: where the inputs of each side begin, -1 where there are none.
    """
    h, w = g.shape
    m, (from_left, from_right) = np.zeros((h * w, h * w)), shares
    current[:] = 0
    for i in range(h):
        for j in range(w):
            cell, g_here = i * w + j, g[i, j]
            for k in range(w):
                near, far = min(j, k), max(j, k)
                m[cell, i * w + k] += g_here * word[near] * from_left[far]
            for k in range(h):
                m[cell, k * w + j] += g_here * bit[min(i, k)]
            m[cell, cell] += 1
            current[cell, i] = g_here * from_left[j]
            if first[1] >= 0:
                current[cell, first[1] + j] = -g_here
            if first[2] >= 0:
                current[cell, first[2] + i] = g_here * from_right[j]
            if first[3] >= 0:
                current[cell, first[3] + j] = -g_here * bit[i]
    _solve(m, current)


@njit(cache=True)
def _rectangle(space, op, g, word_Ohm, bit_Ohm, end_Ohm):  # type: ignore[no-untyped-def]
    """Write the matrix of a few cells; `op` is a CELLS of the plan.

    word_Ohm [col] and bit_Ohm [row]: the segments before each cell. end_Ohm: if above 0, what lies between the last
    column and drivers at the far end.
    """
    row, col, h, w = op[3], op[4], op[5], op[6]
    left, bottom, right, top = col > 0, row > 0, col + w < g.shape[1], row + h < g.shape[0]
    word, bit = np.cumsum(word_Ohm[col : col + w]), np.cumsum(bit_Ohm[row : row + h])
    whole = word[w - 1] + end_Ohm if not right and end_Ohm > 0 else 0.0  # from driver to driver
    shares = (1 - word / whole, word / whole) if whole > 0 else (np.ones(w), word)
    has_right = right or whole > 0
    at_right, at_top = h + w * bottom, h + w * bottom + h * has_right
    first = (0, h if bottom else -1, at_right if has_right else -1, at_top if top else -1)
    n_in, n_out, down = at_top + w * top, h * (left + right) + w * (1 + top), h * left
    current = np.empty((h * w, n_in))
    _cell_currents(g[row : row + h, col : col + w], word, bit, shares, first, current)
    result = space[op[2] : op[2] + n_out * n_in].reshape(n_out, n_in)
    result[:] = 0
    for i in range(h):
        for j in range(w):
            c = current[i * w + j]
            _add_to(result[down + j], -1.0, c)
            if left:
                _add_to(result[i], shares[0][j], c)
            if right:
                _add_to(result[down + w + i], -word[j], c)
            if top:
                _add_to(result[n_out - w + j], bit[i], c)
    for i in range(h):
        if left and has_right:
            result[i, at_right + i] -= 1 / whole if whole > 0 else 1.0
        if left and whole > 0:
            result[i, i] += 1 / whole
        if right:
            result[down + w + i, i] += 1
            result[down + w + i, at_right + i] += word[w - 1]
    for j in range(w):
        if top:
            result[down + j, at_top + j] -= 1
            result[n_out - w + j, at_top + j] += bit[h - 1]
        if top and bottom:
            result[n_out - w + j, h + j] += 1


@njit(cache=True)
def _task(task, space, g, word_Ohm, bit_Ohm, end_Ohm, ops, index, first_op):  # type: ignore[no-untyped-def]
    array, part = divmod(task, first_op.size - 1)
    for k in range(first_op[part], first_op[part + 1]):
        if ops[k, 0] == MERGE:
            _merge(space[array], ops[k], index)
        else:
            _rectangle(space[array], ops[k], g[array], word_Ohm, bit_Ohm, end_Ohm)


@njit(cache=True)
def _stage(team, space, g, word_Ohm, bit_Ohm, end_Ohm, ops, index, first_op):  # type: ignore[no-untyped-def]
    arguments = (space, g, word_Ohm, bit_Ohm, end_Ohm, ops, index, first_op)
    parallel_for(team, _task, len(g) * (first_op.size - 1), arguments)  # type: ignore[call-arg]


def operators(g_S: Floats, wires: Wires) -> Floats:
    """Bit line currents for each word line at 1 V, the others at 0 V, in S [array, row, col], as g_S.

    Word line i is driven at column 0, bit line j sensed below the last row; other ends are open unless driven. Exact to
    rounding, some 1e-15 (1 + g R) of the largest entry, with R the resistance of a whole word line and bit line. The
    bits do not depend on the other arrays or on the number of threads.
    """
    n_arrays, n_rows, n_cols = g_S.shape
    plan = plan_of(n_rows, n_cols, wires.two_sided)
    word_Ohm, bit_Ohm, end_Ohm = wires.paths_Ohm(g_S.shape)
    bit_Ohm = bit_Ohm[::-1].copy()
    found = np.empty((n_arrays, n_cols, n_rows * (1 + wires.two_sided)))
    at_once = max(1, int(BYTES_AT_ONCE / (8 * plan.n_space)))
    for first in range(0, n_arrays, at_once):
        g = np.ascontiguousarray(g_S[first : first + at_once, ::-1])
        space = np.empty((len(g), plan.n_space))
        for first_op in plan.stages:
            _stage(team(), space, g, word_Ohm, bit_Ohm, end_Ohm, plan.ops, plan.places, first_op)
        found[first : first + at_once] = space[:, : found[0].size].reshape(len(g), *found.shape[1:])
    by_line = 0 - found[:, plan.bit_lines][:, :, plan.word_lines].reshape(n_arrays, n_cols, -1, n_rows).sum(axis=2)
    return np.ascontiguousarray(by_line[:, :, ::-1].swapaxes(1, 2))
