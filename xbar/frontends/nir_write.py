"""Spiking networks written as NIR; `from_nir` reads them back with the same spikes."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbar.errors import OutputError
from xbar.frontends.nir_file import nir_package, write_nir
from xbar.parts.neurons import TO_RESET, Neurons
from xbar.spiking.network import INPUT, SpikingLayer, SpikingNetwork
from xbar.spiking.program import SpikingProgram

NO_FLOOR = (1 << 18) - 1  # a negative threshold that stands for none
MOST = 50  # problems that an error lists
HALF = 0.5  # V >= alpha is v > alpha - 1/2 for whole potentials


def to_nir(network: SpikingNetwork, path: str | Path | None = None, *, dt_s: float = 1e-3) -> Any:
    """The network as a nir.NIRGraph, which is also written to `path` where one is given.

    A layer becomes a Linear node for each source (Affine, if it has a leak), a Delay of `dt_s` seconds per tick where
    it has delays, and IF with r = 1 / dt_s, v_threshold = threshold - 1/2 and v_reset = R, both less the potential that
    the neuron has when the first spikes reach it (a tick for each layer before), as v is 0 then; history-free neurons
    become Threshold. Weights stay whole numbers. In NIR a spike needs no time from layer to layer, as in the mapping's
    rule outputs[t + latency]. Classes go into the graph's metadata.

    OutputError names everything that NIR cannot say: chance, leak reversal, subtracting or no reset, potentials with a
    floor that they can reach, and spikes of a leak before the first input. Programs are refused: write the network that
    was mapped. Nothing is written then.
    """
    if isinstance(network, SpikingProgram):
        raise OutputError(
            f"{network.name}: a program of cores has no form in NIR; write the network it was mapped from"
        )
    if not (np.isfinite(dt_s) and dt_s > 0):
        raise OutputError(f"dt_s: must be above 0 seconds, got {dt_s}")
    problems = list(_refusals(network))
    if problems:
        rest = len(problems) - MOST
        last = [f"{network.name}: and {rest} more problems"] if rest > 0 else []
        raise OutputError([*problems[:MOST], *last])
    graph = _graph(network, dt_s)
    if path is not None:
        write_nir(Path(path), graph)
    return graph


def _depths(network: SpikingNetwork) -> dict[str, int]:
    """Layers on the longest way to each layer, itself among them."""
    depth = {INPUT: 0}
    for layer in network.layers:
        depth[layer.name] = 1 + max(depth[source] for source in layer.sources)
    return depth


def _forgetful(n: Neurons) -> NDArray[np.bool_]:
    """Neurons whose potential is 0 after every tick, and spikes if it was 0 or more."""
    zero = (n.threshold == 0) & (n.negative_threshold == 0) & (n.reset == 0) & (n.initial == 0)
    return zero & n.negative_saturates & (n.reset_mode == TO_RESET)


def _refusals(network: SpikingNetwork) -> Iterator[str]:
    depth = _depths(network)
    for layer in network.layers:
        n = layer.neurons
        forgets = _forgetful(n)
        if forgets.any() and not forgets.all():
            yield f"layer {layer.name}: history-free neurons need a layer of their own, got them among others"
        low = _may_fall(layer)
        floor = np.where(n.negative_saturates, n.negative_threshold, 0) < NO_FLOOR
        refused = {
            "stochastic synapses (stochastic_weight)": (n.stochastic_weight & (n.weight != 0)).any(-1),
            "a stochastic leak (stochastic_leak)": n.stochastic_leak & (n.leak != 0),
            "a leak that changes direction (leak_reversal)": n.leak_reversal & (n.leak != 0),
            "threshold noise (noise_bits)": n.noise_bits > 0,
            "a reset other than to R (reset_mode)": n.reset_mode != TO_RESET,
            "a floor of its potential (negative_threshold)": floor & low & ~forgets,
            "spikes before the first input can reach it (initial, leak)": ~forgets & _early(n, depth[layer.name] - 1),
            "a reset above the threshold (reset)": ~forgets & (n.reset >= n.threshold),
        }
        for what, found in refused.items():
            if found.any():
                first, count = int(np.flatnonzero(found)[0]), int(found.sum())
                more = f" (and {count - 1} more)" if count > 1 else ""
                yield f"layer {layer.name}: neuron {first}{more} has {what}, which NIR has no words for"


def _early(n: Neurons, wait: int) -> NDArray[np.bool_]:
    """Neurons whose leak makes them fire in the `wait` ticks before NIR's first one."""
    leak = n.leak.astype(np.int64)
    return (np.maximum(n.initial + leak, n.initial + wait * leak) >= n.threshold) & (wait > 0)


def _may_fall(layer: SpikingLayer) -> NDArray[np.bool_]:
    """Neurons whose potential may be below 0 at some time."""
    n = layer.neurons
    neuron = np.repeat(np.arange(layer.n_neurons), np.diff(layer.synapses.indptr))
    falls = (n.leak < 0) | (n.initial < 0) | (n.reset < 0)
    falls[neuron[n.weight[neuron, layer.synapses.data - 1] < 0]] = True
    return falls


def _graph(network: SpikingNetwork, dt_s: float) -> Any:
    nir, depth = nir_package(), _depths(network)
    name = {INPUT: _unused("input", network)}
    nodes = {name[INPUT]: nir.Input(np.array([network.n_inputs]))}
    edges: list[tuple[str, str]] = []
    size = {INPUT: network.n_inputs}
    for layer in network.layers:
        n, first = layer.neurons, 0
        name[layer.name], size[layer.name] = layer.name, layer.n_neurons
        weights = _weights(layer)
        forgets = bool(_forgetful(n).all())
        for k, (source, delay) in enumerate(zip(layer.sources, layer.delays, strict=True)):
            own = weights[first : first + size[source]].T
            first += size[source]
            has_bias = k == 0 and not forgets and n.leak.any()
            way = [_unused(f"{layer.name}_in{k}", network)]
            nodes[way[0]] = nir.Affine(own, n.leak.astype(np.float64)) if has_bias else nir.Linear(own)
            if delay:
                way.insert(0, _unused(f"{layer.name}_wait{k}", network))
                nodes[way[0]] = nir.Delay(np.full(size[source], delay * dt_s))
            edges += pairwise([name[source], *way, layer.name])
        nodes[layer.name] = _node(nir, n, forgets, depth[layer.name] - 1, dt_s)
    output = _unused("output", network)
    nodes[output] = nir.Output(np.array([network.n_outputs]))
    edges.append((network.layers[-1].name, output))
    metadata = {} if network.classes is None else {"classes": network.classes}
    return nir.NIRGraph(nodes=nodes, edges=edges, metadata=metadata, type_check=False)


def _node(nir: Any, n: Neurons, forgets: bool, wait: int, dt_s: float) -> Any:
    if forgets:
        return nir.Threshold(-n.leak.astype(np.float64) - HALF)
    start = n.initial + wait * n.leak.astype(np.float64)  # V of NIR's first tick, where v is 0
    return nir.IF(r=np.full(n.shape, 1 / dt_s), v_threshold=n.threshold - HALF - start, v_reset=n.reset - start)


def _weights(layer: SpikingLayer) -> NDArray[np.float64]:
    """[line, neuron], dense, as NIR has them."""
    neuron = np.repeat(np.arange(layer.n_neurons), np.diff(layer.synapses.indptr))
    dense = np.zeros(layer.synapses.shape)
    dense[layer.synapses.indices, neuron] = layer.neurons.weight[neuron, layer.synapses.data - 1]
    return dense


def _unused(name: str, network: SpikingNetwork) -> str:
    """A name that no layer has."""
    taken = {layer.name for layer in network.layers}
    while name in taken:
        name += "_"
    return name
