"""A crossbar whose word lines and bit lines are chains of resistors: column currents as a linear map of voltages."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

Floats = NDArray[np.float64]


class Wires(NamedTuple):
    """Resistances in Ohm of one segment of a word line and of a bit line, of a driver, and of a sense amplifier.

    two_sided: word lines are driven from both ends.
    """

    word_Ohm: float
    bit_Ohm: float
    driver_Ohm: float
    sense_Ohm: float
    two_sided: bool


def nodal_matrix(g_S: Floats, wires: Wires) -> tuple[sp.csc_matrix, Floats]:
    """Conductance matrix of the nodes (word lines by row, then bit lines by row); word line injections [row, col].

    The injection is in S: times the word line's voltage, it is the current into the node.
    """
    m, n = g_S.shape
    chain_w = np.zeros((m, n))
    chain_w[:, 0] += 1 / (wires.driver_Ohm + wires.word_Ohm)
    if wires.two_sided:
        chain_w[:, -1] += 1 / (wires.driver_Ohm + wires.word_Ohm)
    word, bit = np.arange(m * n).reshape(m, n), m * n + np.arange(m * n).reshape(m, n)
    pairs = [
        (word[:, :-1].ravel(), word[:, 1:].ravel(), np.full(m * (n - 1), 1 / wires.word_Ohm)),
        (bit[:-1].ravel(), bit[1:].ravel(), np.full((m - 1) * n, 1 / wires.bit_Ohm)),
        (word.ravel(), bit.ravel(), g_S.ravel()),
    ]
    a, b, g = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    ground = np.zeros(2 * m * n)
    ground[: m * n] = chain_w.ravel()
    ground[bit[-1]] = 1 / (wires.bit_Ohm + wires.sense_Ohm)
    diagonal = ground + np.bincount(a, g, 2 * m * n) + np.bincount(b, g, 2 * m * n)
    nodes = np.arange(2 * m * n)
    values, rows, cols = np.r_[diagonal, -g, -g], np.r_[nodes, a, b], np.r_[nodes, b, a]
    return sp.csc_matrix((values, (rows, cols)), shape=(2 * m * n, 2 * m * n)), chain_w


def operator(g_S: Floats, wires: Wires) -> Floats:
    """Column current for each word line at 1 V, the others at 0 V: [row, col]."""
    m, n = g_S.shape
    matrix, injection = nodal_matrix(g_S, wires)
    sense = np.zeros((2 * m * n, n))
    sense[2 * m * n - n + np.arange(n), np.arange(n)] = 1 / (wires.bit_Ohm + wires.sense_Ohm)
    word = splu(matrix).solve(sense)[: m * n].reshape(m, n, n)
    return np.einsum("ik,ikj->ij", injection, word)


def newton(g_S: Floats, wires: Wires, voltage: Floats, curvature: float | None) -> tuple[Floats, Floats]:
    """Node voltages [row, col] of word and bit lines for one vector; cells obey g c sinh(v / c)."""
    m, n = g_S.shape
    nodes = np.zeros(2 * m * n)
    chord = g_S
    for _ in range(100):
        matrix, injection = nodal_matrix(chord, wires)
        across = nodes[: m * n].reshape(m, n) - nodes[m * n :].reshape(m, n)
        extra = np.zeros((m, n))
        if curvature is not None:
            extra = chord * across - g_S * curvature * np.sinh(across / curvature)
        right = np.concatenate([(injection * voltage[:, None] + extra).ravel(), -extra.ravel()])
        found = splu(matrix).solve(right)
        step = np.abs(found - nodes).max()
        nodes = found
        if curvature is None or step <= 1e-12 * np.abs(nodes).max():
            break
        across = nodes[: m * n].reshape(m, n) - nodes[m * n :].reshape(m, n)
        chord = g_S * np.cosh(across / curvature)
    return nodes[: m * n].reshape(m, n), nodes[m * n :].reshape(m, n)
