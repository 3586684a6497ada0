from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.spiking.fanout import FIRST_AXON, NEVER, NOTHING, levels, pack, trees


def test_levels_of_trees():
    assert levels(np.array([0, 1, 2, 3, 4, 9, 10]), 3).tolist() == [0, 0, 1, 1, 2, 2, 3]
    assert levels(np.array([1, 2]), 1).tolist() == [0, NEVER]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 60), max_size=12), min_size=1, max_size=5),
    st.integers(2, 6),
    st.integers(1, 15),
)
def test_every_demand_is_met_once_after_its_ticks(demands, branches, max_delay):
    source = np.repeat(np.arange(len(demands)), [len(d) for d in demands])
    least = levels(np.bincount(source, minlength=len(demands)), branches) + 1
    ticks = np.concatenate([np.zeros(0, np.int64), *(np.array(d, np.int64) for d in demands)]) + least[source]
    found = trees(source, ticks, len(demands), branches, max_delay)
    n_sources = len(demands)
    assert len(found.target) == len(found.delay) == n_sources + len(found.fed_by)
    assert found.delay.min() >= 1
    assert found.delay.max() <= max_delay
    assert np.bincount(found.fed_by, minlength=1).max() <= branches
    met: dict[int, tuple[int, int]] = {}

    def follow(neuron: int, start: int, spent: int) -> None:
        target, spent = int(found.target[neuron]), spent + int(found.delay[neuron])
        if target >= 0:
            assert target not in met
            met[target] = (start, spent)
        elif target != NOTHING:
            for relay in np.flatnonzero(found.fed_by == FIRST_AXON - target):
                follow(n_sources + int(relay), start, spent)

    for s in range(n_sources):
        follow(s, s, 0)
    assert met == {i: (int(source[i]), int(ticks[i])) for i in range(len(ticks))}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 8), max_size=60), st.integers(1, 5))
def test_relay_axons_share_cores_but_no_neuron(widths, n_axons):
    n_cores, places = pack(np.array(widths, np.int64), n_axons, 8)
    assert set(places[:, 0]) == set(range(n_cores))
    assert len(set(map(tuple, places[:, :2].tolist()))) == len(widths)
    taken = [(c, n + i) for (c, _, n), w in zip(places.tolist(), widths, strict=True) for i in range(w)]
    assert len(set(taken)) == len(taken)
    assert all(n < 8 for _, n in taken)
    assert all(a < n_axons for a in places[:, 1])


def test_narrow_relay_axons_fill_the_gaps():
    assert pack(np.array([6, 6, 2, 2]), 4, 8)[0] == 2
