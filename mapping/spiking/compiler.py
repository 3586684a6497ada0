"""`mapping.compile_spikes`: spiking networks + chip -> program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapping.spiking.check import core_problem, network_problems
from mapping.spiking.fanout import NEVER
from mapping.spiking.partition import Part, axon_codes
from mapping.spiking.place import place_cores
from mapping.spiking.plan import LayerPlan, plan
from mapping.spiking.wiring import Relays, Wiring, input_links, places_of, relays, targets, wire
from xbar.errors import CapacityError
from xbar.parts.neurons import N_TYPES, Neurons
from xbar.spiking.bits import n_words, packed
from xbar.spiking.check import MOST, check_program
from xbar.spiking.chip import SpikingChip
from xbar.spiking.network import SpikingLayer, SpikingNetwork
from xbar.spiking.program import InputLinks, SpikingProgram

Ints = NDArray[np.int64]
RELAYS = "relays"  # the layer of cores of relay neurons


@dataclass(frozen=True, eq=False)
class _Core:
    """A core and the part of a layer that it holds."""

    layer: SpikingLayer
    part: Part


@dataclass(frozen=True, eq=False)
class _Layout:
    """Numbered cores and what joins them. outputs: of each copy, [neuron, 3] of core, number there, output."""

    cores: list[_Core]
    wirings: list[Wiring]
    outputs: list[Ints]
    inputs: InputLinks
    relays: Relays


def compile_spikes(
    networks: SpikingNetwork | Sequence[SpikingNetwork], chip: SpikingChip, *, seed: int = 0, name: str | None = None
) -> SpikingProgram:
    """Put a network, or copies of one, on the cores of a chip.

    Copies have the same inputs, and the host feeds each line to all of them; their outputs follow each other, copy
    after copy, and so do the classes of the outputs, by which `SpikeResult.votes` merges them.

    Layers are cut into cores; a neuron that several axons need is duplicated or reaches them through relay neurons
    (`mapping.spiking.plan`). Delays make all ways into a layer equally long but for the layer's own `delays`: with
    y_s the spikes of a source,

        y_L[t + offset_L] = step(y_s[t - delay_s + offset_s] of all s),   latency = offset of the last layer,

    so that outputs[t + latency] is what the network gives in tick t where spikes need no time. That holds for neurons
    that stay as they are without spikes, or that forget (history-free): a neuron of layer L lives offset_L ticks
    before the first spikes reach it, in which a leak moves it. All copies have the same latency.

    Places on the mesh make the ways of spikes short; `seed` is that of the search.
    Raises CapacityError with every misfit: at most MOST lines, and how many more.
    """
    copies = [networks] if isinstance(networks, SpikingNetwork) else list(networks)
    _refuse(network_problems(copies, chip))
    name = name or copies[0].name
    plans = [plan(network, chip) for network in copies]
    if max(layer.offset for layers in plans for layer in layers) >= NEVER:
        rule = "a neuron that draws random numbers and feeds several axons needs relays, which need cores of 2 neurons"
        _refuse([f"{name}: {rule} or more, got {chip.core.neurons}; take larger cores"])
    latency = max(layers[-1].offset for layers in plans)
    layout = _laid_out(copies, plans, latency, chip)
    n_relay_cores = layout.relays.n_cores
    n_cores = len(layout.cores) + n_relay_cores
    if n_cores > chip.n_cores:
        _refuse([core_problem(name, n_cores, n_relay_cores, chip)])
    axon_type, synapses, neurons = _contents(layout.cores, layout.relays, chip)
    to = targets(layout.wirings, layout.outputs, layout.relays, n_cores, chip)
    classes = [network.classes for network in copies if network.classes is not None]
    program = SpikingProgram(
        name=name,
        chip=chip,
        place=place_cores(to, chip, seed),
        layer=(*(core.layer.name for core in layout.cores), *([RELAYS] * n_relay_cores)),
        axon_type=axon_type,
        synapses=synapses,
        neurons=neurons,
        targets=to,
        inputs=layout.inputs,
        n_inputs=copies[0].n_inputs,
        n_outputs=sum(network.n_outputs for network in copies),
        classes=np.concatenate(classes).astype(np.int32) if classes else None,
        latency=latency,
    )
    check_program(program)
    return program


def _laid_out(copies: list[SpikingNetwork], plans: list[list[LayerPlan]], latency: int, chip: SpikingChip) -> _Layout:
    """Number the cores, copy after copy and layer after layer, and wire them."""
    cores: list[_Core] = []
    wirings: list[Wiring] = []
    links, outputs = [], []
    n_outputs = 0
    for network, layers in zip(copies, plans, strict=True):
        first = len(cores) + np.cumsum([0, *(len(layer.parts) for layer in layers)])
        for layer, planned in zip(network.layers, layers, strict=True):
            cores += [_Core(layer, part) for part in planned.parts]
        own_links, own_wirings = wire(layers, first, latency - layers[-1].offset, chip)
        links.append(own_links)
        wirings += own_wirings
        neuron, core, number = places_of(layers[-1], int(first[-2])).T
        outputs.append(np.stack([core, number, n_outputs + neuron], axis=1))
        n_outputs += network.n_outputs
    return _Layout(cores, wirings, outputs, input_links(links), relays(wirings, len(cores), chip))


def _contents(cores: list[_Core], relay: Relays, chip: SpikingChip) -> tuple[np.ndarray, np.ndarray, Neurons]:
    """Axon types, synapses and neurons of all cores. Neurons that are not in use have no synapse and stay at rest."""
    n_cores, size = len(cores) + relay.n_cores, chip.core
    axon_type = np.zeros((n_cores, size.axons), np.uint8)
    synapses = np.zeros((n_cores, size.axons, n_words(size.neurons)), np.uint64)
    neurons = Neurons.of((n_cores, size.neurons))
    values = dict(neurons.items())
    for c, core in enumerate(cores):
        axon_type[c, : len(core.part.axons)] = core.part.axons % N_TYPES
        synapses[c] = _crossbar(core, size.axons, size.neurons)
        for key, array in core.layer.neurons.items():
            values[key][c, : len(core.part.neurons)] = array[core.part.neurons]
    _fill_relays(relay, len(cores), synapses, values["weight"])
    return axon_type, synapses, neurons


def _fill_relays(relay: Relays, first: int, synapses: np.ndarray, weight: np.ndarray) -> None:
    """Each relay axon reaches its relays with weight 1; Neurons' defaults (threshold 1, reset to 0) are a relay's."""
    bits = np.zeros((relay.n_cores, synapses.shape[1], weight.shape[1]), np.bool_)
    core, neuron = relay.neurons.T
    bits[core - first, relay.axons[relay.fed_by, 1], neuron] = True
    synapses[first:] = packed(bits)
    weight[core, neuron, 0] = 1


def _crossbar(core: _Core, n_axons: int, n_neurons: int) -> np.ndarray:
    """Synapses of a core that holds part of a layer, uint64 [axon, word]."""
    own = core.layer.synapses[:, core.part.neurons]
    neuron = np.repeat(np.arange(len(core.part.neurons)), np.diff(own.indptr))
    bits = np.zeros((n_axons, n_neurons), np.bool_)
    bits[np.searchsorted(core.part.axons, axon_codes(own)), neuron] = True
    return packed(bits)


def _refuse(problems: list[str]) -> None:
    if problems:
        more = len(problems) - MOST
        raise CapacityError(problems[:MOST] + ([f"and {more} more of such problems"] if more > 0 else []))
