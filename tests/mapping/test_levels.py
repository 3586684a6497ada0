"""What cells hold according to the weights, against the cells of a compiled program."""

from __future__ import annotations

import numpy as np
import pytest
from close import approx
from small import random_weights, small_chip, small_network

import mapping
import xbar
from mapping.levels import level_counts

DEVICE = {"kind": "resistive", "cell_bits": 3, "g_min_S": 1e-6, "g_max_S": 8e-6}


@pytest.mark.parametrize("kind", ["differential", "offset", "flipped"])
def test_levels_are_those_of_the_cells(kind):
    """The largest weight of each output is the largest integer, so the float weights are quantized to themselves."""
    weights = random_weights([(6, 10), (3, 6)], seed=1)
    for weight in weights:
        weight[:, 0] = 7
    encoding = {"kind": "differential" if kind == "differential" else "offset"}
    encoding |= {"flipped": True} if kind == "flipped" else {}
    qnet = small_network(weights)
    program = mapping.compile(qnet, small_chip(device=DEVICE, encoding=encoding))
    levels = program.chip.device.levels_rel()
    sketch = mapping.weighed(mapping.outline(qnet.network, program.chip), qnet.network)
    for layer, placed, shape in zip(qnet.network.layers, program.layers, sketch.layers, strict=True):
        np.testing.assert_array_equal(
            level_counts(layer, program.chip), np.bincount(placed.cells.ravel(), minlength=len(levels))
        )
        assert shape.mean_rel == approx(levels[placed.cells].mean())


def test_what_is_known_of_a_network_is_not_counted_again():
    """Another range of conductances changes the mean, not the levels; another number of bits changes both."""
    qnet = small_network(random_weights([(6, 10), (3, 6)], seed=1))
    known = {}
    told = []
    for device in (DEVICE, {**DEVICE, "g_min_S": 2e-6}, {**DEVICE, "cell_bits": 2}):
        sketch = mapping.outline(qnet.network, small_chip(device=device))
        shared = mapping.weighed(sketch, qnet.network, told.append, known)
        alone = mapping.weighed(sketch, qnet.network)
        assert [layer.mean_rel for layer in shared.layers] == [layer.mean_rel for layer in alone.layers]
    assert (len(told), len(known)) == (4, 4)


def test_a_device_without_conductances_is_not_looked_into():
    qnet = small_network(random_weights([(3, 6)]))
    sketch = mapping.outline(qnet.network, small_chip())
    assert mapping.weighed(sketch, qnet.network) is sketch
    assert xbar.estimate(sketch).energy_J > 0
