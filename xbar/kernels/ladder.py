"""The exact linear map from word line voltages to bit line currents of crossbars with resistive lines.

A rectangle of cells, with the segments on the driver's and the sense amplifier's side of each, is a network with four
rows of terminals. On its near sides (left, bottom) voltages are given and the currents into it answer; on its far sides
(right, top) currents are injected and voltages answer: a hybrid matrix, which stays finite for wires of any resistance,
zero included, and for cells of any conductance. Two neighbours A and B, the far side of A on the near side of B, become
one by solving for the s voltages u and currents i of the wires between them:

    u = a - Z i,  i = Y u + b,  so that  (1 + Z Y) u = a - Z b

with Z the impedance of A and Y the admittance of B there, a and b what their other terminals contribute. No pivots are
needed: every intermediate matrix is that of a network in which some of the wires are connected already. Halving n x n
cells in turn takes 64 n^3 or so multiplications in all, where eliminating column by column takes of the order of n^4.

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
def _add_product(target, first, a, b):  # type: ignore[no-untyped-def]
    """target[:, first:] += a @ b; all arrays C-contiguous."""
    n_rows, n_inner = a.shape
    n_cols = b.shape[1]
    n_fours = n_inner // 4 * 4
    for r in range(n_rows):
        t = target[r, first : first + n_cols]
        for k in range(0, n_fours, 4):
            a0, a1, a2, a3 = a[r, k], a[r, k + 1], a[r, k + 2], a[r, k + 3]
            b0, b1, b2, b3 = b[k], b[k + 1], b[k + 2], b[k + 3]
            for c in range(n_cols):
                t[c] += a0 * b0[c] + a1 * b1[c] + a2 * b2[c] + a3 * b3[c]
        for k in range(n_fours, n_inner):
            a0, b0 = a[r, k], b[k]
            for c in range(n_cols):
                t[c] += a0 * b0[c]


@njit(cache=True, fastmath={"contract"})
def _subtract_row(m, u, row, factor, pivot, first):  # type: ignore[no-untyped-def]
    m_row, m_pivot, u_row, u_pivot = m[row, first:], m[pivot, first:], u[row], u[pivot]
    for c in range(m_row.size):
        m_row[c] -= factor * m_pivot[c]
    for c in range(u_row.size):
        u_row[c] -= factor * u_pivot[c]


@njit(cache=True, fastmath={"contract"})
def _solve(m, u):  # type: ignore[no-untyped-def]
    """u becomes m^-1 u, by Gauss-Jordan elimination of four unknowns at a time; m is overwritten."""
    s, n_cols = u.shape
    for k in range(0, s, 4):
        last = min(k + 4, s)
        for p in range(k, last):
            scale = 1 / m[p, p]
            for c in range(p + 1, s):
                m[p, c] *= scale
            for c in range(n_cols):
                u[p, c] *= scale
            for row in range(k, last):
                if row != p:
                    _subtract_row(m, u, row, m[row, p], p, p + 1)
        if last - k < 4:
            for row in range(k):
                for p in range(k, last):
                    _subtract_row(m, u, row, m[row, p], p, last)
            continue
        m0, m1, m2, m3 = m[k, last:], m[k + 1, last:], m[k + 2, last:], m[k + 3, last:]
        u0, u1, u2, u3 = u[k], u[k + 1], u[k + 2], u[k + 3]
        for row in range(s):
            if k <= row < last:
                continue
            f0, f1, f2, f3 = m[row, k], m[row, k + 1], m[row, k + 2], m[row, k + 3]
            m_row, u_row = m[row, last:], u[row]
            for c in range(m_row.size):
                m_row[c] -= f0 * m0[c] + f1 * m1[c] + f2 * m2[c] + f3 * m3[c]
            for c in range(n_cols):
                u_row[c] -= f0 * u0[c] + f1 * u1[c] + f2 * u2[c] + f3 * u3[c]


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
    i[:, n_a:] = rest
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
def _bit_line(gamma, bit_Ohm, cell, top):  # type: ignore[no-untyped-def]
    """Currents of the cells of one bit line, and the voltage at its top, over (e of the cells, voltage below, injection).

    Cell r carries gamma_r (e_r - v_r). From the top down the current into each node at 0 V is found and the admittance
    q seen from below, from the bottom up the voltages v.
    """
    n, behind = gamma.size, 0.0
    v, q = np.zeros((n, n + 2)), np.empty(n)
    v[n - 1, n + 1] = 1
    for k in range(n - 1, -1, -1):
        if k + 1 < n:
            v[k] = v[k + 1] / (1 + bit_Ohm[k + 1] * q[k + 1])
        v[k, k] += gamma[k]
        q[k] = gamma[k] + behind
        behind = q[k] / (1 + bit_Ohm[k] * q[k])
    top[:] = 0
    top[n] = 1
    for k in range(n):
        for c in range(n + 2):
            top[c] = (top[c] + bit_Ohm[k] * v[k, c]) / (1 + bit_Ohm[k] * q[k])
            cell[k, c] = gamma[k] * ((1.0 if c == k else 0.0) - top[c])


@njit(cache=True)
def _add_row(target, factor, values, from_left, from_right, ports):  # type: ignore[no-untyped-def]
    """Add `values` over (e, voltage below, injection) to a row over the inputs that there are."""
    bottom, right, top = ports
    n = values.size - 2
    for c in range(n):
        target[c] += factor * from_left * values[c]
        if right:
            target[n + bottom + c] += factor * from_right * values[c]
    if bottom:
        target[n] += factor * values[n]
    if top:
        target[target.size - 1] += factor * values[n + 1]


@njit(cache=True)
def _column(space, op, g, word_Ohm, bit_Ohm, end_Ohm):  # type: ignore[no-untyped-def]
    """Write the matrix of a few cells of one column; `op` is a COLUMN of the plan.

    word_Ohm [col] and bit_Ohm [row]: the segments before each cell. end_Ohm: if above 0, what lies between the last
    column and drivers at the far end. e is the voltage that a cell's word line would have without it.
    """
    row, col, n = op[3], op[4], op[5]
    left, bottom, right, top = col > 0, row > 0, col + 1 < g.shape[1], row + n < g.shape[0]
    r_w, to_end = word_Ohm[col], not right and end_Ohm > 0
    from_left, from_right = (end_Ohm / (r_w + end_Ohm), r_w / (r_w + end_Ohm)) if to_end else (1.0, r_w)
    r_e, ports = r_w * from_left, (bottom, right or to_end, top)
    cell, v_top, e = np.empty((n, n + 2)), np.empty(n + 2), np.zeros(n + 2)
    g_here = g[row : row + n, col]
    _bit_line(g_here / (1 + g_here * r_e), bit_Ohm[row : row + n], cell, v_top)
    n_in, n_out = n * (1 + (right or to_end)) + bottom + top, n * (left + right) + 1 + top
    result = space[op[2] : op[2] + n_out * n_in].reshape(n_out, n_in)
    result[:] = 0
    down = result[n * left]
    for k in range(n):
        _add_row(down, -1.0, cell[k], from_left, from_right, ports)
        if left:  # the current that comes in
            _add_row(result[k], from_left, cell[k], from_left, from_right, ports)
            if to_end:
                result[k, k] += 1 / (r_w + end_Ohm)
                result[k, n + bottom + k] -= 1 / (r_w + end_Ohm)
            elif right:
                result[k, n + bottom + k] -= 1
        if right:  # e - r_e c
            e[:] = 0
            e[k] = 1
            _add_row(result[n * left + 1 + k], 1.0, e, from_left, from_right, ports)
            _add_row(result[n * left + 1 + k], -r_e, cell[k], from_left, from_right, ports)
    if top:
        down[n_in - 1] -= 1
        _add_row(result[n_out - 1], 1.0, v_top, from_left, from_right, ports)


@njit(cache=True)
def _task(task, space, g, word_Ohm, bit_Ohm, end_Ohm, ops, index, first_op):  # type: ignore[no-untyped-def]
    array, part = divmod(task, first_op.size - 1)
    for k in range(first_op[part], first_op[part + 1]):
        if ops[k, 0] == MERGE:
            _merge(space[array], ops[k], index)
        else:
            _column(space[array], ops[k], g[array], word_Ohm, bit_Ohm, end_Ohm)


@njit(cache=True)
def _stage(team, space, g, word_Ohm, bit_Ohm, end_Ohm, ops, index, first_op):  # type: ignore[no-untyped-def]
    arguments = (space, g, word_Ohm, bit_Ohm, end_Ohm, ops, index, first_op)
    parallel_for(team, _task, len(g) * (first_op.size - 1), arguments)  # type: ignore[call-arg]


def operators(g_S: Floats, wires: Wires) -> Floats:
    """Bit line currents for each word line at 1 V, the others at 0 V, in S [array, row, col], as g_S.

    Word line i is driven at column 0, bit line j sensed below the last row; other ends are open unless driven.
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
    by_line = -found[:, plan.bit_lines][:, :, plan.word_lines].reshape(n_arrays, n_cols, -1, n_rows).sum(axis=2)
    return np.ascontiguousarray(by_line[:, :, ::-1].swapaxes(1, 2))
