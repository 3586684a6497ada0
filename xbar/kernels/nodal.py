"""The plain twin of `ladder` and `lines`: every node of a crossbar with resistive lines in one sparse matrix."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

from xbar.kernels.wires import Wires

Floats = NDArray[np.float64]


def nodal_matrix(g_S: Floats, wires: Wires) -> tuple[sp.csc_matrix, Floats]:
    """Conductance matrix of the nodes (word lines by row, then bit lines by row); word line injections [row, col].

    The injection is in S: times the word line's voltage, it is the current into the node.
    """
    m, n = g_S.shape
    injection = np.zeros((m, n))
    injection[:, 0] += 1 / (wires.driver_Ohm + wires.word_Ohm)
    if wires.two_sided:
        injection[:, -1] += 1 / (wires.driver_Ohm + wires.word_Ohm)
    word, bit = np.arange(m * n).reshape(m, n), m * n + np.arange(m * n).reshape(m, n)
    pairs = [
        (word[:, :-1].ravel(), word[:, 1:].ravel(), np.full(m * (n - 1), 1 / wires.word_Ohm)),
        (bit[:-1].ravel(), bit[1:].ravel(), np.full((m - 1) * n, 1 / wires.bit_Ohm)),
        (word.ravel(), bit.ravel(), g_S.ravel()),
    ]
    a, b, g = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    diagonal = np.r_[injection.ravel(), np.zeros(m * n)] + np.bincount(np.r_[a, b], np.r_[g, g], 2 * m * n)
    diagonal[bit[-1]] += 1 / (wires.bit_Ohm + wires.sense_Ohm)
    nodes = np.arange(2 * m * n)
    values, rows, cols = np.r_[diagonal, -g, -g], np.r_[nodes, a, b], np.r_[nodes, b, a]
    return sp.csc_matrix((values, (rows, cols)), shape=(2 * m * n, 2 * m * n)), injection


def operator_plain(g_S: Floats, wires: Wires) -> Floats:
    """Bit line currents for each word line at 1 V, the others at 0 V, in S [row, col]: one LU, one adjoint a column."""
    m, n = g_S.shape
    matrix, injection = nodal_matrix(g_S, wires)
    sense = np.zeros((2 * m * n, n))
    sense[2 * m * n - n + np.arange(n), np.arange(n)] = 1 / (wires.bit_Ohm + wires.sense_Ohm)
    word = splu(matrix).solve(sense)[: m * n].reshape(m, n, n)
    found: Floats = np.einsum("ik,ikj->ij", injection, word)
    return found


def nodes_plain(g_S: Floats, wires: Wires, voltage: Floats, curvature: float | None) -> tuple[Floats, Floats]:
    """Node voltages of word and bit lines [row, col] for one vector; curved cells carry g c sinh(v / c), by Newton."""
    m, n = g_S.shape
    nodes, slope = np.zeros(2 * m * n), g_S
    for _ in range(1 if curvature is None else 100):
        matrix, injection = nodal_matrix(slope, wires)
        across = nodes[: m * n].reshape(m, n) - nodes[m * n :].reshape(m, n)
        extra = np.zeros((m, n))
        if curvature is not None:
            extra = slope * across - g_S * curvature * np.sinh(across / curvature)
        found = splu(matrix).solve(np.r_[(injection * voltage[:, None] + extra).ravel(), -extra.ravel()])
        step, nodes = np.abs(found - nodes).max(), found
        if curvature is None or step <= 1e-14 * np.abs(voltage).max():
            break
        across = nodes[: m * n].reshape(m, n) - nodes[m * n :].reshape(m, n)
        slope = g_S * np.cosh(across / curvature)
    return nodes[: m * n].reshape(m, n), nodes[m * n :].reshape(m, n)
