"""Trees of relay neurons: how a spike reaches several axons in time, where a neuron has one target.

An axon of a splitter core reaches some relay neurons, which spike in the tick in which they get a spike (weight 1,
threshold 1, reset to 0, no leak). A relay has one target, as any neuron. Each tree takes delays of 1 .. max_delay on
its branches, so that the ticks along each way add up to what is asked for; a single relay prolongs a long way.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
NOTHING, FIRST_AXON = -1, -2  # targets that are no demand
NEVER = 1 << 40
_ASKED = 16


def levels(fan_out: Ints, branches: int) -> Ints:
    """Relays on the way to each of `fan_out` axons where an axon reaches at most so many relays; 0 for a single axon.

    With one branch nothing can be split: the levels are then NEVER.
    """
    if branches < 2:
        return np.where(fan_out > 1, NEVER, 0)
    n = np.zeros(fan_out.shape, np.int64)
    reach = 1
    while (short := fan_out > reach).any():
        n += short
        reach *= branches
    return n


@dataclass(frozen=True, eq=False)
class Trees:
    """Neurons, first the sources, then the relays, and the relay axons that feed the relays.

    target: [neuron], the number of the demand that its spikes meet, NOTHING, or FIRST_AXON - g for relay axon g.
    delay: [neuron], ticks. fed_by: [relay], the relay axon that reaches it, in rising order.
    """

    target: Ints
    delay: Ints
    fed_by: Ints


def trees(source: Ints, ticks: Ints, n_sources: int, branches: int, max_delay: int) -> Trees:
    """Ways from each source to all its demands. source: [demand]; ticks: [demand], how long its way takes.

    A demand's ticks must be more than the levels that its source needs. Each round gives every neuron that still has
    demands its target: the only demand, or an axon whose relays share the demands. Long ways are waited for before
    they part, so that their demands share the relays that wait.
    """
    demand = np.lexsort((ticks, source))
    neuron, left = source[demand], ticks[demand]
    target, delay = np.full(n_sources, NOTHING, np.int64), np.ones(n_sources, np.int64)
    fed_by = [np.zeros(0, np.int64)]
    n_axons = 0
    while len(demand):
        heads, start, count = np.unique(neuron, return_index=True, return_counts=True)
        slack = np.minimum.reduceat(left, start) - levels(count, branches)  # how long the first branch may take
        step = np.minimum(slack, max_delay)
        delay[heads] = step
        last = (count == 1) & (slack <= max_delay)
        target[heads[last]] = demand[start[last]]
        width = np.where(slack > max_delay, 1, np.minimum(count, branches)) * ~last
        axons = n_axons + np.arange((~last).sum())
        n_axons += len(axons)
        target[heads[~last]] = FIRST_AXON - axons
        fed_by.append(np.repeat(axons, width[~last]))

        first = len(target) + np.cumsum(width) - width
        rank = np.arange(len(demand)) - np.repeat(start, count)
        heir = np.repeat(first, count) + rank * np.repeat(width, count) // np.repeat(count, count)
        kept = np.repeat(~last, count)
        neuron, left, demand = heir[kept], (left - np.repeat(step, count))[kept], demand[kept]
        target = np.concatenate([target, np.full(width.sum(), NOTHING)])
        delay = np.concatenate([delay, np.ones(width.sum(), np.int64)])
    return Trees(target, delay, np.concatenate(fed_by))


def pack(widths: Ints, n_axons: int, n_neurons: int) -> tuple[int, Ints]:
    """Relay axons on splitter cores: (cores, int [relay axon, 3] of core, axon, first neuron).

    widths: [relay axon], its relays. The first core with room takes it; only the last few cores are asked, so that
    neighbours stay together.
    """
    places = np.zeros((len(widths), 3), np.int64)
    room: list[tuple[int, int, int]] = []  # of cores that are not full: core, axons and neurons in use
    n_cores = 0
    for g, width in enumerate(widths.tolist()):
        at = next((i for i, (_, _, neurons) in enumerate(room) if neurons + width <= n_neurons), len(room))
        if at == len(room):
            room = [*room[-_ASKED + 1 :], (n_cores, 0, 0)]
            at = len(room) - 1
            n_cores += 1
        core, axons, neurons = room.pop(at)
        places[g] = core, axons, neurons
        if axons + 1 < n_axons and neurons + width < n_neurons:
            room.insert(at, (core, axons + 1, neurons + width))
    return n_cores, places
