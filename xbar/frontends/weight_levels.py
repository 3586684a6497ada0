"""Float weights of neurons as a few levels each: optimal clustering of numbers on a line, zero being free of charge."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
_MOST_CELLS = 1 << 21  # numbers that a table holds at once
_ROUNDS = 5  # more change nothing in the second digit of the error


def few_levels(weights: sparse.csc_array, rates: Floats, n_levels: int) -> sparse.csc_array:
    """Weights [line, neuron] with at most n_levels distinct values q per neuron, and 0, which takes no synapse.

    For each neuron they make (q - w)^T G (q - w) small, G being the covariance of its lines' rates [sample, line], so
    that errors of lines that are active together make up for each other. G's diagonal is 30 % larger, for what so many
    samples do not tell. First the `best_levels` as if lines were independent; then, in turns, the best level for each
    weight, the others being as they are, and the best levels for these choices (OPTQ, Frantar et al., ICLR 2023, rounds
    one weight after the other to the same end).
    """
    starts, sizes = weights.indptr[:-1], np.diff(weights.indptr)
    centred = np.ascontiguousarray((rates - rates.mean(0)).T)
    variance = (centred**2).mean(1)
    importance = 1.3 * variance + max(1e-3 * float(variance.mean()), 1e-12)
    data = np.zeros(weights.nnz)
    for size in np.unique(sizes[sizes > 0]):
        columns = np.flatnonzero(sizes == size)
        step = max(1, _MOST_CELLS // (int(size) * max(int(size), len(rates))))
        for first in range(0, len(columns), step):
            where = starts[columns[first : first + step], None] + np.arange(size)
            lines, values = weights.indices[where], weights.data[where]
            together = centred[lines] @ centred[lines].swapaxes(1, 2) / len(rates)
            together[:, np.arange(size), np.arange(size)] = importance[lines]
            data[where] = _refined(values, best_levels(values, importance[lines], n_levels), together, n_levels)
    result = sparse.csc_array((data, weights.indices.copy(), weights.indptr.copy()), shape=weights.shape)
    result.eliminate_zeros()
    return result


def _refined(values: Floats, first: Floats, together: Floats, n_levels: int) -> Floats:
    """From first levels to better ones, each [neuron, weight], by the covariance [neuron, weight, weight]."""
    n, m = values.shape
    rows = np.arange(n)
    levels = np.zeros((n, n_levels + 1))
    for row in range(n):
        own = np.unique(first[row][first[row] != 0])
        levels[row, 1 : len(own) + 1] = own
    chosen = np.abs(first[:, :, None] - levels[:, None, :]).argmin(2)
    for _ in range(_ROUNDS):
        missed = np.take_along_axis(levels, chosen, 1) - values
        slope = (together @ missed[:, :, None])[:, :, 0]
        for i in range(m):
            wanted = values[:, i] + missed[:, i] - slope[:, i] / together[:, i, i]
            chosen[:, i] = np.abs(wanted[:, None] - levels).argmin(1)
            change = levels[rows, chosen[:, i]] - values[:, i] - missed[:, i]
            missed[:, i] += change
            slope += together[:, :, i] * change[:, None]
        holds = (chosen[:, :, None] == np.arange(1, n_levels + 1)).astype(np.float64)
        half = holds.swapaxes(1, 2) @ together
        square = half @ holds
        unused = ~holds.any(1)
        square[:, np.arange(n_levels), np.arange(n_levels)] += unused
        levels[:, 1:] = np.linalg.solve(square, half @ values[:, :, None])[:, :, 0] * ~unused
    return np.take_along_axis(levels, chosen, 1)


def best_levels(values: Floats, importance: Floats, n_levels: int) -> Floats:
    """q [neuron, weight] with at most n_levels distinct values and 0 per row and least sum of importance (q - w)^2.

    Clusters of numbers on a line are intervals, so that dynamic programming finds the best ones (Wang and Song, The R
    Journal 2011), here with one whose centre is fixed at 0. values, importance: [neuron, weight].
    """
    order = np.argsort(values, axis=1)
    v, w = (np.take_along_axis(a, order, 1) for a in (values, importance))
    sums = [np.pad(np.cumsum(a, 1), ((0, 0), (1, 0))) for a in (w, w * v, w * v * v)]
    starts, ends = _intervals(sums, n_levels)
    rows = np.arange(len(v))
    centres = np.zeros_like(v)
    place = np.arange(v.shape[1])
    for start, end in zip(starts, ends, strict=True):
        weight = sums[0][rows, end] - sums[0][rows, start]
        centre = (sums[1][rows, end] - sums[1][rows, start]) / np.where(weight > 0, weight, 1)
        inside = (place >= start[:, None]) & (place < end[:, None])
        centres = np.where(inside, centre[:, None], centres)
    result = np.empty_like(v)
    np.put_along_axis(result, order, centres, 1)
    return result


def _intervals(sums: list[Floats], n_levels: int) -> tuple[list[NDArray[np.intp]], list[NDArray[np.intp]]]:
    """Starts and ends [neuron] of the intervals with a centre of their own; what they leave out goes to 0.

    without[j], within[j]: least cost of the first j weights with the interval at 0 still to come, and with it behind.
    """
    n, m = sums[0].shape[0], sums[0].shape[1]
    own, zero = _costs(sums)
    without = np.full((n, m), np.inf)
    without[:, 0] = 0
    within = zero[:, 0]
    steps = []
    for _ in range(n_levels):
        without, from_without = _cheapest(without, own)
        within, from_within = _cheapest(within, own)
        by_zero, from_zero = _cheapest(without, zero)
        takes_zero = by_zero < within
        within = np.where(takes_zero, by_zero, within)
        steps.append((from_without, from_within, from_zero, takes_zero))
    rows, end, before = np.arange(n), np.full(n, m - 1), np.zeros(n, np.bool_)
    starts, ends = [], []
    for from_without, from_within, from_zero, takes_zero in reversed(steps):
        now = takes_zero[rows, end] & ~before
        end = np.where(now, from_zero[rows, end], end)
        before |= now
        start = np.where(before, from_without[rows, end], from_within[rows, end])
        starts.append(start)
        ends.append(end)
        end = start
    return starts, ends


def _costs(sums: list[Floats]) -> tuple[Floats, Floats]:
    """Squared errors [neuron, start, end] of an interval around its own centre, and around 0."""
    s0, s1, s2 = (s[:, None, :] - s[:, :, None] for s in sums)
    own = np.maximum(s2 - s1 * s1 / np.where(s0 > 0, s0, 1), 0)
    forward = np.tri(own.shape[1], dtype=np.bool_).T
    return np.where(forward, own, np.inf), np.where(forward, np.maximum(s2, 0), np.inf)


def _cheapest(cost: Floats, interval: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Least cost up to each end with one more interval, and where that interval starts."""
    total = cost[:, :, None] + interval
    start = total.argmin(1)
    return np.take_along_axis(total, start[:, None], 1)[:, 0], start
