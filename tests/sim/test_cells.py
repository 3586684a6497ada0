"""What wires leave of the signals of rows and columns."""

from __future__ import annotations

import numpy as np
from close import approx

from xbar.sim.cells import attenuation


def test_factors_of_rows_and_columns_are_found_although_cells_that_are_off_say_nothing() -> None:
    rng = np.random.default_rng(0)
    g = rng.choice([1e-9, 0.5, 1.0], (30, 20))
    row, col = rng.uniform(0.8, 1, 30), rng.uniform(0.7, 1, 20)
    ways_around = 1e-5
    got = np.multiply.outer(*attenuation(g, g * np.multiply.outer(row, col) + ways_around))
    assert got == approx(np.multiply.outer(row, col), rel=2e-3)


def test_lines_without_a_conducting_cell_are_like_the_others() -> None:
    g = np.ones((4, 3))
    g[2], g[:, 1] = 1e-9, 0
    got = np.multiply.outer(*attenuation(g, 0.9 * g + 1e-6))
    assert got == approx(np.full((4, 3), 0.9), rel=1e-2)


def test_nothing_conducts() -> None:
    row, col = attenuation(np.zeros((4, 3)), np.zeros((4, 3)))
    assert row.tolist() == [1] * 4
    assert col.tolist() == [1] * 3
