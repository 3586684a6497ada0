"""Netlists of crossbars for ngspice, and what it says about them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from xbar.kernels.wires import Floats, Wires

needs_ngspice = pytest.mark.skipif(
    shutil.which("ngspice") is None, reason="ngspice is not installed; `apt-get install ngspice` brings it"
)
# Tight enough that Newton's method of the simulator does not show; gmin is a conductance that it puts across sources.
_OPTIONS = ".options reltol=1e-12 abstol=1e-21 vntol=1e-16 gmin=1e-21"


def netlist(g_S: Floats, wires: Wires, volts: Floats, curvature_V: float | None, gated: bool) -> str:
    """One crossbar: w<row>_<col> and b<row>_<col> are the nodes, s<col> the sources of 0 V that sense."""
    n_rows, n_cols = g_S.shape
    lines = ["* crossbar"]

    def resistor(name: str, a: str, b: str, ohm: float) -> None:
        lines.append(f"R{name} {a} {b} {ohm:.17g}")

    for i, volt in enumerate(volts):
        lines.append(f"Vin{i} in{i} 0 {volt:.17g}")
        resistor(f"w{i}_0", f"in{i}", f"w{i}_0", wires.driver_Ohm + wires.word_Ohm)
        if wires.two_sided:
            resistor(f"e{i}", f"in{i}", f"w{i}_{n_cols - 1}", wires.driver_Ohm + wires.word_Ohm)
        for j in range(1, n_cols):
            resistor(f"w{i}_{j}", f"w{i}_{j - 1}", f"w{i}_{j}", wires.word_Ohm)
        for j in range(n_cols):
            if g_S[i, j] == 0 or (gated and volt == 0):
                continue
            if curvature_V is None:
                resistor(f"c{i}_{j}", f"w{i}_{j}", f"b{i}_{j}", 1 / g_S[i, j])
            else:
                law = f"{g_S[i, j] * curvature_V:.17g}*sinh(V(w{i}_{j},b{i}_{j})/{curvature_V:.17g})"
                lines.append(f"Bc{i}_{j} w{i}_{j} b{i}_{j} I={law}")
    for j in range(n_cols):
        for i in range(n_rows - 1):
            resistor(f"b{i}_{j}", f"b{i}_{j}", f"b{i + 1}_{j}", wires.bit_Ohm)
        resistor(f"s{j}", f"b{n_rows - 1}_{j}", f"s{j}", wires.bit_Ohm + wires.sense_Ohm)
        lines.append(f"Vs{j} s{j} 0 0")
    asked = [f"print i(Vs{j})" for j in range(n_cols)]
    return "\n".join([*lines, _OPTIONS, ".control", "set numdgt=16", "op", *asked, ".endc", ".end", ""])


def column_currents(
    g_S: Floats, wires: Wires, volts: Floats, folder: Path, curvature_V: float | None = None, gated: bool = False
) -> Floats:
    """Currents of the bit lines in A, [vector, col], for word line voltages [vector, row], by ngspice."""
    found = []
    for vector in volts:
        file = folder / "crossbar.cir"
        file.write_text(netlist(g_S, wires, vector, curvature_V, gated))
        run = subprocess.run(["ngspice", "-b", str(file)], capture_output=True, text=True, check=False, timeout=300)
        currents = dict(re.findall(r"i\(vs(\d+)\) = (\S+)", run.stdout))
        assert len(currents) == g_S.shape[1], run.stdout + run.stderr
        found.append([float(currents[str(j)]) for j in range(g_S.shape[1])])
    return np.array(found)
