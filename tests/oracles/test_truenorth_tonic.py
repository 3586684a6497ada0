"""The vendor's check of tonic neurons on real boards: reset to R = 0, negative threshold 0 that resets (kappa 0)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from xbar.sim.spiking import simulate_spikes
from xbar.spiking.builder import SpikingBuilder

TICKS = 61


def _spike_ticks(fed: bool = False, method: Any = "auto", **parameters: Any) -> np.ndarray:
    """Ticks, from 0, in which the neuron spikes; fed: an axon of weight 3 spikes in every tick."""
    build = SpikingBuilder("truenorth_science_2014")
    core = build.core()
    neuron = core.neuron(weight=(3, 0, 0, 0), negative_saturates=False, **parameters)
    build.input(core.axon(0, [neuron]))
    build.output(neuron)
    inputs = np.full((TICKS, 1, 1), fed)
    return np.flatnonzero(simulate_spikes(build.build(), inputs, method=method).outputs)


@pytest.mark.parametrize("method", ["auto", "rows", "popcount", "plain"])
def test_tonic_periods(method: str) -> None:
    np.testing.assert_array_equal(_spike_ticks(method=method, threshold=10, leak=1), np.arange(9, TICKS, 10))
    np.testing.assert_array_equal(_spike_ticks(method=method, threshold=11, leak=2), np.arange(5, TICKS, 6))
    np.testing.assert_array_equal(_spike_ticks(True, method, threshold=10, leak=-1), np.arange(4, TICKS, 5))


def test_an_initial_potential_of_1_is_a_tick_ahead() -> None:
    early = _spike_ticks(threshold=10, leak=1, initial=1)
    np.testing.assert_array_equal(early, np.arange(8, TICKS, 10))
