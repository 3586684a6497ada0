"""One tick of all spiking cores on bit-packed crossbars: arrive, add up synapses, leak, fire, reset, deliver.

Cores are independent within a tick, since every spike takes at least one; bits of a slot are set atomically, so that
the result is the same for any order of cores. The plain twin is `xbar.sim.spiking_plain`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from xbar.kernels.mixing import counted
from xbar.kernels.parallel import Team, parallel_for
from xbar.kernels.spike_words import (
    LANES,
    add_counts,
    add_row,
    add_wide,
    leak_and_compare,
    lowest,
    popcount,
    reset_where,
    set_bit,
)

N_TYPES, N_SLOTS = 4, 16
SATURATING, RESETTING, GENERAL = 0, 1, 2  # kinds of cores: all neurons saturate, are deterministic, may be anything
STOCHASTIC_LEAK, REVERSAL, SATURATES, LINEAR = 1, 2, 4, 8  # flags of a neuron in a GENERAL core
MERGED, OUTPUTS, INPUTS, N_COUNTS = 0, 1, 2, 3
_ROWS_ABREAST = 128  # rows whose weights of at most 255 an int16 can sum
_FEW = 6  # spikes of a word that are reset one by one


class Cores(NamedTuple):
    """A program as the kernels read it; neurons are padded to whole words with such as never fire.

    synapses: uint64 [core, axon, word of neurons]; columns: uint64 [core, word of axons, neuron].
    axon_type: uint8 [core, axon]; type_mask: uint64 [core, type, word of axons]; row_size: int32 [core, axon].
    weight: int16 [core, type, neuron], 0 where stochastic; chance_weight: int16, those; chance: uint64 [core, type,
    word], where they are; has_chance: bool [core]. kind: uint8 [core]; flags, noise: uint8 [core, neuron].
    leak: int16; threshold, floor: int32 (fell: v < floor); up, down: int32, added by a reset, to what the bits of
    keep_up, keep_down (uint64 [core, word]) keep of V.
    target: int32, core * padded axons + axon, -1, or -2 - output; delay: uint8. random: bool [core].
    """

    synapses: NDArray[np.uint64]
    columns: NDArray[np.uint64]
    axon_type: NDArray[np.uint8]
    type_mask: NDArray[np.uint64]
    row_size: NDArray[np.int32]
    weight: NDArray[np.int16]
    chance_weight: NDArray[np.int16]
    chance: NDArray[np.uint64]
    has_chance: NDArray[np.bool_]
    kind: NDArray[np.uint8]
    random: NDArray[np.bool_]
    flags: NDArray[np.uint8]
    noise: NDArray[np.uint8]
    leak: NDArray[np.int16]
    threshold: NDArray[np.int32]
    floor: NDArray[np.int32]
    up: NDArray[np.int32]
    down: NDArray[np.int32]
    keep_up: NDArray[np.uint64]
    keep_down: NDArray[np.uint64]
    target: NDArray[np.int32]
    delay: NDArray[np.uint8]


class Limits(NamedTuple):
    """Numbers that hold for all cores. rows_most: active axons up to which rows are added instead of counted."""

    low: int
    high: int
    n_axons: int
    n_neurons: int
    rows_most: int
    first_synapse: int


class Links(NamedTuple):
    """Links of the host, by delay, then by line: [group] delay, [group, line + 1] first link, [link] target."""

    delay: NDArray[np.int64]
    first: NDArray[np.int64]
    target: NDArray[np.int64]


class Flow(NamedTuple):
    """What ticks change. potential: int32 [batch, core, neuron]; pending: uint64 [batch, slot, core, word]; settled:
    bool [batch, core]; fired: uint64 [batch, core, word]; outputs: uint64 [tick, batch, word]; spikes: int64 [part,
    core, neuron]; by_core: int64 [part, core, 3] axon events, synaptic events, updates; counts: int64 [task, N_COUNTS].
    """

    potential: NDArray[np.int32]
    pending: NDArray[np.uint64]
    settled: NDArray[np.bool_]
    fired: NDArray[np.uint64]
    outputs: NDArray[np.uint64]
    spikes: NDArray[np.int64]
    by_core: NDArray[np.int64]
    counts: NDArray[np.int64]


@njit(cache=True)
def _list_active(pending, first, n_words, active, listed):  # type: ignore[no-untyped-def]
    """Takes a core's words from its slot, which becomes empty; writes the active axons and returns their number."""
    n = 0
    for w in range(n_words):
        word = pending[first + w]
        active[w] = word
        if word == 0:
            continue
        pending[first + w] = 0
        while word:
            listed[n] = w * 64 + lowest(word)
            n += 1
            word &= word - np.uint64(1)
    return n


@njit(cache=True)
def _add_rows(cores, core, listed, n_active, narrow, total):  # type: ignore[no-untyped-def]
    """total += the rows of the active axons, one after the other."""
    n_words = cores.synapses.shape[2]
    width = cores.leak.shape[1]
    weights = cores.weight.ctypes.data + core * N_TYPES * width * 2
    for start in range(0, n_active, _ROWS_ABREAST):
        for i in range(start, min(start + _ROWS_ABREAST, n_active)):
            axon = listed[i]
            of_type = weights + np.int64(cores.axon_type[core, axon]) * width * 2
            for w in range(n_words):
                add_row(cores.synapses[core, axon, w], of_type + w * LANES * 2, narrow.ctypes.data + w * LANES * 2)
        for w in range(n_words):
            add_wide(narrow.ctypes.data + w * LANES * 2, total.ctypes.data + w * LANES * 4)


@njit(cache=True)
def _add_counted(cores, core, active, of_type, total):  # type: ignore[no-untyped-def]
    """total += weight of each type times the neuron's active synapses of that type."""
    n_axon_words, width = cores.columns.shape[1:]
    columns = cores.columns.ctypes.data + core * n_axon_words * width * 8
    for kind in range(N_TYPES):
        some = np.uint64(0)
        for w in range(n_axon_words):
            of_type[w] = active[w] & cores.type_mask[core, kind, w]
            some |= of_type[w]
        if some == 0:
            continue
        weights = cores.weight.ctypes.data + (core * N_TYPES + kind) * width * 2
        for w in range(width // LANES):
            here = w * LANES
            add_counts(
                columns + here * 8, width * 8, of_type.ctypes.data, n_axon_words, weights + here * 2,
                total.ctypes.data + here * 4,
            )  # fmt: skip


@njit(cache=True)
def _add_chances(cores, limits, core, listed, n_active, key, total):  # type: ignore[no-untyped-def]
    """total += sgn(S) F(S, rho) of the stochastic synapses of active axons."""
    for i in range(n_active):
        axon = np.int64(listed[i])
        kind = cores.axon_type[core, axon]
        for w in range(cores.synapses.shape[2]):
            word = cores.synapses[core, axon, w] & cores.chance[core, kind, w]
            while word:
                neuron = w * 64 + lowest(word)
                word &= word - np.uint64(1)
                weight = np.int64(cores.chance_weight[core, kind, neuron])
                number = (core * limits.n_neurons + neuron) * limits.n_axons + axon + limits.first_synapse
                rho = np.int64(counted(key, np.uint64(number)) & np.uint64(255))
                if abs(weight) >= rho:
                    total[neuron] += 1 if weight > 0 else (-1 if weight < 0 else 0)


@njit(cache=True)
def _step_general(cores, limits, core, potential, total, key, fired):  # type: ignore[no-untyped-def]
    """One tick of neurons of any kind, one by one; whether a potential changed. `total` becomes 0."""
    changed = False
    for j in range(limits.n_neurons):
        flags, before = cores.flags[core, j], np.int64(potential[j])
        v = min(max(before + total[j], limits.low), limits.high)
        total[j] = 0
        leak, noise = np.int64(cores.leak[core, j]), np.int64(cores.noise[core, j])
        eta = np.int64(0)
        if (flags & STOCHASTIC_LEAK) or noise:
            word = counted(key, np.uint64(core * limits.n_neurons + j))
            if (flags & STOCHASTIC_LEAK) and leak != 0:
                happens = abs(leak) >= np.int64(word & np.uint64(255))
                leak = (1 if leak > 0 else -1) if happens else 0
            eta = np.int64((word >> np.uint64(8)) & np.uint64(255)) & ((1 << noise) - 1)
        if flags & REVERSAL:
            moved = v + leak if v > 0 else (v - leak if v < 0 else 0)
            v = 0 if (moved > 0) != (v > 0) else moved
        else:
            v += leak
        v = min(max(v, limits.low), limits.high)
        bit = np.uint64(1) << np.uint64(j & 63)
        eta_down = 0 if flags & SATURATES else eta
        if v >= cores.threshold[core, j] + eta:
            fired[j >> 6] |= bit
            kept = v if cores.keep_up[core, j >> 6] & bit else 0
            v = kept + cores.up[core, j] - (eta if flags & LINEAR else 0)
        elif v < cores.floor[core, j] - eta_down:
            kept = v if cores.keep_down[core, j >> 6] & bit else 0
            v = kept + cores.down[core, j] + (eta_down if flags & LINEAR else 0)
        changed |= v != before
        potential[j] = v
    return changed


@njit(cache=True)
def _step_words(cores, limits, core, potential, total, old, watch, fired):  # type: ignore[no-untyped-def]
    """One tick of deterministic neurons, 64 at a time; whether a potential changed, where `watch` asks for it."""
    stays = np.int64(cores.kind[core] == SATURATING)
    width = cores.leak.shape[1]
    changed = np.uint64(0)
    resetting = watch and not stays
    if resetting:
        old[:] = potential
    for w in range(width // LANES):
        first = w * LANES
        here, at = core * width + first, potential.ctypes.data + first * 4
        up, fell, moved = leak_and_compare(
            at, total.ctypes.data + first * 4, cores.leak.ctypes.data + here * 2,
            cores.threshold.ctypes.data + here * 4, cores.floor.ctypes.data + here * 4, limits.low, limits.high, stays,
        )  # fmt: skip
        if fell:
            reset_where(fell, cores.keep_down[core, w], cores.down.ctypes.data + here * 4, at)
        changed |= moved
        fired[w] = up
        if popcount(up) > _FEW:
            reset_where(up, cores.keep_up[core, w], cores.up.ctypes.data + here * 4, at)
            continue
        while up:
            bit = lowest(up)
            up &= up - np.uint64(1)
            kept = potential[first + bit] if (cores.keep_up[core, w] >> np.uint64(bit)) & np.uint64(1) else 0
            potential[first + bit] = kept + cores.up[core, first + bit]
    return np.any(old != potential) if resetting else changed != 0


@njit(cache=True)
def _deliver(cores, flow, core, batch, tick, now, fired, spikes, counts):  # type: ignore[no-untyped-def]
    """Send the spikes of a core to the slots of their axons and to the outputs."""
    n_cores, n_words = flow.pending.shape[2:]
    slots = flow.pending.ctypes.data + batch * N_SLOTS * n_cores * n_words * 8
    outputs = flow.outputs.ctypes.data + (tick * flow.outputs.shape[1] + batch) * flow.outputs.shape[2] * 8
    for w in range(len(fired)):
        word = fired[w]
        while word:
            neuron = w * 64 + lowest(word)
            word &= word - np.uint64(1)
            spikes[core, neuron] += 1
            target = np.int64(cores.target[core, neuron])
            if target >= 0:
                slot = (now + cores.delay[core, neuron]) % N_SLOTS
                counts[MERGED] += set_bit(slots + (slot * n_cores * n_words + (target >> 6)) * 8, target & 63)
            elif target < -1:
                counts[OUTPUTS] += 1
                output = -2 - target
                set_bit(outputs + (output >> 6) * 8, output & 63)


@njit(cache=True)
def _tick_task(task, cores, limits, flow, keys, tick, now, cores_each, batch_each):  # type: ignore[no-untyped-def]
    """Some cores for some inputs of the batch."""
    n_batch, _, n_cores, n_words = flow.pending.shape
    n_parts = (n_batch + batch_each - 1) // batch_each
    part = task % n_parts
    width = cores.leak.shape[1]
    narrow, total = np.zeros(width, np.int16), np.zeros(width, np.int32)
    old, listed = np.empty(width, np.int32), np.empty(n_words * 64, np.int32)
    active, of_type = np.empty(n_words, np.uint64), np.empty(n_words, np.uint64)
    counts, spikes = flow.counts[task], flow.spikes[part]
    pending = flow.pending.reshape(-1)
    slot = now % N_SLOTS
    first_core = task // n_parts * cores_each
    for core in range(first_core, min(first_core + cores_each, n_cores)):
        of_core = flow.by_core[part, core]
        for b in range(part * batch_each, min((part + 1) * batch_each, n_batch)):
            fired = flow.fired[b, core]
            n = _list_active(pending, ((b * N_SLOTS + slot) * n_cores + core) * n_words, n_words, active, listed)
            fired[:] = 0
            if n == 0 and flow.settled[b, core]:
                continue
            of_core[0] += n
            of_core[2] += 1
            for i in range(n):
                of_core[1] += cores.row_size[core, listed[i]]
            if n > limits.rows_most:
                _add_counted(cores, core, active, of_type, total)
            elif n:
                _add_rows(cores, core, listed, n, narrow, total)
            if n and cores.has_chance[core]:
                _add_chances(cores, limits, core, listed, n, counted(keys[b], np.uint64(now)), total)
            potential = flow.potential[b, core]
            if cores.kind[core] == GENERAL:
                key = counted(keys[b], np.uint64(now)) if cores.random[core] else np.uint64(0)
                changed = _step_general(cores, limits, core, potential, total, key, fired)
            else:
                changed = _step_words(cores, limits, core, potential, total, old, n == 0, fired)
            some = np.uint64(0)
            for w in range(len(fired)):
                some |= fired[w]
            flow.settled[b, core] = n == 0 and not changed and some == 0 and not cores.random[core]
            if some:
                _deliver(cores, flow, core, b, tick, now, fired, spikes, counts)


@njit(cache=True)
def _inject_task(b, links, rows, row, flow, now):  # type: ignore[no-untyped-def]
    """The host's spikes of one input of the batch, to the slot of this tick."""
    n_cores, n_words = flow.pending.shape[2:]
    at = flow.pending.ctypes.data + (b * N_SLOTS + now % N_SLOTS) * n_cores * n_words * 8
    for group in range(len(links.delay)):
        for w in range(rows.shape[2]):
            word = rows[row - links.delay[group], b, w]
            while word:
                line = w * 64 + lowest(word)
                word &= word - np.uint64(1)
                for link in range(links.first[group, line], links.first[group, line + 1]):
                    target = links.target[link]
                    flow.counts[b, INPUTS] += 1
                    flow.counts[b, MERGED] += set_bit(at + (target >> 6) * 8, target & 63)


@njit(cache=True)
def advance(threads, alone, cores, limits, links, flow, keys, rows, tick, shape, probes, probed, seen):  # type: ignore[no-untyped-def]
    """All ticks of a run from absolute tick `tick` on.

    threads, alone: the team, and that of one thread for what is too little to share. rows: uint64 [row, batch, word],
    with earlier ticks before those of the run. shape: cores and inputs of a task, tasks. probes: two int64 [n, 2].
    """
    cores_each, batch_each, n_tasks = shape
    n_ticks, n_batch = flow.outputs.shape[:2]
    n_past = len(rows) - n_ticks
    for t in range(n_ticks):
        if len(links.delay):
            parallel_for(
                threads if n_batch > 1 else alone, _inject_task, n_batch, (links, rows, n_past + t, flow, tick + t)
            )
        parallel_for(
            threads if n_tasks > 1 else alone, _tick_task, n_tasks,
            (cores, limits, flow, keys, t, tick + t, cores_each, batch_each),
        )  # fmt: skip
        for b in range(n_batch):
            for i in range(len(probes[0])):
                core, neuron = probes[0][i]
                probed[t, b, i] = (flow.fired[b, core, neuron >> 6] >> np.uint64(neuron & 63)) & np.uint64(1)
            for i in range(len(probes[1])):
                core, neuron = probes[1][i]
                seen[t, b, i] = flow.potential[b, core, neuron]


@njit(cache=True)
def _transpose_task(core, synapses, columns):  # type: ignore[no-untyped-def]
    for axon in range(synapses.shape[1]):
        bit = np.uint64(1) << np.uint64(axon & 63)
        for w in range(synapses.shape[2]):
            word = synapses[core, axon, w]
            while word:
                columns[core, axon >> 6, w * 64 + lowest(word)] |= bit
                word &= word - np.uint64(1)


@njit(cache=True)
def _transpose_all(threads, synapses, columns):  # type: ignore[no-untyped-def]
    parallel_for(threads, _transpose_task, len(synapses), (synapses, columns))


def transposed(threads: Team, synapses: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Crossbars by neuron, uint64 [core, word of axons, neuron], from [core, axon, word of neurons]."""
    n_cores, n_axons, n_words = synapses.shape
    columns = np.zeros((n_cores, -(-n_axons // 64), n_words * 64), np.uint64)
    _transpose_all(threads, synapses, columns)
    return columns
