"""A 64 x 64 crossbar that badcrossbar, ngspice and a sparse LU solved alike, to 1e-13."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import xbar
from xbar.kernels.wires import Wires
from xbar.parts.array.ir_drop import LineCircuit

CASE = Path(xbar.__file__).parents[2] / "shared" / "cases" / "ir_drop" / "oracle_64x64.npz"


@pytest.mark.skipif(not CASE.exists(), reason=f"{CASE} is not here; the cases of ngspice_6x5.json are checked anyway")
def test_currents_and_voltages() -> None:
    with np.load(CASE) as case:
        g_S, volts = case["G"], case["V"]
        circuit = LineCircuit(Wires(float(case["r_wl"]), float(case["r_bl"]), 0.0, 0.0, False), False, None, "none")
        for solver in ("direct", "ngspice", "badcrossbar"):
            np.testing.assert_allclose(circuit.currents_S(g_S, volts), case[f"I_{solver}"], rtol=1e-9)
        for v, vector in enumerate(volts):
            nodes = circuit.nodes(g_S, vector)
            np.testing.assert_allclose(nodes.word_rel, case["V_wl"][:, :, v], rtol=1e-9)
            np.testing.assert_allclose(nodes.bit_rel, case["V_bl"][:, :, v], rtol=1e-9)
            np.testing.assert_allclose(nodes.bit_line_S[-1], case["I_direct"][v], rtol=1e-9)
