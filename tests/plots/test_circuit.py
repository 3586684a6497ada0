"""Pictures of crossbars with line resistance show the numbers that they are made of."""

from __future__ import annotations

import numpy as np
import pytest
from close import approx
from matplotlib.figure import Figure
from numpy.testing import assert_allclose

from xbar import plots
from xbar.kernels.wires import Wires
from xbar.parts.array.ir_drop import LineCircuit, Nodes
from xbar.parts.base import Floats

G_S = 10 ** np.random.default_rng(0).uniform(-5, -4, (5, 4))


def _nodes(two_sided: bool, g_S: Floats = G_S) -> Nodes:
    return LineCircuit(Wires(2.0, 2.0, 0.0, 0.0, two_sided), False, None, "none").nodes(g_S, np.ones(5))


@pytest.mark.parametrize("line", ["word", "bit"])
def test_voltages_by_row_and_column(line: str) -> None:
    figure = Figure()
    nodes = _nodes(False)
    ax = plots.node_voltages(nodes, line, figure.add_subplot())  # type: ignore[arg-type]
    assert_allclose(ax.get_images()[0].get_array(), nodes.word_rel if line == "word" else nodes.bit_rel)
    assert figure.axes[1].get_ylabel() == f"voltage of the {line} lines / read voltage"
    assert ax.get_xlabel() == "column (drivers on the left)"


def test_cells_that_do_not_conduct_are_white() -> None:
    g_S = G_S.copy()
    g_S[1, 2] = 0
    ax = plots.effective_conductances(0.5 * g_S, g_S, Figure().add_subplot())
    shown = ax.get_images()[0].get_array()
    assert shown.mask.sum() == 1
    assert shown.mask[1, 2]
    assert_allclose(shown.compressed(), 0.5)


@pytest.mark.parametrize("two_sided", [False, True])
def test_every_segment_is_drawn_with_its_current(two_sided: bool) -> None:
    nodes = _nodes(two_sided)
    ax = plots.branch_currents(nodes, Figure().add_subplot())
    (lines,) = ax.collections
    drawn = dict(zip((tuple(map(tuple, s)) for s in lines.get_segments()), lines.get_array(), strict=True))
    assert len(drawn) == 5 * 4 * 2 + 5 * two_sided
    largest = max(np.abs(nodes.word_line_S).max(), nodes.bit_line_S.max())
    assert drawn[(1.0, 3.0), (2.0, 3.0)] == approx(abs(nodes.word_line_S[3, 2]) / largest)
    assert drawn[(2.3, 3.3), (2.3, 4.3)] == approx(nodes.bit_line_S[3, 2] / largest)
    if two_sided:
        assert drawn[(3.0, 1.0), (4.0, 1.0)] == approx(-nodes.word_line_S[1, 4] / largest)


def test_a_crossbar_without_current_is_drawn_too() -> None:
    ax = plots.branch_currents(_nodes(True, 0 * G_S), Figure().add_subplot())
    assert (ax.collections[0].get_array() == 0).all()
