"""Who sends to whom: links of the inputs, targets of neurons and relays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mapping.spiking.fanout import FIRST_AXON, NOTHING, Trees, pack, trees
from mapping.spiking.plan import HOST, LayerPlan
from xbar.spiking.chip import SpikingChip
from xbar.spiking.program import NOWHERE, OUTPUT, InputLinks, Targets

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Wiring:
    """The ways from the neurons of a layer. places: [neuron, 2], core and number there; demands: [demand, 2], core and
    axon; ways: trees from these neurons to these demands.
    """

    places: Ints
    demands: Ints
    ways: Trees


@dataclass(frozen=True, eq=False)
class Relays:
    """Relay cores of a program, which follow its other cores.

    axons: [relay axon, 2], core and axon; neurons: [relay, 2], core and neuron; fed_by: [relay].
    """

    n_cores: int
    axons: Ints
    neurons: Ints
    fed_by: Ints


def wire(plans: list[LayerPlan], first_core: Ints, later: int, chip: SpikingChip) -> tuple[Ints, list[Wiring]]:
    """Links of the inputs, [link, 4] of (line, core, axon, delay), and the ways from each layer of one network.

    first_core: [layer], the number of its first core. later: ticks that the host waits with every spike.
    """
    needs = _needs(plans, first_core, later)
    links = needs[needs[:, 0] == HOST, 1:]
    return links, [_ways(plans[k], first_core[k], needs[needs[:, 0] == k, 1:], chip) for k in range(len(plans))]


def relays(wirings: list[Wiring], first_core: int, chip: SpikingChip) -> Relays:
    """Places for the relays of all wirings, one wiring after the other."""
    widths = np.concatenate([np.bincount(w.ways.fed_by) for w in wirings]).astype(np.int64)
    n_cores, places = pack(widths, chip.core.axons, chip.core.neurons)
    places[:, 0] += first_core
    fed_by = np.repeat(np.arange(len(widths)), widths)
    rank = np.arange(len(fed_by)) - np.repeat(np.cumsum(widths) - widths, widths)
    neurons = np.stack([places[fed_by, 0], places[fed_by, 2] + rank], axis=1)
    return Relays(n_cores, places[:, :2], neurons, fed_by)


def targets(wirings: list[Wiring], outputs: list[Ints], relays: Relays, n_cores: int, chip: SpikingChip) -> Targets:
    """Targets of all neurons. outputs: for each network [neuron, 3], core, number there and number of the output."""
    core = np.full((n_cores, chip.core.neurons), NOWHERE, np.int32)
    axon, delay = np.zeros_like(core), np.ones(core.shape, np.uint8)
    n_axons = n_relays = 0
    for w in wirings:
        own = relays.neurons[n_relays : n_relays + len(w.ways.fed_by)]
        mine = tuple(np.concatenate([w.places, own]).T)
        ends = np.concatenate([w.demands, relays.axons[n_axons:], [[NOWHERE, 0]]])
        to = w.ways.target
        end = ends[np.where(to == NOTHING, -1, np.where(to <= FIRST_AXON, len(w.demands) + FIRST_AXON - to, to))]
        core[mine], axon[mine], delay[mine] = end[:, 0], end[:, 1], w.ways.delay
        n_relays += len(own)
        n_axons += len(np.unique(w.ways.fed_by))
    for c, n, output in (o.T for o in outputs):
        core[c, n], axon[c, n] = OUTPUT, output
    return Targets(core, axon, delay)


def input_links(links: list[Ints]) -> InputLinks:
    """Links of all networks."""
    line, core, axon, delay = np.concatenate(links).T.astype(np.int32)
    return InputLinks(line, core, axon, delay)


def _needs(plans: list[LayerPlan], first_core: Ints, later: int) -> Ints:
    """Every axon in use, [axon, 5]: source (layer or HOST), neuron of it, core, axon, ticks from spike to axon."""
    offsets = np.array([*(p.offset for p in plans), -later])  # the last is the host's
    tables = []
    for k, p in enumerate(plans):
        for i, part in enumerate(p.parts):
            source, neuron, extra = (v[part.lines] for v in (p.lines.source, p.lines.neuron, p.lines.extra))
            core = np.full(len(source), first_core[k] + i)
            ticks = p.offset - offsets[source] + extra
            tables.append(np.stack([source, neuron, core, np.arange(len(source)), ticks], axis=1))
    return np.concatenate(tables)


def places_of(plan: LayerPlan, first_core: int) -> Ints:
    """Where the neurons of a layer are, [neuron, 3]: neuron of the layer, core, number there; sorted."""
    found = [
        np.stack([part.neurons, np.full(len(part.neurons), first_core + i), np.arange(len(part.neurons))], axis=1)
        for i, part in enumerate(plan.parts)
    ]
    table = np.concatenate(found)
    return table[np.lexsort(table.T[::-1])]


def _ways(plan: LayerPlan, first_core: int, needs: Ints, chip: SpikingChip) -> Wiring:
    """The ways from a layer to what it feeds; needs: [demand, 4] of (neuron, core, axon, ticks)."""
    places = places_of(plan, first_core)
    needs = needs[np.lexsort(needs[:, 2::-1].T)]
    first = np.cumsum(plan.copies) - plan.copies
    fan = np.bincount(needs[:, 0], minlength=len(first))
    rank = np.arange(len(needs)) - np.repeat(np.cumsum(fan) - fan, fan)
    source = first[needs[:, 0]] + np.where(plan.copies[needs[:, 0]] > 1, rank, 0)
    found = trees(source, needs[:, 3], len(places), chip.core.neurons, chip.max_delay)
    return Wiring(places[:, 1:], needs[:, 1:3], found)
