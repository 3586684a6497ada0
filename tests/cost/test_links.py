"""Spikes over links: counted by hand, and all of them together are the hops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from spike_examples import counted, silent, three_cores, tiny_chip

from xbar.cost.links import link_loads


def test_counted_by_hand():
    """10 spikes go from x = 0 to x = 3, two from x = 1."""
    loads = link_loads(three_cores(), counted())
    assert loads.along_x.tolist() == [[10, 12, 12]]
    assert loads.along_y.shape == (0, 4)
    assert loads.most == 12
    assert link_loads(three_cores(), silent()).most == 0


def test_x_comes_first():
    """From (0, 0) to (1, 1): over the lower link, then up at x = 1."""
    program = three_cores(tiny_chip(**{"mesh.rows": 2}))
    program = replace(program, place=np.array([[0, 0], [3, 0], [1, 1]], np.int32))
    loads = link_loads(program, counted())
    assert loads.along_x.tolist() == [[10, 2, 2], [0, 0, 0]]
    assert loads.along_y.tolist() == [[0, 12, 0, 0]]


@given(st.permutations(range(12)))
def test_all_links_together_carry_the_hops(places: list[int]):
    program = three_cores(tiny_chip(**{"mesh.rows": 3}))
    program = replace(program, place=np.stack(np.divmod(np.array(places[:3]), 3), axis=1).astype(np.int32))
    assert link_loads(program, counted()).hops == (counted().spikes * program.hops).sum()
