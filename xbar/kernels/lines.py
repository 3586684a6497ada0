"""Cell currents of a crossbar with resistive lines, one input vector at a time: gated word lines and curved cells.

With c the currents of the cells, x(c) the voltages across them (I = g k sinh(x / k), or g x where k is 0), V the word
line voltages and R c the drops along the lines, Newton's method solves F(c) = x(c) + R c - V = 0. Its steps are

    dc = S y,  (1 + S R S) y = -S F,  S = sqrt(dc/dx),

by conjugate gradients: R is two running sums along each line and two back, the matrix is symmetric and at least 1, and
its condition is that of the problem, however small the resistances or conductances. F is the gradient of a convex
function of c, the co-content (Millar, Phil. Mag. 42, 1951), so that a step which does not overshoot along its own
direction leads downhill. Since the matrix is at least 1, the currents of column j, once |S F| is known, are at most
sqrt(sum_row S^2) |S F| away from the solution; that is the measure of convergence.

Rows that are switched off are left out: the segments of the bit lines next to them are in series.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from xbar.kernels.curves import asinh, sinh
from xbar.kernels.drops import add_bit_rise, drops, word_drop
from xbar.kernels.parallel import parallel_for, team
from xbar.kernels.wires import Wires

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TOLERANCE = 1e-10  # of each column's current, or of SMALL of the mean column current
SMALL = 1e-3
_MAX_STEPS, _MAX_ITERATIONS = 100, 20_000  # of Newton's method, and of conjugate gradients in all steps
_NONE = 1e-200  # S over the largest: no current
_FALL = 1e-4  # of the residual in one step of Newton's method
_SHORTEST = 1e-9  # part of a step
_N_WORK = 10  # arrays of the size of the crossbar
VECTORS_PER_TASK = 8


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _residual(current, volts, g, k, lines, f):  # type: ignore[no-untyped-def]
    """f = x(c) + R c - V; any finite number for cells that do not conduct."""
    word_Ohm, bit_Ohm, end = lines
    word_drop(current, word_Ohm, end, f)
    add_bit_rise(current, bit_Ohm, f)
    for row in range(f.shape[0]):
        f_row, c_row, g_row, v = f[row], current[row], g[row], volts[row]
        if k > 0:
            for j in range(f_row.size):
                f_row[j] += k * asinh(c_row[j] / (max(g_row[j], _NONE) * k)) - v
        else:
            for j in range(f_row.size):
                f_row[j] += c_row[j] / max(g_row[j], _NONE) - v


@njit(cache=True, fastmath={"contract", "reassoc"})
def _product(a, b, target):  # type: ignore[no-untyped-def]
    for i in range(a.size):
        target[i] = a[i] * b[i]


@njit(cache=True, fastmath={"contract", "reassoc"})
def _dot(a, b):  # type: ignore[no-untyped-def]
    total = 0.0
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@njit(cache=True, fastmath={"contract", "reassoc"})
def _conjugate_gradients(root, right, lines, target, most, y, work):  # type: ignore[no-untyped-def]
    """Solve (1 + S R S) y = right until the residual's norm is `target`; `right` becomes the residual.

    Returns the iterations, -1 if they are more than `most`.
    """
    word_Ohm, bit_Ohm, end = lines
    direction, drop, current = work
    s, r, y, p, q, c = (
        root.reshape(-1), right.reshape(-1), y.reshape(-1), direction.reshape(-1), drop.reshape(-1), current.reshape(-1)
    )  # fmt: skip
    y[:] = 0
    for i in range(p.size):
        p[i] = r[i]
    norm = _dot(r, r)
    for iteration in range(most):
        if norm <= target * target:
            return iteration
        _product(s, p, c)
        word_drop(current, word_Ohm, end, drop)
        add_bit_rise(current, bit_Ohm, drop)
        for i in range(q.size):
            q[i] = p[i] + s[i] * q[i]
        step = norm / _dot(p, q)
        for i in range(y.size):
            y[i] += step * p[i]
        for i in range(r.size):
            r[i] -= step * q[i]
        before, norm = norm, _dot(r, r)
        ratio = norm / before
        for i in range(p.size):
            p[i] = r[i] + ratio * p[i]
    return -1


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _slopes(current, g, k, root, weight):  # type: ignore[no-untyped-def]
    """root = S; weight = sqrt(sum_row S^2) of each column."""
    weight[:] = 0
    for row in range(root.shape[0]):
        root_row, c_row, g_row = root[row], current[row], g[row]
        if k > 0:
            for j in range(root_row.size):
                z = c_row[j] / (max(g_row[j], _NONE) * k)
                root_row[j] = g_row[j] * np.sqrt(1 + z * z)
        else:
            for j in range(root_row.size):
                root_row[j] = g_row[j]
        for j in range(root_row.size):
            weight[j] += root_row[j]
            root_row[j] = np.sqrt(root_row[j])
    for j in range(weight.size):
        weight[j] = np.sqrt(weight[j])


@njit(cache=True)
def _allowed(current, weight):  # type: ignore[no-untyped-def]
    """Norm of S F at which the currents of all columns are within TOLERANCE."""
    size, total, allowed = np.zeros(weight.size), 0.0, np.inf
    for row in range(current.shape[0]):
        for j in range(size.size):
            size[j] += abs(current[row, j])
            total += abs(current[row, j])
    for j in range(size.size):
        if weight[j] > 0:
            allowed = min(allowed, (size[j] + SMALL * total / size.size) / weight[j])
    return TOLERANCE * allowed


@njit(cache=True)
def _settle(current, volts, g, k, lines, work):  # type: ignore[no-untyped-def]
    """Find the currents of the cells, starting from `current`; returns the iterations in all, -1 if none are found."""
    f, root, y, right, new, direction, drop, scaled = work
    weight, n_iterations = np.empty(g.shape[1]), 0
    _residual(current, volts, g, k, lines, f)
    for _ in range(_MAX_STEPS):
        _slopes(current, g, k, root, weight)
        _product(root.reshape(-1), f.reshape(-1), right.reshape(-1))
        norm, allowed = np.sqrt(_dot(right.reshape(-1), right.reshape(-1))), _allowed(current, weight)
        if norm <= allowed:
            return n_iterations
        target = max(0.1 * allowed, _FALL * norm) if k > 0 else 0.1 * allowed
        took = _conjugate_gradients(
            root, right, lines, target, _MAX_ITERATIONS - n_iterations, y, (direction, drop, scaled)
        )
        if took < 0:
            return -1
        n_iterations += took
        _product(root.reshape(-1), y.reshape(-1), y.reshape(-1))  # minus the step
        downhill, length = _dot(y.reshape(-1), f.reshape(-1)), 1.0
        while True:
            for row in range(current.shape[0]):
                for j in range(current.shape[1]):
                    new[row, j] = current[row, j] - length * y[row, j]
            _residual(new, volts, g, k, lines, f)
            if k == 0 or -_dot(y.reshape(-1), f.reshape(-1)) <= 0.5 * downhill:
                break
            length /= 2
            if length < _SHORTEST:
                return -1
        for row in range(current.shape[0]):
            for j in range(current.shape[1]):
                current[row, j] = new[row, j]
    return -1


@njit(cache=True, fastmath={"contract"}, error_model="numpy")
def _start(rows, volts, g, k, all_g, known, current):  # type: ignore[no-untyped-def]
    """Currents for the drops of a known case, each scaled to what drives it; those of no drops where none is known."""
    fall, rise = known
    driven, whole = np.zeros(g.shape[1]), np.full(g.shape[1], _NONE)
    for i in range(all_g.shape[0]):
        for j in range(whole.size):
            whole[j] += all_g[i, j]
    for i in range(rows.size):
        for j in range(driven.size):
            driven[j] += volts[i] * g[i, j]
            current[i, j] = volts[i] * g[i, j]
    if fall.size == 0:
        return
    for j in range(driven.size):
        driven[j] /= whole[j]
    for i in range(rows.size):
        c_row, g_row, fall_row, rise_row, v = current[i], g[i], fall[rows[i]], rise[rows[i]], volts[i]
        for j in range(c_row.size):
            c_row[j] = v * (1 - fall_row[j]) - driven[j] * rise_row[j]
        if k > 0:
            for j in range(c_row.size):
                c_row[j] = k * sinh(c_row[j] / k)
        for j in range(c_row.size):
            c_row[j] *= g_row[j]


@njit(cache=True)
def _active(drive, g, gated, bit_Ohm, rows, volts, g_active, segments):  # type: ignore[no-untyped-def]
    """List the rows that are on, with the resistance from each down to the next; returns how many, 0 if all at 0 V."""
    n, highest = 0, 0.0
    for row in range(drive.size):
        if n > 0:
            segments[n - 1] += bit_Ohm[row - 1]
        if drive[row] != 0 or not gated:
            rows[n], volts[n], segments[n] = row, drive[row], 0.0
            for j in range(g.shape[1]):
                g_active[n, j] = g[row, j]
            highest = max(highest, abs(drive[row]))
            n += 1
    if n > 0:
        segments[n - 1] += bit_Ohm[drive.size - 1]
    return n if highest > 0 else 0


@njit(cache=True)
def _task(task, drive, g, k, gated, lines, known, currents, iterations, cells):  # type: ignore[no-untyped-def]
    word_Ohm, bit_Ohm, end = lines
    n_rows, n_cols = g.shape
    space = np.empty((_N_WORK, n_rows, n_cols))
    rows, volts, segments = np.empty(n_rows, np.int64), np.empty(n_rows), np.empty(n_rows)
    for v in range(task * VECTORS_PER_TASK, min(drive.shape[0], (task + 1) * VECTORS_PER_TASK)):
        n = _active(drive[v], g, gated, bit_Ohm, rows, volts, space[0], segments)
        if n == 0:
            continue
        active, current = space[0, :n], space[1, :n]
        work = (
            space[2, :n], space[3, :n], space[4, :n], space[5, :n], space[6, :n], space[7, :n], space[8, :n],
            space[9, :n],
        )  # fmt: skip
        _start(rows[:n], volts, active, k, g, known, current)
        iterations[v] = _settle(current, volts[:n], active, k, (word_Ohm, segments[:n], end), work)
        for i in range(n):
            for j in range(n_cols):
                currents[v, j] += current[i, j]
                if cells.size > 0:
                    cells[v, rows[i], j] = current[i, j]


@njit(cache=True)
def _all(team, n_tasks, drive, g, k, gated, lines, known, currents, iterations, cells):  # type: ignore[no-untyped-def]
    arguments = (drive, g, k, gated, lines, known, currents, iterations, cells)
    parallel_for(team, _task, n_tasks, arguments)  # type: ignore[call-arg]


class Cells(NamedTuple):
    """Cells [row, col] on wires, and their I-V law: g k sinh(x / k), or g x where k is 0.

    gated: cells of word lines at 0 V are switched off.
    """

    g_S: Floats
    wires: Wires
    curvature: float
    gated: bool


def line_currents(cells: Cells, drive: Floats) -> tuple[Floats, Ints]:
    """Column currents [vector, col] for word line voltages `drive` [vector, row], and iterations (-1: none found).

    A vector's result does not depend on the others: each starts from the drops with all word lines at 1 V. Vectors
    that occur several times, which pulses of one bit often do, are solved once.
    """
    all_driven = cells._replace(gated=False)
    known = drops(cell_currents(all_driven, np.ones(len(cells.g_S)))[0], cells.wires)
    as_bytes = np.ascontiguousarray(drive, np.float64).view(np.dtype((np.void, 8 * drive.shape[1])))[:, 0]
    _, first, place = np.unique(as_bytes, return_index=True, return_inverse=True)
    currents, _, iterations = _run(cells, drive[first], known, False)
    return currents[place], iterations[place]


def cell_currents(cells: Cells, drive: Floats) -> tuple[Floats, int]:
    """Currents of the cells [row, col] for one vector of word line voltages, and iterations (-1: none found)."""
    cold = np.empty((0, 0))
    _, found, iterations = _run(cells, drive[None], (cold, cold), True)
    return found[0], int(iterations[0])


def _run(cells: Cells, drive: Floats, known: tuple[Floats, Floats], each: bool) -> tuple[Floats, Floats, Ints]:
    """Currents of columns, those of the cells [vector, row, col] where `each`, and iterations; in units of max(g)."""
    scale = cells.g_S.max()
    shape = (len(drive), *cells.g_S.shape)
    currents, found = np.zeros((len(drive), shape[2])), np.zeros(shape if each else (0, 0, 0))
    iterations = np.zeros(len(drive), np.int64)
    if scale > 0:
        n_tasks = -(-len(drive) // VECTORS_PER_TASK)
        lines = cells.wires.scaled(scale).paths_Ohm(cells.g_S.shape)
        drive, g = np.ascontiguousarray(drive, np.float64), np.ascontiguousarray(cells.g_S / scale)
        _all(team(), n_tasks, drive, g, cells.curvature, cells.gated, lines, known, currents, iterations, found)
    return currents * scale, found * scale, iterations
