"""Crossbars with line resistance against badcrossbar (Joksas and Mehonic, SoftwareX 12, 2020)."""

from __future__ import annotations

import numpy as np
import pytest
from peers import import_badcrossbar

from xbar.kernels.wires import Wires
from xbar.parts.array.ir_drop import LineCircuit

badcrossbar = import_badcrossbar()


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (20, 32), (64, 48)])
@pytest.mark.parametrize(("word_Ohm", "bit_Ohm"), [(1.0, 1.0), (0.3, 20.0)])
def test_currents_and_voltages(shape: tuple[int, int], word_Ohm: float, bit_Ohm: float) -> None:
    rng = np.random.default_rng(shape)
    g_S, drive = 10 ** rng.uniform(-6, -4, shape), rng.random((3, shape[0]))
    circuit = LineCircuit(Wires(word_Ohm, bit_Ohm, 0.0, 0.0, False), False, None, "none")
    theirs = badcrossbar.compute(drive.T, 1 / g_S, r_i_word_line=word_Ohm, r_i_bit_line=bit_Ohm)
    np.testing.assert_allclose(circuit.currents_S(g_S, drive), theirs.currents.output, rtol=1e-9)
    for v, vector in enumerate(drive):
        nodes = circuit.nodes(g_S, vector)
        for ours, other in [
            (nodes.word_rel, theirs.voltages.word_line),
            (nodes.bit_rel, theirs.voltages.bit_line),
            (nodes.cell_S, theirs.currents.device),
            (nodes.word_line_S[:, :-1], theirs.currents.word_line),
            (nodes.bit_line_S, theirs.currents.bit_line),
        ]:
            # they take currents from differences of voltages, so that small ones among large ones are less sure
            wanted = other.reshape(*shape, -1)[:, :, v]
            np.testing.assert_allclose(ours, wanted, rtol=1e-8, atol=1e-11 * np.abs(wanted).max())
