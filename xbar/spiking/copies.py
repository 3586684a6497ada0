"""Copies of a network of connection probabilities, each with synapses of its own: what is put on a chip."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from xbar.parts.neurons import TO_RESET, Neurons
from xbar.spiking.bernoulli import BernoulliLayer, BernoulliNetwork
from xbar.spiking.network import INPUT, SpikingLayer, SpikingNetwork


def copies_of(network: BernoulliNetwork, n_copies: int, *, seed: int = 0, name: str = "Tea") -> list[SpikingNetwork]:
    """Networks of history-free neurons, threshold 0 and back to 0 in every tick, whose synapses `network.sample` draws.

    Copy k depends on the seed and on k alone. Where a core hears a line on several axons, the layer has its source as
    many times.
    """
    return [_copy(network, network.sample(seed, copy), name) for copy in range(n_copies)]


def _copy(network: BernoulliNetwork, synapses: tuple[np.ndarray, ...], name: str) -> SpikingNetwork:
    source, n_source, layers = INPUT, network.n_inputs, []
    for layer, bits in zip(network.layers, synapses, strict=True):
        layers.append(_layer(layer, bits, source, n_source))
        source, n_source = layer.name, layer.n_neurons
    return SpikingNetwork(name, network.n_inputs, tuple(layers), network.classes)


def _layer(layer: BernoulliLayer, bits: np.ndarray, source: str, n_source: int) -> SpikingLayer:
    """bits: bool [core, axon, neuron]."""
    time = _times_heard(layer.lines)
    core, axon, neuron = np.nonzero(bits)
    line = layer.lines[core, axon] + n_source * time[core, axon]
    shape = (n_source * (int(time.max()) + 1), layer.n_neurons)
    values = layer.axon_type[core, axon] + np.uint8(1)
    matrix = sparse.csc_array((values, (line, core * layer.leak.shape[1] + neuron)), shape=shape)
    neurons = Neurons.of(
        layer.n_neurons,
        weight=layer.weight.reshape(layer.n_neurons, -1),
        leak=layer.leak.reshape(-1),
        threshold=0,
        negative_threshold=0,
        negative_saturates=True,
        reset_mode=TO_RESET,
    )
    times = int(time.max()) + 1
    return SpikingLayer(layer.name, (source,) * times, (0,) * times, matrix, neurons)


def _times_heard(lines: np.ndarray) -> np.ndarray:
    """On how many earlier axons of its core each axon's line is heard, [core, axon]."""
    times = np.zeros(lines.shape, np.int64)
    for core, heard in enumerate(lines):
        order = np.argsort(heard, kind="stable")
        first = np.searchsorted(heard[order], heard[order])
        times[core, order] = np.arange(len(heard)) - first
    return np.where(lines >= 0, times, 0)
