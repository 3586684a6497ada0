"""Crossbars with line resistance against ngspice, on netlists of every wire and cell."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from spice import column_currents, needs_ngspice

from xbar.kernels.wires import Wires
from xbar.parts.array.ir_drop import LineCircuit

READ_V = 0.2
STORED = Path(__file__).with_name("ngspice_6x5.json")
ONE_SIDED, TWO_SIDED = Wires(3.0, 2.0, 0.0, 0.0, False), Wires(3.0, 2.0, 0.0, 0.0, True)
DRIVEN = Wires(2.5, 1.5, 40.0, 25.0, False)
ALL = Wires(2.5, 1.5, 40.0, 25.0, True)
CASES = [
    ((4, 4), ONE_SIDED, None, False),
    ((5, 9), TWO_SIDED, None, False),
    ((16, 12), DRIVEN, None, False),
    ((32, 32), ALL, None, False),
    ((4, 4), ONE_SIDED, None, True),
    ((12, 20), ALL, None, True),
    ((32, 32), DRIVEN, None, True),
    ((4, 4), ALL, 0.15, False),
    ((10, 8), ALL, 0.05, True),
    ((24, 16), DRIVEN, 0.1, True),
]


def _case(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Conductances of two decades, some cells missing; drives of several bits, about half of them 0."""
    rng = np.random.default_rng(shape)
    g_S = 10 ** rng.uniform(-5.5, -3.5, shape)
    g_S[rng.random(shape) < 0.05] = 0
    drive = rng.integers(0, 4, (2, shape[0])) / 3 * (rng.random((2, shape[0])) < 0.7)
    drive[1] = 1 - drive[0]
    return g_S, drive


@needs_ngspice
@pytest.mark.parametrize(("shape", "wires", "curvature_V", "gated"), CASES)
def test_column_currents(
    shape: tuple[int, int], wires: Wires, curvature_V: float | None, gated: bool, tmp_path: Path
) -> None:
    g_S, drive = _case(shape)
    circuit = LineCircuit(wires, gated, None if curvature_V is None else curvature_V / READ_V, "none")
    wanted = column_currents(g_S, wires, drive * READ_V, tmp_path, curvature_V, gated)
    np.testing.assert_allclose(circuit.currents_S(g_S, drive) * READ_V, wanted, rtol=1e-9, atol=0)


def test_what_ngspice_said() -> None:
    """A small case with everything in it, for machines without ngspice."""
    stored = json.loads(STORED.read_text())
    circuit = LineCircuit(Wires(*stored["wires"]), True, stored["curvature_V"] / READ_V, "none")
    g_S, drive = np.array(stored["g_S"]), np.array(stored["drive"])
    np.testing.assert_allclose(circuit.currents_S(g_S, drive) * READ_V, stored["currents_A"], rtol=1e-9, atol=0)
    linear = LineCircuit(Wires(*stored["wires"]), False, None, "none")
    np.testing.assert_allclose(linear.currents_S(g_S, drive) * READ_V, stored["linear_A"], rtol=1e-9, atol=0)


@needs_ngspice
def test_ngspice_still_says_so(tmp_path: Path) -> None:
    stored = json.loads(STORED.read_text())
    g_S, volts = np.array(stored["g_S"]), np.array(stored["drive"]) * READ_V
    wires = Wires(*stored["wires"])
    gated = column_currents(g_S, wires, volts, tmp_path, stored["curvature_V"], True)
    np.testing.assert_allclose(gated, stored["currents_A"], rtol=1e-12)
    np.testing.assert_allclose(column_currents(g_S, wires, volts, tmp_path), stored["linear_A"], rtol=1e-12)
