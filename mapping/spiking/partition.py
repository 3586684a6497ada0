"""Cut a layer into cores: which neurons share a core, so that its axons and neurons suffice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from xbar.parts.neurons import N_TYPES

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Part:
    """What one core holds of a layer.

    neurons: [neuron], those of the layer; one that is there twice has a duplicate. axons: [axon], sorted, line times
    N_TYPES + axon type.
    """

    neurons: Ints
    axons: Ints

    @property
    def lines(self) -> Ints:
        """The line of each axon."""
        return self.axons // N_TYPES


def axon_codes(synapses: sparse.csc_array) -> Ints:
    """The axon that each stored synapse needs: line times N_TYPES + axon type."""
    return synapses.indices.astype(np.int64) * N_TYPES + synapses.data - 1


def partition(synapses: sparse.csc_array, copies: Ints, n_axons: int, n_neurons: int) -> list[Part]:
    """Cores of at most n_axons axons and n_neurons neurons that hold each neuron `copies` times.

    A core grows from the first neuron that is left by the neuron that needs fewest further axons; of equals, by the one
    that its neighbours reached first, so that patches of a convolution grow in all directions. Neurons with the same
    axons are handled at once. No neuron may need more axons than a core has.
    """
    codes, inverse = np.unique(axon_codes(synapses), return_inverse=True)
    of_neuron = np.split(np.ravel(inverse), synapses.indptr[1:-1])
    groups: dict[bytes, list[int]] = {}
    for neuron, own in enumerate(of_neuron):
        groups.setdefault(own.tobytes(), []).append(neuron)
    members = [np.repeat(group, copies[group]) for group in groups.values()]
    sets = [of_neuron[group[0]] for group in groups.values()]
    parts = []
    done = np.zeros(len(sets), np.int64)
    for core in _grow(sets, np.array([len(m) for m in members]), len(codes), n_axons, n_neurons):
        neurons = [members[g][done[g] : done[g] + count] for g, count in core]
        for g, count in core:
            done[g] += count
        axons = np.unique(np.concatenate([sets[g] for g, _ in core]))
        parts.append(Part(np.sort(np.concatenate(neurons)), codes[axons]))
    return parts


def _grow(sets: list[Ints], left: Ints, n_codes: int, n_axons: int, n_neurons: int) -> list[list[tuple[int, int]]]:
    """For each core, which groups of neurons with the same axons it holds, and how many neurons of each."""
    size = np.array([len(s) for s in sets], np.int64)
    users = _users(sets, n_codes)
    shared = np.zeros(len(sets), np.int64)  # axons of each group that the core has already
    held = np.zeros(n_codes, np.bool_)
    cores = []
    lowest = 0
    while lowest < len(sets):
        core: list[tuple[int, int]] = []
        near = np.zeros(0, np.int64)  # groups that share axons with the core, in the order of their first
        axons, neurons, group = n_axons, n_neurons, lowest
        while group >= 0:
            count = int(min(left[group], neurons))
            core.append((group, count))
            left[group] -= count
            neurons -= count
            new = sets[group][~held[sets[group]]]
            axons -= len(new)
            held[new] = True
            reached, times = np.unique(_rows(users, new), return_counts=True)
            near = np.concatenate([near, reached[shared[reached] == 0]])
            near = near[left[near] > 0]
            shared[reached] += times
            while lowest < len(sets) and left[lowest] == 0:
                lowest += 1
            group = _next(near, lowest, size, shared, left, axons) if neurons else -1
        shared[:] = 0
        held[:] = False
        cores.append(core)
    return cores


def _next(near: Ints, lowest: int, size: Ints, shared: Ints, left: Ints, room: int) -> int:
    """The group that joins the core, or -1 where none fits into so many further axons."""
    if len(near):
        cost = size[near] - shared[near]
        if cost.min() <= room:
            return int(near[cost.argmin()])
    if lowest < len(size) and size[lowest] - shared[lowest] <= room:
        return lowest
    fits = np.flatnonzero((left > 0) & (size - shared <= room))
    return int(fits[0]) if len(fits) else -1


def _users(sets: list[Ints], n_codes: int) -> sparse.csc_array:
    """Which groups use each axon, [group, axon]."""
    first = np.cumsum([0, *(len(s) for s in sets)])
    axons = np.concatenate([*sets, np.zeros(0, np.int64)])
    return sparse.csr_array((np.ones(len(axons), np.int8), axons, first), shape=(len(sets), n_codes)).tocsc()


def _rows(matrix: sparse.csc_array, columns: Ints) -> Ints:
    """The rows of the stored values in these columns, one column after the other."""
    first, count = matrix.indptr[columns], np.diff(matrix.indptr)[columns]
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return matrix.indices[np.repeat(first, count) + within].astype(np.int64)
