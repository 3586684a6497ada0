"""Line resistance against a sparse LU of all nodes and against badcrossbar, as ratios measured in one run.

128 x 128 cells of 10 kOhm to 1 MOhm, 1 Ohm segments; the strict bars are for a quiet machine (`make slow`).
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import pytest
import torch
from peers import import_badcrossbar

from xbar.kernels.ladder import operators
from xbar.kernels.lines import Cells, line_currents
from xbar.kernels.nodal import operator_plain
from xbar.kernels.wires import Floats, Wires

N = 128
RNG = np.random.default_rng(0)
G_S = RNG.uniform(1e-6, 1e-4, (N, N))
DRIVE = RNG.random((100, N))
WIRES = Wires(1.0, 1.0, 0.0, 0.0, False)


def _seconds(function: Callable[[], object], n_runs: int) -> float:
    """Median time after a run that does not count."""
    function()
    times = []
    for _ in range(n_runs):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _operator(g_S: Floats = G_S, wires: Wires = WIRES) -> Floats:
    return operators(g_S[None], wires)[0]


def _times_faster_than_lu(n_runs: int, n: int = N, wires: Wires = WIRES) -> float:
    g_S = RNG.uniform(1e-6, 1e-4, (n, n))
    assert np.abs(_operator(g_S, wires) / operator_plain(g_S, wires) - 1).max() < 1e-9
    plain_s = _seconds(partial(operator_plain, g_S, wires), max(1, n_runs // 3))
    structured_s = _seconds(partial(_operator, g_S, wires), 3 * n_runs)
    print(
        f"operator of {n} x {n}, {wires.word_Ohm:g} Ohm: {structured_s * 1e3:.1f} ms, "
        f"{plain_s / structured_s:.0f} times faster than one sparse LU with {n} adjoint solves"
    )
    return plain_s / structured_s


@pytest.mark.slow
def test_operator_four_times_faster_than_a_sparse_lu() -> None:
    assert _times_faster_than_lu(9) >= 4


def test_an_operator_that_lost_its_speed_is_noticed_on_a_busy_machine_too() -> None:
    """Measured: some 50 times on a quiet machine."""
    assert _times_faster_than_lu(2) >= 8


@pytest.mark.slow
@pytest.mark.parametrize(("n", "ohm"), [(128, 5.0), (256, 1.0)])
def test_strong_drops_are_as_fast(n: int, ohm: float) -> None:
    assert _times_faster_than_lu(3, n, Wires(ohm, ohm, 0.0, 0.0, False)) >= 4


def _times_faster_than_badcrossbar(n_runs: int) -> tuple[float, float]:
    """For the operator and 100 inputs, and for 100 more inputs."""
    badcrossbar = import_badcrossbar()
    ohm = 1 / G_S
    np.testing.assert_allclose(DRIVE @ _operator(), badcrossbar.compute(DRIVE.T, ohm, 1.0).currents.output, rtol=1e-9)
    theirs_s = _seconds(lambda: badcrossbar.compute(DRIVE.T, ohm, 1.0), n_runs)
    first_s = _seconds(lambda: DRIVE @ _operator(), 3 * n_runs)
    operator = _operator()
    more_s = _seconds(lambda: DRIVE @ operator, 30 * n_runs)
    print(
        f"badcrossbar, 100 inputs: {theirs_s:.2f} s; {theirs_s / first_s:.0f} times faster with the operator, "
        f"{theirs_s / more_s:.0f} times for each further 100"
    )
    return theirs_s / first_s, theirs_s / more_s


@pytest.mark.slow
def test_faster_than_badcrossbar() -> None:
    first, more = _times_faster_than_badcrossbar(5)
    assert first >= 5
    assert more >= 500


def test_faster_than_badcrossbar_on_a_busy_machine_too() -> None:
    first, more = _times_faster_than_badcrossbar(1)
    assert first >= 5
    assert more >= 100  # finding the operator anew each time would be some 50


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """As many as the sparse LU uses: other work on the cores then slows both alike."""
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(n_threads)


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("shape", [(20, 32), (128, 64)])
def test_many_small_arrays_are_fast_too(shape: tuple[int, int]) -> None:
    """Many at once against one after the other with every node in one matrix, in turn."""
    g_S = RNG.uniform(1e-6, 1e-4, (8, *shape))
    seconds = [
        (_seconds(lambda: operators(g_S, WIRES), 1), _seconds(lambda: operator_plain(g_S[0], WIRES), 1))
        for _ in range(7)
    ]
    times = statistics.median(len(g_S) * plain_s / together_s for together_s, plain_s in seconds)
    print(
        f"8 operators of {shape}: {seconds[0][0] / 8 * 1e3:.2f} ms each at first, {times:.0f} times faster than an LU"
    )
    assert times >= 5


@pytest.mark.slow
@pytest.mark.parametrize(("curvature", "bar"), [(0.0, 100), (0.5, 30)])
def test_gated_inputs_are_fast(curvature: float, bar: float) -> None:
    """Each input has an operator of its own; the plain way is one LU each (more for curved cells, not counted)."""
    cells, drive = Cells(G_S, WIRES, curvature, True), (RNG.random((200, N)) < 0.25) * 1.0
    each_s = _seconds(lambda: line_currents(cells, drive), 5) / 200
    plain_s = _seconds(lambda: operator_plain(G_S * drive[0][:, None], WIRES), 1)
    print(
        f"gated, curvature {curvature}: {each_s * 1e3:.2f} ms an input, {plain_s / each_s:.0f} times faster than an LU"
    )
    assert plain_s >= bar * each_s
