"""Cell currents vector by vector against every node in one matrix, with Newton's method on all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xbar.kernels import lines
from xbar.kernels.drops import drops
from xbar.kernels.lines import Cells, cell_currents, line_currents
from xbar.kernels.nodal import nodes_plain
from xbar.kernels.wires import Floats, Wires

RNG = np.random.default_rng(0)
ONE_SIDED, TWO_SIDED = Wires(3.0, 2.0, 7.0, 5.0, False), Wires(3.0, 2.0, 7.0, 5.0, True)


def _plain(cells: Cells, drive: Floats) -> Floats:
    """Cell currents [row, col]."""
    g_S = cells.g_S * (drive != 0)[:, None] if cells.gated else cells.g_S
    word, bit = nodes_plain(g_S, cells.wires, drive, cells.curvature or None)
    across = word - bit
    return g_S * (cells.curvature * np.sinh(across / cells.curvature) if cells.curvature else across)


def _drive(n_vectors: int, n_rows: int) -> Floats:
    """About half of the word lines at 0; the last vector has none."""
    drive = RNG.uniform(0.1, 1, (n_vectors, n_rows)) * (RNG.random((n_vectors, n_rows)) < 0.5)
    drive[0] = 1
    drive[-1] = 0
    return drive


@pytest.mark.parametrize("curvature", [0.0, 2.0, 0.2])
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("wires", [ONE_SIDED, TWO_SIDED])
@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (5, 9), (30, 21)])
def test_like_one_matrix_of_all_nodes(shape: tuple[int, int], wires: Wires, gated: bool, curvature: float) -> None:
    g_S = 10 ** RNG.uniform(-6, -4, shape)
    g_S[RNG.random(shape) < 0.05] = 0
    cells, drive = Cells(g_S, wires, curvature, gated), _drive(4, shape[0])
    plain = [_plain(cells, vector) for vector in drive]
    found, iterations = line_currents(cells, drive)
    assert (iterations >= 0).all()
    np.testing.assert_allclose(found, np.sum(plain, axis=1), rtol=1e-9, atol=1e-30)
    for vector, wanted in zip(drive, plain, strict=True):
        each, _ = cell_currents(cells, vector)
        np.testing.assert_allclose(each, wanted, rtol=1e-8, atol=1e-10 * wanted.max())


def test_drives_of_both_signs() -> None:
    cells = Cells(10 ** RNG.uniform(-6, -4, (12, 10)), ONE_SIDED, 0.3, False)
    drive = RNG.uniform(-1, 1, (3, 12))
    found, _ = line_currents(cells, drive)
    np.testing.assert_allclose(found, [_plain(cells, vector).sum(axis=0) for vector in drive], rtol=1e-8)
    np.testing.assert_allclose(line_currents(cells, -drive)[0], -found, rtol=1e-9)


@pytest.mark.parametrize("ohm", [5.0, 50.0])
def test_strong_drops(ohm: float) -> None:
    g_S = RNG.uniform(1e-5, 1e-3, (40, 50))
    cells = Cells(g_S, Wires(ohm, ohm, 0.0, 0.0, False), 0.0, True)
    drive = _drive(3, 40)
    found, iterations = line_currents(cells, drive)
    assert (iterations[:2] > 0).any()
    assert found[0].sum() < 0.3 * g_S.sum()
    np.testing.assert_allclose(found, [_plain(cells, vector).sum(axis=0) for vector in drive], rtol=1e-9)


@pytest.mark.parametrize("curvature", [0.0, 0.3])
def test_same_bits_in_any_company_and_on_any_threads(curvature: float) -> None:
    cells = Cells(10 ** RNG.uniform(-6, -4, (25, 30)), ONE_SIDED, curvature, True)
    drive = _drive(40, 25)
    together, _ = line_currents(cells, drive)
    threads = torch.get_num_threads()
    try:
        for n in (1, 3):
            torch.set_num_threads(n)
            assert np.array_equal(line_currents(cells, drive[17:18])[0][0], together[17])
            assert np.array_equal(line_currents(cells, drive[::-1])[0][::-1], together)
    finally:
        torch.set_num_threads(threads)


def test_vectors_that_occur_again_are_solved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = Cells(10 ** RNG.uniform(-6, -4, (8, 9)), ONE_SIDED, 0.0, True)
    drive = (RNG.random((6, 8)) < 0.5) * 1.0
    again = RNG.integers(0, 6, 500)
    solved: list[int] = []
    run = lines._run

    def counted(cells: Cells, drive: Floats, known: tuple[Floats, Floats], each: bool) -> Any:
        solved.append(len(drive))
        return run(cells, drive, known, each)

    monkeypatch.setattr(lines, "_run", counted)
    found, _ = line_currents(cells, drive[again])
    assert np.array_equal(found, line_currents(cells, drive)[0][again])
    assert max(solved) == len(np.unique(drive, axis=0))


def test_the_drops_of_all_driven_are_a_good_start() -> None:
    cells = Cells(RNG.uniform(1e-6, 1e-5, (64, 64)), Wires(1.0, 1.0, 0.0, 0.0, False), 0.25, True)
    drive = (RNG.random((20, 64)) < 0.4) * 1.0
    _, iterations = line_currents(cells, drive)
    cold = [cell_currents(cells, vector)[1] for vector in drive]
    assert iterations.max() < 0.8 * min(cold)
    assert line_currents(cells, np.ones((1, 64)))[1][0] == 0


def test_what_cannot_be_found_says_so() -> None:
    """Cells of some mOhm on lines of 3 and 2 Ohm: rounding leaves more than the tolerance."""
    cells = Cells(10 ** np.random.default_rng(0).uniform(2, 4, (40, 40)), ONE_SIDED, 0.0, False)
    currents, iterations = line_currents(cells, np.ones((1, 40)))
    assert iterations[0] == -1
    assert np.isfinite(currents).all()


@pytest.mark.parametrize("gated", [False, True])
def test_nothing_conducts(gated: bool) -> None:
    cells = Cells(np.zeros((3, 5)), ONE_SIDED, 0.2, gated)
    currents, iterations = line_currents(cells, np.ones((2, 3)))
    assert (currents == 0).all()
    assert (iterations == 0).all()


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 13), cols=st.integers(1, 9), seed=st.integers(0, 99), two_sided=st.booleans())
def test_drops_are_resistances_times_currents(rows: int, cols: int, seed: int, two_sided: bool) -> None:
    """Two cells of a word line share the path from the driver to the nearer one; seen from two sides, less."""
    wires = ONE_SIDED._replace(two_sided=two_sided)
    current = np.random.default_rng(seed).uniform(-1, 1, (rows, cols))
    word_Ohm, bit_Ohm, end_Ohm = wires.paths_Ohm((rows, cols))
    along, up = word_Ohm.cumsum(), bit_Ohm[::-1].cumsum()[::-1]
    shared = np.minimum.outer(along, along)
    if two_sided:
        shared = shared - np.outer(along, along) / (along[-1] + end_Ohm)
    word, bit = drops(current, wires)
    np.testing.assert_allclose(word, current @ shared, atol=1e-12)
    np.testing.assert_allclose(bit, np.minimum.outer(up, up) @ current, atol=1e-12)
