"""A spiking network before it has a place: layers of neurons, and which lines reach them through which axon type."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy import sparse

from xbar.parts.neurons import N_TYPES, Neurons
from xbar.same import same_fields

INPUT = "input"  # the name of the network's inputs as a source of lines


@dataclass(frozen=True, eq=False)
class SpikingLayer:
    """Neurons with a step of the same kind.

    sources: names of earlier layers, or INPUT; their outputs, one after the other, are the layer's lines.
    delays: extra ticks on the way from each source.
    synapses: sparse uint8 [line, neuron] in CSC form; the value is the axon type + 1. A line that reaches some neurons
        with one type and some with another takes an axon for each.
    neurons: parameters [neuron].
    """

    name: str
    sources: tuple[str, ...]
    delays: tuple[int, ...]
    synapses: sparse.csc_array
    neurons: Neurons

    @property
    def n_neurons(self) -> int:
        return int(self.synapses.shape[1])

    @property
    def n_lines(self) -> int:
        return int(self.synapses.shape[0])

    def __eq__(self, other: object) -> bool:
        same_values = same_fields(self, other, without=("synapses",))
        return same_values and isinstance(other, SpikingLayer) and _same_matrix(self.synapses, other.synapses)


@dataclass(frozen=True, eq=False)
class SpikingNetwork:
    """Layers in an order in which every source comes before; the last one's neurons are the outputs.

    classes: int32 [output] or None.
    notes: what was approximated, a sentence each, for reports.
    """

    name: str
    n_inputs: int
    layers: tuple[SpikingLayer, ...]
    classes: np.ndarray | None = None
    notes: tuple[str, ...] = field(default=())

    @property
    def n_outputs(self) -> int:
        return self.layers[-1].n_neurons

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)

    def __str__(self) -> str:
        width = max(len(layer.name) for layer in self.layers)
        rows = [
            f"  {layer.name:{width}}  {layer.n_lines} lines x {layer.n_neurons} neurons, {layer.synapses.nnz} synapses"
            for layer in self.layers
        ]
        return "\n".join([f"{self.name}: {self.n_inputs} inputs, {self.n_outputs} outputs", *rows, *self.notes])


def by_weight(weights: sparse.csc_array) -> tuple[sparse.csc_array, np.ndarray]:
    """Integer weights [line, neuron] as (synapses by axon type, weight int16 [neuron, type]).

    A neuron's distinct weights become its types; a weight that several neurons share has the same type in all where
    the layer has at most four. ValueError names the first neuron that has more than four.
    """
    weights = weights.tocsc()
    weights.eliminate_zeros()
    weights.sort_indices()
    n_neurons = weights.shape[1]
    neuron = np.repeat(np.arange(n_neurons), np.diff(weights.indptr))
    values = np.unique(weights.data)
    if len(values) <= N_TYPES:  # one table for all, so that neurons share axons
        table = np.zeros((n_neurons, N_TYPES), np.int16)
        table[:, : len(values)] = values
        types = np.searchsorted(values, weights.data)
    else:
        pairs, inverse = np.unique(np.stack([neuron, weights.data]), axis=1, return_inverse=True)
        first = np.searchsorted(pairs[0], np.arange(n_neurons))
        rank = np.arange(pairs.shape[1]) - first[pairs[0]]
        if rank.max(initial=0) >= N_TYPES:
            worst = int(pairs[0][rank >= N_TYPES][0])
            count = int((pairs[0] == worst).sum())
            raise ValueError(f"neuron {worst} has {count} distinct weights, but an axon has one of {N_TYPES} types")
        table = np.zeros((n_neurons, N_TYPES), np.int16)
        table[pairs[0], rank] = pairs[1]
        types = rank[np.ravel(inverse)]
    synapses = sparse.csc_array((types.astype(np.uint8) + 1, weights.indices, weights.indptr), shape=weights.shape)
    return synapses, table


def _same_matrix(a: sparse.csc_array, b: sparse.csc_array) -> bool:
    return a.shape == b.shape and all(
        np.array_equal(x, y) for x, y in ((a.indptr, b.indptr), (a.indices, b.indices), (a.data, b.data))
    )
