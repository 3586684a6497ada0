"""Tasks on torch's threads, and on Python's where torch has none to lend."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from numba import njit

from xbar.kernels import parallel
from xbar.kernels.histogram import add_histogram, add_histogram_plain


@njit
def _square(task, values, out):  # type: ignore[no-untyped-def]
    out[task] += values[task] ** 2


@njit
def _squares(team, values, out):  # type: ignore[no-untyped-def]
    parallel.parallel_for(team, _square, len(values), (values, out))


PYTHON = ctypes.cast(parallel._python_threads, ctypes.c_void_p).value


@pytest.mark.parametrize("start", [parallel.team().start, PYTHON], ids=["torch", "python"])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_task_runs_once(start: int, threads: int) -> None:
    values, out = np.arange(1000), np.zeros(1000, np.int64)
    _squares(parallel.Team(start, threads), values, out)
    np.testing.assert_array_equal(out, values**2)


def test_no_task_is_no_work() -> None:
    _squares(parallel.team(), np.zeros(0, np.int64), np.zeros(0, np.int64))


def test_histogram_equals_its_twin() -> None:
    sums = np.random.default_rng(0).integers(0, 50, (33, 4, 7)).astype(np.float32)
    plane_slice = np.array([0, 1, 0, 1])
    ours, theirs = np.ones((2, 50), np.int64), np.ones((2, 50), np.int64)
    add_histogram(sums, plane_slice, ours)
    add_histogram_plain(sums, plane_slice, theirs)
    np.testing.assert_array_equal(ours, theirs)
    assert ours.sum() == 100 + sums.size
