"""How often each column sum occurs, by slice."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from xbar.kernels.parallel import parallel_for, team

_TASKS = 16


@njit(cache=True)
def _histogram_task(task, sums, plane_slice, counts):  # type: ignore[no-untyped-def]
    share = -(-sums.shape[0] // counts.shape[0])
    for v in range(task * share, min(sums.shape[0], (task + 1) * share)):
        for plane in range(sums.shape[1]):
            s = plane_slice[plane]
            for c in range(sums.shape[2]):
                counts[task, s, np.int64(sums[v, plane, c])] += 1


@njit(cache=True)
def _histogram_all(threads, sums, plane_slice, counts):  # type: ignore[no-untyped-def]
    parallel_for(threads, _histogram_task, counts.shape[0], (sums, plane_slice, counts))  # type: ignore[call-arg]


def add_histogram(sums: NDArray[np.float32], plane_slice: NDArray[np.int64], histogram: NDArray[np.int64]) -> None:
    """Add the occurrences of `sums` [vector, plane, col] (whole numbers) to `histogram`, int64 [slice, sum]."""
    counts = np.zeros((_TASKS, *histogram.shape), np.int64)
    _histogram_all(team(), sums, plane_slice, counts)
    histogram += counts.sum(axis=0)


def add_histogram_plain(
    sums: NDArray[np.float32], plane_slice: NDArray[np.int64], histogram: NDArray[np.int64]
) -> None:
    """`add_histogram` in numpy."""
    for plane, s in enumerate(plane_slice):
        histogram[s] += np.bincount(sums[:, plane].ravel().astype(np.int64), minlength=histogram.shape[1])
