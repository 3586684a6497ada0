"""The clustering of weights against all partitions, and its limits."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse

from xbar.frontends.weight_levels import best_levels, few_levels

Floats = NDArray[np.float64]


def quantized(values: Floats, importance: Floats, n_levels: int) -> Floats:
    return best_levels(values[None], importance[None], n_levels)[0]


def best_of_all(values: Floats, importance: Floats, n_levels: int) -> float:
    """Least squared error over every cut of the sorted values into intervals, one of which may go to 0."""
    order = np.argsort(values)
    v, w, best = values[order], importance[order], np.inf
    for n_cuts in range(n_levels + 1):
        for cuts in combinations(range(1, len(v)), n_cuts):
            edges = [0, *cuts, len(v)]
            own, zero = [], []
            for a, b in pairwise(edges):
                centre = np.average(v[a:b], weights=w[a:b]) if w[a:b].sum() > 0 else 0.0
                own.append((w[a:b] * (v[a:b] - centre) ** 2).sum())
                zero.append((w[a:b] * v[a:b] ** 2).sum())
            gains = np.subtract(own, zero)
            if len(own) <= n_levels:
                best = min(best, sum(own))
            if len(own) <= n_levels + 1:
                best = min(best, sum(own) - gains.max())
    return float(best)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1, 1).filter(lambda v: abs(v) > 1e-3), min_size=1, max_size=8),
    st.integers(1, 4),
    st.integers(0, 2**31 - 1),
)
def test_no_other_levels_have_a_smaller_error(values: list[float], n_levels: int, seed: int) -> None:
    v = np.array(values)
    w = np.random.default_rng(seed).uniform(0.1, 1, len(v))
    found = quantized(v, w, n_levels)
    assert len(set(np.round(found[found != 0], 12))) <= n_levels
    np.testing.assert_allclose((w * (found - v) ** 2).sum(), best_of_all(v, w, n_levels), atol=1e-9)


def test_few_values_stay_as_they_are_and_small_ones_lose_their_synapse() -> None:
    v = np.array([0.5, -0.25, 0.5, 1.0, -0.25, 0.75])
    np.testing.assert_allclose(quantized(v, np.ones(6), 4), v)
    np.testing.assert_allclose(quantized(np.array([1.0, 0.01, -0.01, -1.0]), np.ones(4), 2), [1, 0, 0, -1])


def test_what_matters_more_is_held_better() -> None:
    v = np.array([0.9, 1.1])
    np.testing.assert_allclose(quantized(v, np.array([3.0, 1.0]), 1), [0.95, 0.95])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(1, 4))
def test_levels_for_lines_that_fire_together_miss_less(seed: int, n_levels: int) -> None:
    """By the covariance that they are made for: never worse than the best ones for independent lines."""
    rng = np.random.default_rng(seed)
    weights = sparse.csc_array(rng.standard_normal((9, 4)) * (rng.random((9, 4)) < 0.8))
    rates = np.clip(rng.random((50, 3)) @ rng.random((3, 9)), 0, 1)
    covariance = np.cov(rates.T, bias=True)
    variance = np.diag(covariance)
    covariance += np.diag(0.3 * variance + 1e-3 * variance.mean())
    found = few_levels(weights, rates, n_levels).toarray()
    for neuron in range(4):
        line = np.flatnonzero(weights.toarray()[:, neuron])
        if not len(line):
            continue
        w, g = weights.toarray()[line, neuron], covariance[np.ix_(line, line)]
        q, independent = found[line, neuron], quantized(w, np.diag(g), n_levels)
        assert len(set(np.round(q[q != 0], 12))) <= n_levels
        assert (q - w) @ g @ (q - w) <= (independent - w) @ g @ (independent - w) + 1e-12


def test_neurons_of_different_fan_in_are_treated_apart() -> None:
    rng = np.random.default_rng(0)
    weights = sparse.random_array((30, 12), density=0.4, rng=rng, data_sampler=rng.standard_normal).tocsc()
    rates = rng.random((40, 30))
    together = few_levels(weights, rates, 3).toarray()
    for neuron in range(12):
        alone = few_levels(weights[:, [neuron]], rates, 3).toarray()[:, 0]
        np.testing.assert_allclose(together[:, neuron], alone, atol=1e-12)
    assert few_levels(sparse.csc_array((3, 2)), np.ones((4, 3)), 4).nnz == 0
