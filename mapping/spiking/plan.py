"""How a network is spread over cores and time: parts, duplicates, relays and the offset of every layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapping.spiking.fanout import levels
from mapping.spiking.partition import Part, partition
from xbar.spiking.chip import SpikingChip, SpikingCore
from xbar.spiking.network import INPUT, SpikingLayer, SpikingNetwork

Ints = NDArray[np.int64]
HOST = -1  # the source of lines that are inputs of the network


@dataclass(frozen=True, eq=False)
class Lines:
    """Where a layer's lines come from: source: [line], number of the layer, or HOST; neuron: [line], of the source;
    extra: [line], ticks of delay.
    """

    source: Ints
    neuron: Ints
    extra: Ints


@dataclass(frozen=True, eq=False)
class LayerPlan:
    """A layer on cores.

    copies: [neuron], how often each neuron is there: once, or once for each axon that needs it. offset: ticks from an
    input spike to the spikes of this layer that it causes.
    """

    lines: Lines
    parts: list[Part]
    copies: Ints
    offset: int


def lines_of(network: SpikingNetwork) -> list[Lines]:
    """Where the lines of every layer come from."""
    number = {INPUT: HOST} | {layer.name: i for i, layer in enumerate(network.layers)}
    found = []
    for layer in network.layers:
        sources = [number[name] for name in layer.sources]
        sizes = [network.n_inputs if s == HOST else network.layers[s].n_neurons for s in sources]
        neuron = np.concatenate([np.arange(n) for n in sizes])
        found.append(Lines(np.repeat(sources, sizes), neuron, np.repeat(np.array(layer.delays, np.int64), sizes)))
    return found


def plan(network: SpikingNetwork, chip: SpikingChip) -> list[LayerPlan]:
    """Spread a network. From the last layer back, since what later layers need decides on the duplicates of a layer.

    A neuron has one target. One that several axons need is either there once for each of them, with the same synapses
    (random neurons are not: their duplicates would spike differently), or its spikes pass a tree of relays. Duplicates
    take no time but neurons, and axons, which the layers before must serve; each layer takes what needs fewer cores.

    offset = max over its sources of (offset of the source + 1 + relays on the way), 0 for inputs, which the host can
    send at any time to any axon; relays that a line's extra delay covers do not count.
    """
    lines = lines_of(network)
    fans = [np.zeros(layer.n_neurons, np.int64) for layer in network.layers]
    chosen: list[tuple[list[Part], Ints]] = []
    for number in reversed(range(len(fans))):
        parts, copies = _spread(network.layers[number], fans[number], lines[number], chip.core)
        chosen.insert(0, (parts, copies))
        used = np.concatenate([p.lines for p in parts])
        used = used[lines[number].source[used] != HOST]
        for source in np.unique(lines[number].source[used]):
            neurons = lines[number].neuron[used[lines[number].source[used] == source]]
            fans[source] += np.bincount(neurons, minlength=len(fans[source]))
    offsets: list[int] = []
    relays = [_deepest(fan, copies, chip.core) for fan, (_, copies) in zip(fans, chosen, strict=True)]
    for layer in lines:
        ways = set(zip(layer.source.tolist(), layer.extra.tolist(), strict=True))
        offsets.append(max((offsets[s] + 1 + max(relays[s] - d, 0) for s, d in ways if s != HOST), default=0))
    return [LayerPlan(ls, *pc, offset) for ls, pc, offset in zip(lines, chosen, offsets, strict=True)]


def _spread(layer: SpikingLayer, fan: Ints, lines: Lines, core: SpikingCore) -> tuple[list[Part], Ints]:
    """The parts of a layer, and how often each neuron is there."""
    once = np.ones(layer.n_neurons, np.int64)
    each = np.where(layer.neurons.is_random, 1, np.maximum(fan, 1))
    ways = [once] if (each == 1).all() else [each, once]
    tried = [(partition(layer.synapses, copies, core.axons, core.neurons), copies) for copies in ways]
    return min(tried, key=lambda way: _cores(way[0], way[1], fan, lines, core))


def _cores(parts: list[Part], copies: Ints, fan: Ints, lines: Lines, core: SpikingCore) -> float:
    """About how many cores a layer takes, with its relays and those of the layers before."""
    split = fan[(copies == 1) & (fan > 1)]
    if len(split) and core.neurons < 2:
        return float("inf")
    before = sum(int((lines.source[p.lines] != HOST).sum()) for p in parts)
    relays = max(split.sum() / core.neurons, len(split) / core.axons)
    return len(parts) + float(relays) + before / core.neurons


def _deepest(fan: Ints, copies: Ints, core: SpikingCore) -> int:
    """Relays on the longest way from a neuron of a layer."""
    return int(levels(np.where(copies == 1, fan, 1), core.neurons).max(initial=0))
