"""What keeps networks from a chip of spiking cores: every misfit, by layer and neuron, before anything is built."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from xbar.parts.neurons import N_TYPES
from xbar.spiking.check import parameter_problems
from xbar.spiking.chip import SpikingChip
from xbar.spiking.network import INPUT, SpikingLayer, SpikingNetwork


def network_problems(networks: Sequence[SpikingNetwork], chip: SpikingChip) -> list[str]:
    """Every rule that a network, or a set of copies, breaks."""
    if not networks:
        return ["compile_spikes: needs at least one network, got none"]
    problems = []
    for i, network in enumerate(networks):
        where = network.name if len(networks) == 1 else f"{network.name} (copy {i + 1})"
        found = list(_structure(network))
        if not found:  # the rest needs a network whose arrays fit each other
            found = [line for layer in network.layers for line in _layer(layer, chip)]
        problems += [f"{where}: {line}" for line in found]
    return problems + list(_copies(networks))


def core_problem(name: str, needs: int, relays: int, chip: SpikingChip) -> str:
    """A network of too many cores, and which board would hold it."""
    board = -(-needs // (chip.mesh.cols * chip.mesh.rows * chip.board.rows))
    relay = f" ({relays} of them of relay neurons)" if relays else ""
    return (
        f"{name}: needs {needs} cores{relay}, but {chip.name} has {chip.n_cores}; put {board} chips side by side with "
        f"--set board.cols={board}, or make the network smaller"
    )


def _copies(networks: Sequence[SpikingNetwork]) -> Iterator[str]:
    first = networks[0]
    for i, other in enumerate(networks[1:], start=2):
        if other.n_inputs != first.n_inputs:
            yield (
                f"{other.name} (copy {i}): must have the {first.n_inputs} inputs of copy 1, since the host feeds all "
                f"copies alike, got {other.n_inputs}"
            )
        if (other.classes is None) != (first.classes is None):
            yield f"{other.name} (copy {i}): either all copies have classes of their outputs or none; copy 1 differs"


def _structure(network: SpikingNetwork) -> Iterator[str]:
    """Layers, sources and shapes."""
    if not network.layers:
        yield "needs at least one layer, got none"
        return
    sizes = {INPUT: network.n_inputs}
    for layer in network.layers:
        where = f"layer {layer.name}"
        if layer.name in sizes:
            yield f"{where}: names must differ from each other and from {INPUT!r}, got this one again"
        absent = [name for name in layer.sources if name not in sizes]
        for name in absent:
            yield f"{where}: sources must be {INPUT!r} or earlier layers, got {name!r}; they are {', '.join(sizes)}"
        if len(layer.delays) != len(layer.sources):
            yield f"{where}: needs a delay for each of its {len(layer.sources)} sources, got {len(layer.delays)}"
        for delay in layer.delays:
            if delay < 0:
                yield f"{where}: extra delays must be 0 or more ticks, got {delay}"
        lines = sum(sizes.get(name, 0) for name in layer.sources)
        if not absent and layer.n_lines != lines:
            beyond = "; the synapses name lines that do not exist" if layer.n_lines > lines else ""
            yield f"{where}: its sources have {lines} lines, but its synapses {layer.n_lines}{beyond}"
        if layer.n_neurons < 1:
            yield f"{where}: needs at least one neuron, got none"
        if layer.neurons.shape != (layer.n_neurons,):
            yield f"{where}: needs parameters [{layer.n_neurons}], got {list(layer.neurons.shape)}"
        sizes[layer.name] = layer.n_neurons
    if network.classes is not None and network.classes.shape != (network.n_outputs,):
        yield f"classes: needs one for each of {network.n_outputs} outputs, got {list(network.classes.shape)}"


def _layer(layer: SpikingLayer, chip: SpikingChip) -> Iterator[str]:
    """Fan-in, axon types and parameters of a layer's neurons."""
    where, synapses = f"layer {layer.name}", layer.synapses
    neuron = np.repeat(np.arange(layer.n_neurons), np.diff(synapses.indptr))
    for i in np.flatnonzero((synapses.data < 1) | (synapses.data > N_TYPES)):
        place = f"neuron {neuron[i]}: axon type of line {synapses.indices[i]}"
        yield f"{where}: {place}: must be from 0 to {N_TYPES - 1}, got {int(synapses.data[i]) - 1}"
    code = neuron * np.int64(layer.n_lines) + synapses.indices
    again = np.sort(code)
    for twice in np.unique(again[1:][np.diff(again) == 0]):
        n, line = divmod(int(twice), layer.n_lines)
        yield f"{where}: neuron {n}: line {line} must have one synapse at most, got several"
    fan_in = np.bincount(neuron, minlength=layer.n_neurons)
    for wide in np.flatnonzero(fan_in > chip.core.axons):
        yield (
            f"{where}: neuron {wide}: needs {fan_in[wide]} axons, but a core of {chip.name} has {chip.core.axons}; "
            "give it fewer inputs (patches, pruning)"
        )
    yield from parameter_problems(
        layer.neurons, chip.neuron, where, lambda place, name: f"{where}: neuron {place[0]}: {name}"
    )
