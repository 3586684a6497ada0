"""The structured direct solve against every node in one matrix, in floats and in exact fractions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xbar.kernels.ladder import operators
from xbar.kernels.ladder_plan import CELLS, MERGE, plan_of
from xbar.kernels.nodal import operator_plain
from xbar.kernels.wires import Floats, Wires

WIRES = [Wires(1.0, 2.0, 0.0, 0.0, False), Wires(1.0, 2.0, 30.0, 4.0, False), Wires(5.0, 0.1, 3.0, 4.0, True)]


def _conductances(shape: tuple[int, ...], seed: int = 0) -> Floats:
    return 10 ** np.random.default_rng(seed).uniform(-6, -4, shape)


@contextmanager
def _threads(n: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("wires", WIRES)
@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 2), (2, 1), (4, 4), (5, 4), (4, 5), (1, 40), (40, 1), (9, 13), (20, 32), (61, 50), (33, 90)]
)
def test_like_one_matrix_of_all_nodes(shape: tuple[int, int], wires: Wires) -> None:
    g_S = _conductances(shape)
    np.testing.assert_allclose(operators(g_S[None], wires)[0], operator_plain(g_S, wires), rtol=1e-10)


def _exact(g_S: Floats, wires: Wires) -> Floats:
    """Currents of all bit lines by exact elimination of every node; those of the word lines come first."""
    m, n = g_S.shape
    word, bit, drive, sense = (Fraction(ohm) for ohm in wires[:4])
    size = 2 * m * n
    rows = [[Fraction(0)] * (size + m) for _ in range(size)]

    def connect(a: int, b: int, ohm: Fraction) -> None:
        for here, there in ((a, b), (b, a)):
            rows[here][here] += 1 / ohm
            rows[here][there] -= 1 / ohm

    for i in range(m):
        for end in {0, n - 1} if wires.two_sided and n > 1 else {0}:
            paths = 2 if wires.two_sided and n == 1 else 1
            rows[i * n + end][i * n + end] += paths / (drive + word)
            rows[i * n + end][size + i] += paths / (drive + word)
        for j in range(n):
            if j + 1 < n:
                connect(i * n + j, i * n + j + 1, word)
            if i + 1 < m:
                connect((m + i) * n + j, (m + i + 1) * n + j, bit)
            if g_S[i, j]:
                connect(i * n + j, (m + i) * n + j, 1 / Fraction(float(g_S[i, j])))
    for j in range(n):
        rows[size - n + j][size - n + j] += 1 / (bit + sense)
    for k in range(size):  # only the last n unknowns are wanted: no row above is needed again but theirs
        first = size - n if k >= size - n else k + 1
        for r in range(first, size):
            if r != k and rows[r][k]:
                factor = rows[r][k] / rows[k][k]
                rows[r] = [x - factor * y if y else x for x, y in zip(rows[r], rows[k], strict=True)]
    return np.array(
        [[float(rows[r][size + i] / rows[r][r] / (bit + sense)) for r in range(size - n, size)] for i in range(m)]
    )


_DECADES = st.integers(-24, 24).map(lambda n: 10.0 ** (n / 6))


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 5)), seed=st.integers(0, 99), g=_DECADES, word=_DECADES,
    bit=_DECADES, drive=st.just(0.0) | _DECADES, sense=st.just(0.0) | _DECADES, two_sided=st.booleans(),
)  # fmt: skip
@example(shape=(5, 5), seed=0, g=1e-12, word=1e-4, bit=1e-4, drive=0.0, sense=0.0, two_sided=True)
@example(shape=(5, 5), seed=0, g=1e4, word=1e4, bit=1e4, drive=1e4, sense=1e4, two_sided=False)
def test_like_exact_fractions_over_many_decades(
    shape: tuple[int, int], seed: int, g: float, word: float, bit: float, drive: float, sense: float, two_sided: bool
) -> None:
    g_S = g * 1e3 * _conductances(shape, seed)
    g_S[np.random.default_rng(seed).random(shape) < 0.1] = 0
    wires = Wires(word, bit, drive, sense, two_sided)
    wanted, (word_Ohm, bit_Ohm, _) = _exact(g_S, wires), wires.paths_Ohm(shape)
    rounding = 1e-14 * (1 + g_S.max() * (word_Ohm.sum() + bit_Ohm.sum()))
    np.testing.assert_allclose(operators(g_S[None], wires)[0], wanted, rtol=0, atol=rounding * wanted.max())


def _drops(shape: tuple[int, int], ohm: float) -> tuple[float, float]:
    """Largest relative difference to the sparse LU, and the share of the current that the wires take."""
    wires, g_S = Wires(ohm, ohm, 0.0, 0.0, False), np.random.default_rng(1).uniform(1e-6, 1e-4, shape)
    found, plain = operators(g_S[None], wires)[0], operator_plain(g_S, wires)
    return float(np.abs(found / plain - 1).max()), float(1 - found.sum() / g_S.sum())


def test_strong_drops_are_as_exact() -> None:
    difference, lost = _drops((128, 128), 5.0)
    assert lost > 0.7
    assert difference < 1e-9


@pytest.mark.slow
def test_strong_drops_of_a_large_array_are_as_exact() -> None:
    difference, lost = _drops((256, 256), 1.0)
    assert lost > 0.7
    assert difference < 1e-9


@settings(max_examples=20, deadline=None)
@given(m=st.integers(1, 40), n=st.integers(1, 40), seed=st.integers(0, 99))
def test_drivers_and_sense_amplifiers_can_change_places(m: int, n: int, seed: int) -> None:
    """Reciprocity: mirrored, with bit lines as word lines, the operator is the mirrored transpose."""
    g_S, wires = _conductances((m, n), seed), Wires(1.0, 7.0, 3.0, 20.0, False)
    swapped = Wires(7.0, 1.0, 20.0, 3.0, False)
    mirrored = operators(g_S[::-1, ::-1].T[None], swapped)[0]
    np.testing.assert_allclose(mirrored[::-1, ::-1].T, operators(g_S[None], wires)[0], rtol=1e-12)


@settings(max_examples=20, deadline=None)
@given(which=st.sampled_from(["word_Ohm", "bit_Ohm", "driver_Ohm", "sense_Ohm"]), two_sided=st.booleans())
def test_no_resistance_can_raise_the_total_current(which: str, two_sided: bool) -> None:
    """Rayleigh's monotonicity law."""
    g_S, wires = _conductances((1, 17, 23)), Wires(1.0, 1.0, 1.0, 1.0, two_sided)
    before = operators(g_S, wires).sum()
    assert operators(g_S, wires._replace(**{which: 1.5})).sum() < before < g_S.sum()


def test_wires_without_resistance_leave_the_conductances() -> None:
    g_S = _conductances((2, 50, 37))
    np.testing.assert_allclose(operators(g_S, Wires(0.0, 0.0, 0.0, 0.0, False)), g_S, rtol=1e-14)
    np.testing.assert_allclose(operators(g_S, Wires(1e-9, 1e-9, 0.0, 0.0, True)), g_S, rtol=1e-9)


@pytest.mark.parametrize("scale", [0.0, 1e-310, 1e-30, 1e9])
def test_any_conductance_gives_a_finite_answer(scale: float) -> None:
    g_S = scale * _conductances((1, 30, 30))
    found = operators(g_S, Wires(2.0, 1.0, 0.0, 0.0, False))
    assert np.isfinite(found).all()
    assert not np.signbit(found).any()
    assert (found.sum() > 0) == (scale > 0)
    if scale < 1e-20:
        np.testing.assert_allclose(found, g_S, rtol=1e-6)


def test_same_bits_in_any_company_and_on_any_threads() -> None:
    g_S, wires = _conductances((7, 70, 45)), WIRES[1]
    together = operators(g_S, wires)
    for threads in (1, 3):
        with _threads(threads):
            assert np.array_equal(operators(g_S[4:5], wires)[0], together[4])
            assert np.array_equal(operators(g_S[::-1], wires)[::-1], together)


@pytest.mark.parametrize("two_sided", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (64, 64), (100, 37)])
def test_plan_covers_each_cell_once_and_its_tasks_never_meet(shape: tuple[int, int], two_sided: bool) -> None:
    plan = plan_of(*shape, two_sided)
    cells = plan.ops[plan.ops[:, 0] == CELLS]
    covered = np.zeros(shape, np.int64)
    for row, col, rows, cols in cells[:, 3:7]:
        covered[row : row + rows, col : col + cols] += 1
    assert (covered == 1).all()
    merges = plan.ops[plan.ops[:, 0] == MERGE]
    assert len(merges) == len(cells) - 1
    for first_op in plan.stages:
        writer = np.full(plan.n_space, -1)
        for task, (first, last) in enumerate(pairwise(first_op)):
            merged = plan.ops[first:last][plan.ops[first:last, 0] == MERGE]
            for s, place, _, _, a_out, a_in, b_out, b_in in merged[:, 1:9]:
                here = slice(place, place + (a_out + b_out - 2 * s) * (a_in + b_in - 2 * s))
                assert here.stop <= plan.n_space
                assert np.isin(writer[here], [-1, task]).all()
                writer[here] = task
