"""Replication balances the pipeline within the budget."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.replicate import replicate

layers = st.lists(st.tuples(st.integers(1, 200), st.integers(1, 9), st.integers(1, 6)), min_size=1, max_size=6)

small_layers = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=3)


def steps(vectors, times, replicas):
    return max(-(-v // r) * p for v, p, r in zip(vectors, times, replicas, strict=True))


@settings(max_examples=200, deadline=None)
@given(layers, st.integers(0, 100))
def test_never_over_budget_never_slower_and_no_idle_replica(sizes, spare):
    vectors, times, cores = zip(*sizes, strict=True)
    budget = sum(cores) + spare
    replicas = replicate(vectors, times, cores, budget)
    assert sum(r * c for r, c in zip(replicas, cores, strict=True)) <= budget
    slowest = steps(vectors, times, replicas)
    assert slowest <= steps(vectors, times, [1] * len(sizes))
    for i, r in enumerate(replicas):
        assert 1 <= r <= vectors[i]
        if r > 1:  # one replica fewer would make this layer slower than the bottleneck
            assert -(-vectors[i] // (r - 1)) * times[i] > slowest


@settings(max_examples=40, deadline=None)
@given(small_layers, st.integers(0, 6))
def test_the_bottleneck_is_the_shortest_that_any_choice_reaches(sizes, spare):
    vectors, times, cores = zip(*sizes, strict=True)
    budget = sum(cores) + spare
    choices = product(*(range(1, v + 1) for v in vectors))
    affordable = (c for c in choices if sum(a * b for a, b in zip(c, cores, strict=True)) <= budget)
    best = min(steps(vectors, times, c) for c in affordable)
    assert steps(vectors, times, replicate(vectors, times, cores, budget)) == best


@pytest.mark.parametrize(
    ("budget", "expected"), [(2, (1, 1)), (3, (2, 1)), (5, (4, 1)), (6, (4, 1)), (8, (6, 2)), (1000, (100, 25))]
)
def test_hand_sized(budget, expected):
    """100 and 25 vectors, one core each: 3 cores give 50 | 25, 5 give 25 | 25; the next step is 17 | 13 with 6 + 2."""
    assert replicate([100, 25], [8, 8], [1, 1], budget) == expected
