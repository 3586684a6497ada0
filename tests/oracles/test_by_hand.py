"""Crossbars of one and of four cells, solved on paper."""

from __future__ import annotations

from fractions import Fraction
from math import asinh

import numpy as np
import pytest
from close import approx

from xbar.kernels.wires import Wires
from xbar.parts.array.ir_drop import LineCircuit


def _two_by_two(
    ohm: tuple[int, int, int, int], wires: tuple[int, int, int, int], volts: tuple[int, int]
) -> tuple[Fraction, Fraction]:
    """Currents of both bit lines, exactly.

    ohm: of the cells (1,1), (1,2), (2,1), (2,2); row 2 is next to the sense amplifiers, column 1 to the drivers. wires:
    segments of word line r and bit line q, driver, sense amplifier. With a = driver + r and b = q + sense, the first
    segments, the voltage of each driver falls over its word line's segments, a cell and its bit line's segments:

        V1 = (R11 + q) c11     + a (c11 + c12) + b (c11 + c21)
        V1 = (R12 + r + q) c12 + a (c11 + c12) + b (c12 + c22)
        V2 = R21 c21           + a (c21 + c22) + b (c11 + c21)
        V2 = (R22 + r) c22     + a (c21 + c22) + b (c12 + c22)

    With A, B, C, D the sums of all resistances in series with c11, c12, c21, c22 (path from driver to ground):

        A c11 + a c12 + b c21 = V1,    a c11 + B c12 + b c22 = V1,
        b c11 + C c21 + a c22 = V2,    b c12 + a c21 + D c22 = V2.

    The first and the last give c11 and c22; the other two become

        p c12 - s c21 = V1 (1 - a / A) - V2 b / D,    p = B - a^2 / A - b^2 / D,
        t c21 - s c12 = V2 (1 - a / D) - V1 b / A,    t = C - b^2 / A - a^2 / D,    s = a b (1 / A + 1 / D).
    """
    r, q, driver, sense = (Fraction(x) for x in wires)
    a, b = driver + r, q + sense
    A, B, C, D = ohm[0] + q + a + b, ohm[1] + r + q + a + b, ohm[2] + a + b, ohm[3] + r + a + b
    v1, v2 = volts
    p, t, s = B - a * a / A - b * b / D, C - b * b / A - a * a / D, a * b * (1 / A + 1 / D)
    x, y = v1 * (1 - a / A) - v2 * b / D, v2 * (1 - a / D) - v1 * b / A
    c12, c21 = (x * t + y * s) / (p * t - s * s), (y * p + x * s) / (p * t - s * s)
    c11, c22 = (v1 - a * c12 - b * c21) / A, (v2 - b * c12 - a * c21) / D
    return c11 + c21, c12 + c22


@pytest.mark.parametrize("wires", [(1, 1, 0, 0), (2, 3, 0, 0), (1, 2, 7, 5), (900, 400, 100, 300)])
@pytest.mark.parametrize("volts", [(1, 0), (0, 1), (1, 1), (2, -3)])
def test_four_cells(wires: tuple[int, int, int, int], volts: tuple[int, int]) -> None:
    ohm = (100, 250, 40, 1000)
    g_S = 1 / np.array(ohm, dtype=float).reshape(2, 2)
    wanted = [float(current) for current in _two_by_two(ohm, wires, volts)]
    drive = np.array([volts], dtype=float)
    operator = LineCircuit(Wires(*wires, two_sided=False), False, None, "none").effective_S(g_S)
    np.testing.assert_allclose((drive @ operator)[0], wanted, rtol=1e-13)
    gated = LineCircuit(Wires(*wires, two_sided=False), True, None, "none")
    if 0 not in volts:
        np.testing.assert_allclose(gated.currents_S(g_S, drive)[0], wanted, rtol=1e-10)


def test_a_gated_row_leaves_a_series_of_resistors() -> None:
    """Only row 1 of four equal cells: the current of each column passes one more segment of its bit line."""
    wires, g_S = Wires(1.0, 2.0, 3.0, 4.0, False), np.full((2, 2), 0.01)
    currents = LineCircuit(wires, True, None, "none").currents_S(g_S, np.array([[1.0, 0.0]]))[0]
    near, far = 100 + 2 + 2 + 4, 100 + 1 + 2 + 2 + 4  # cell, bit line and sense amplifier; beyond the second segment
    total = 1 / (3 + 1 + near * far / (near + far))
    np.testing.assert_allclose(currents, [total * far / (near + far), total * near / (near + far)], rtol=1e-10)


@pytest.mark.parametrize(("two_sided", "paths"), [(False, 1), (True, 2)])
def test_one_cell_is_a_series_of_resistors(two_sided: bool, paths: int) -> None:
    wires = Wires(3.0, 5.0, 7.0, 11.0, two_sided)
    operator = LineCircuit(wires, False, None, "none").effective_S(np.array([[1e-2]]))
    assert operator[0, 0] == approx(1 / ((3 + 7) / paths + 100 + 5 + 11), rel=1e-14)


def test_one_curved_cell() -> None:
    """V = k asinh(I / (g k)) + R I at a current of 2 mA and a read voltage of 1 V."""
    g_S, k, R, current_A = 1e-3, 0.5, 16.0, 2e-3
    volt = k * asinh(current_A / (g_S * k)) + R * current_A
    circuit = LineCircuit(Wires(3.0, 5.0, 7.0, 1.0, False), False, k, "none")
    found = circuit.currents_S(np.array([[g_S]]), np.array([[volt], [-volt]]))
    np.testing.assert_allclose(found[:, 0], [current_A, -current_A], rtol=1e-10)
