"""The kernel of the cycle model equals its plain twin in every number."""

from __future__ import annotations

import numpy as np
import pytest
from cycle_cases import CHIPS, NETWORKS, changed, made
from hypothesis import given, settings
from hypothesis import strategies as st

from xbar.cost.cycles import simulate
from xbar.kernels.cycle_state import S
from xbar.kernels.cycle_tables import T
from xbar.kernels.cycles_plain import Run
from xbar.kernels.packed import Packed

MAX_TRACE = 200_000


def assert_equal(tables: Packed, n_inputs: int) -> bool:
    """Whether the batch is through; all figures are those of the twin."""
    state, end_fs = simulate(tables, n_inputs, MAX_TRACE)
    twin = Run(tables, n_inputs)
    assert end_fs == twin.now
    assert state[S.n_traced][0] == len(twin.trace) <= MAX_TRACE
    for name, wanted in twin.figures().items():
        found = state[name][: len(twin.trace)] if name == S.trace else state[name]
        np.testing.assert_array_equal(found, np.reshape(np.array(wanted, np.int64), found.shape), str(name))
    return bool((state[S.end] >= 0).all())


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("network", NETWORKS)
def test_equals_its_twin(network: str, chip: str) -> None:
    assert assert_equal(made(network, chip).tables, 3)


@pytest.mark.parametrize("network", ["tokens", "plain", "residual"])
def test_with_copies_it_equals_its_twin(network: str) -> None:
    assert assert_equal(made(network, "mesh", copies=True).tables, 3)


def test_a_deadlock_is_the_same_deadlock() -> None:
    """One slot for each inbox: windows of three rows never come together."""
    tables = made("residual", "mesh").tables
    assert not assert_equal(tables.replaced({T.inbox_slots: 1}), 2)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(NETWORKS)), st.sampled_from(list(CHIPS)), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_other_times_and_sizes(network: str, chip: str, n_inputs: int, seed: int) -> None:
    assert_equal(changed(made(network, chip).tables, np.random.default_rng(seed)), n_inputs)
