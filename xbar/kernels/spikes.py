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
    at,
    fetch,
    fetch_to_write,
    leak_and_compare,
    lowest,
    moved,
    pointer,
    reset_where,
    set_bit,
)

N_TYPES, N_SLOTS = 4, 16
SATURATING, RESETTING, GENERAL = 0, 1, 2  # kinds of cores: all neurons saturate, are deterministic, may be anything
STOCHASTIC_LEAK, REVERSAL, SATURATES, LINEAR = 1, 2, 4, 8  # flags of a neuron in a GENERAL core
MERGED, OUTPUTS, INPUTS, N_COUNTS = 0, 1, 2, 3
FIELDS = 4
TARGET, DELAY, UP, TIMES = 0, 1, 2, 3
KEEPS = 8  # first bit, of a delay's field, that says whether a reset keeps V
TOGETHER = 256  # spikes that are worth delivering together
_AHEAD = 3  # cores ahead whose active rows are fetched
_SOON, _SOONER = 24, 12  # spikes ahead whose record, and then whose axon, is fetched


class Cores(NamedTuple):
    """A program as the kernels read it; neurons are padded to whole words with such as never fire.

    synapses: uint64 [core, axon, word of neurons]; columns: uint64 [core, word of axons, neuron].
    axon: int32 [core, axon], N_TYPES * its synapses + its type; type_mask: uint64 [core, type, word of axons].
    model: int64 [core], which of the distinct sets of parameters the core has. The others are by model, so that many
    cores read the same few lines of memory:
    weight: int16 [model, type, neuron], 0 where stochastic; chance_weight: int16, those; chance: uint64 [model, type,
    word], where they are; has_chance, random: bool [model]. kind: uint8 [model]; flags, noise: uint8 [model, neuron].
    leak: int16; threshold, floor: int32 (fell: v < floor); up, down: int32, added by a reset, to what the bits of
    keep_up, keep_down (uint64 [model, word]) keep of V.
    spike: int32 [part, core, neuron, FIELDS], what is needed when a neuron fires, side by side since it comes from far:
    TARGET, core * padded axons + axon, -1, or -2 - output; DELAY, whose bits from KEEPS up are set where V is kept; UP,
    as above (in GENERAL cores, whose neurons are reset already, V is kept and UP is 0); TIMES, how often it has fired.
    """

    synapses: NDArray[np.uint64]
    columns: NDArray[np.uint64]
    axon: NDArray[np.int32]
    type_mask: NDArray[np.uint64]
    model: NDArray[np.int64]
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
    spike: NDArray[np.int32]


class Size(NamedTuple):
    """Numbers that hold for all cores. width: neurons padded to whole words; rows_most: active axons up to which rows
    are added instead of counted; rows_abreast: rows that an int16 can sum; low, high: limits of potentials;
    first_synapse: number of a synapse's random word.
    """

    cores: int
    axons: int
    axon_words: int
    neurons: int
    words: int
    width: int
    low: int
    high: int
    rows_most: int
    rows_abreast: int
    first_synapse: int


class Links(NamedTuple):
    """Links of the host, by delay, then by line: [group] delay, [group, line + 1] first link, [link] target."""

    delay: NDArray[np.int64]
    first: NDArray[np.int64]
    target: NDArray[np.int64]


class Flow(NamedTuple):
    """What ticks change. potential: int32 [batch, core, neuron]; pending: uint64 [batch, slot, core, word]; settled:
    bool [batch, core]; fired: uint64 [batch, core, word]; outputs: uint64 [tick, batch, word]; by_core: int64 [part,
    core, 3], axon events, synaptic events, updates.
    """

    potential: NDArray[np.int32]
    pending: NDArray[np.uint64]
    settled: NDArray[np.bool_]
    fired: NDArray[np.uint64]
    outputs: NDArray[np.uint64]
    by_core: NDArray[np.int64]


class Desk(NamedTuple):
    """Room for a task to work, [task, ...]: active axons, and neurons whose spikes are to be delivered, listed; active
    axons as words, and those of a type; sums in int16 and int32 (0 between ticks); potentials before; the spikes of a
    core. counts: int64 [task, N_COUNTS], what was counted so far.
    """

    listed: NDArray[np.int32]
    sent: NDArray[np.int32]
    active: NDArray[np.uint64]
    of_type: NDArray[np.uint64]
    narrow: NDArray[np.int16]
    total: NDArray[np.int32]
    old: NDArray[np.int32]
    fired: NDArray[np.uint64]
    counts: NDArray[np.int64]


@njit(cache=True, forceinline=True)
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


@njit(cache=True, forceinline=True)
def _add_rows(c, size, core, model, n_active, of):  # type: ignore[no-untyped-def]
    """total += the rows of the active axons, one after the other."""
    for start in range(0, n_active, size.rows_abreast):
        for i in range(start, min(start + size.rows_abreast, n_active)):
            axon = core * size.axons + of.listed[i]
            weights = (model * N_TYPES + np.int64(c.axon[axon] % N_TYPES)) * size.width
            for w in range(size.words):
                add_row(c.synapses[axon * size.words + w], at(c.weight, weights + w * LANES), at(of.narrow, w * LANES))
        for w in range(size.words):
            add_wide(at(of.narrow, w * LANES), at(of.total, w * LANES))


@njit(cache=True, forceinline=True)
def _add_counted(c, size, core, model, of):  # type: ignore[no-untyped-def]
    """total += weight of each type times the neuron's active synapses of that type."""
    for kind in range(N_TYPES):
        some = np.uint64(0)
        for w in range(size.axon_words):
            of.of_type[w] = of.active[w] & c.type_mask[(core * N_TYPES + kind) * size.axon_words + w]
            some |= of.of_type[w]
        if some == 0:
            continue
        columns, weights = core * size.axon_words * size.width, (model * N_TYPES + kind) * size.width
        for first in range(0, size.width, LANES):
            add_counts(
                at(c.columns, columns + first), size.width * 8, at(of.of_type, 0), size.axon_words,
                at(c.weight, weights + first), at(of.total, first),
            )  # fmt: skip


@njit(cache=True)
def _add_chances(c, size, core, model, n_active, key, of):  # type: ignore[no-untyped-def]
    """total += sgn(S) F(S, rho) of the stochastic synapses of active axons."""
    for i in range(n_active):
        axon = np.int64(of.listed[i])
        kind = model * N_TYPES + np.int64(c.axon[core * size.axons + axon] % N_TYPES)
        for w in range(size.words):
            word = c.synapses[(core * size.axons + axon) * size.words + w] & c.chance[kind * size.words + w]
            while word:
                neuron = w * 64 + lowest(word)
                word &= word - np.uint64(1)
                weight = np.int64(c.chance_weight[kind * size.width + neuron])
                number = (core * size.neurons + neuron) * size.axons + axon + size.first_synapse
                rho = np.int64(counted(key, np.uint64(number)) & np.uint64(255))
                if abs(weight) >= rho:
                    of.total[neuron] += 1 if weight > 0 else (-1 if weight < 0 else 0)


@njit(cache=True)
def _step_general(c, size, core, model, potential, key, of):  # type: ignore[no-untyped-def]
    """One tick of neurons of any kind, one by one; whether a potential changed. `total` becomes 0."""
    changed = False
    for w in range(size.words):
        fired = np.uint64(0)
        for bit in range(min(64, size.neurons - w * 64)):
            j = w * 64 + bit
            here, mask = model * size.width + j, np.uint64(1) << np.uint64(bit)
            flags, before = c.flags[here], np.int64(potential[j])
            v = min(max(before + of.total[j], size.low), size.high)
            of.total[j] = 0
            leak, noise, eta = np.int64(c.leak[here]), np.int64(c.noise[here]), np.int64(0)
            if (flags & STOCHASTIC_LEAK) or noise:
                word = counted(key, np.uint64(core * size.neurons + j))
                if (flags & STOCHASTIC_LEAK) and leak != 0:
                    happens = abs(leak) >= np.int64(word & np.uint64(255))
                    leak = (1 if leak > 0 else -1) if happens else 0
                eta = np.int64((word >> np.uint64(8)) & np.uint64(255)) & ((1 << noise) - 1)
            if flags & REVERSAL:
                nearer = v + leak if v > 0 else (v - leak if v < 0 else 0)
                v = 0 if (nearer > 0) != (v > 0) else nearer
            else:
                v += leak
            v = min(max(v, size.low), size.high)
            eta_down = 0 if flags & SATURATES else eta
            if v >= c.threshold[here] + eta:
                fired |= mask
                kept = v if c.keep_up[model * size.words + w] & mask else 0
                v = kept + c.up[here] - (eta if flags & LINEAR else 0)
            elif v < c.floor[here] - eta_down:
                kept = v if c.keep_down[model * size.words + w] & mask else 0
                v = kept + c.down[here] + (eta_down if flags & LINEAR else 0)
            changed |= v != before
            potential[j] = v
        of.fired[w] = fired
    return changed


@njit(cache=True, forceinline=True)
def _step_words(c, size, model, potential, watch, of):  # type: ignore[no-untyped-def]
    """One tick of deterministic neurons, 64 at a time; whether a potential changed, where `watch` asks for it."""
    stays = np.int64(c.kind[model] == SATURATING)
    changed = np.uint64(0)
    compares = watch and not stays
    if compares:
        for j in range(size.width):
            of.old[j] = potential[j]
    for w in range(size.words):
        first = w * LANES
        here, now = model * size.width + first, at(potential, first)
        up, fell, shifted = leak_and_compare(
            now, at(of.total, first), at(c.leak, here), at(c.threshold, here), at(c.floor, here), size.low, size.high,
            stays,
        )  # fmt: skip
        if fell:
            reset_where(fell, c.keep_down[model * size.words + w], at(c.down, here), now)
        changed |= shifted
        of.fired[w] = up
    if compares:
        changed = np.uint64(0)
        for j in range(size.width):
            changed |= np.uint64(of.old[j] != potential[j])
    return changed != 0


@njit(cache=True, forceinline=True)
def _list_fired(size, core, of, n):  # type: ignore[no-untyped-def]
    """Adds the neurons of a core that fired to those to be delivered; how many these are now."""
    for w in range(size.words):
        word = of.fired[w]
        while word:
            of.sent[n] = core * size.width + w * 64 + lowest(word)
            n += 1
            word &= word - np.uint64(1)
    return n


@njit(cache=True, forceinline=True)
def _slot_of(size, slots, now, spike, record):  # type: ignore[no-untyped-def]
    """The address of the word that a spike sets a bit of."""
    slot = (now + (spike[record + DELAY] & 15)) % N_SLOTS
    return slots + (slot * size.cores * size.axon_words + (np.int64(spike[record + TARGET]) >> 6)) * 8


@njit(cache=True, forceinline=True)
def _deliver(size, spike, potential, n, now, slots, outputs, of):  # type: ignore[no-untyped-def]
    """Reset the neurons that fired and send their spikes to the slots of their axons and to the outputs.

    What a spike needs lies anywhere in memory, so that it is fetched some spikes ahead.
    """
    for i in range(-_SOON, n):
        if i + _SOON < n:
            fetch(at(spike, np.int64(of.sent[i + _SOON]) * FIELDS))
        if 0 <= i + _SOONER < n:
            record = np.int64(of.sent[i + _SOONER]) * FIELDS
            if spike[record + TARGET] >= 0:
                fetch_to_write(_slot_of(size, slots, now, spike, record))
        if i < 0:
            continue
        neuron = np.int64(of.sent[i])
        record = neuron * FIELDS
        spike[record + TIMES] += 1
        potential[neuron] = (potential[neuron] & (spike[record + DELAY] >> KEEPS)) + spike[record + UP]
        target = np.int64(spike[record + TARGET])
        if target >= 0:
            of.counts[MERGED] += set_bit(_slot_of(size, slots, now, spike, record), target & 63)
        elif target < -1:
            of.counts[OUTPUTS] += 1
            output = -2 - target
            set_bit(outputs + (output >> 6) * 8, output & 63)


@njit(cache=True, forceinline=True)
def _fetch_rows(c, size, core, pending, first):  # type: ignore[no-untyped-def]
    """Fetch the rows of the axons that are active in a core."""
    for w in range(size.axon_words):
        word = pending[first + w]
        while word:
            axon = core * size.axons + w * 64 + lowest(word)
            fetch(at(c.synapses, axon * size.words))
            fetch(at(c.axon, axon))
            word &= word - np.uint64(1)


@njit(cache=True, forceinline=True)
def _bare(c):  # type: ignore[no-untyped-def]
    """The same with pointers for arrays."""
    return Cores(
        pointer(c.synapses), pointer(c.columns), pointer(c.axon), pointer(c.type_mask), pointer(c.model),
        pointer(c.weight), pointer(c.chance_weight), pointer(c.chance), pointer(c.has_chance), pointer(c.kind),
        pointer(c.random), pointer(c.flags), pointer(c.noise), pointer(c.leak), pointer(c.threshold), pointer(c.floor),
        pointer(c.up), pointer(c.down), pointer(c.keep_up), pointer(c.keep_down), pointer(c.spike),
    )  # fmt: skip


@njit(cache=True, forceinline=True)
def _step_core(c, size, core, n_active, potential, key, now, of):  # type: ignore[no-untyped-def]
    """One tick of a core whose active axons are listed; whether it is settled: nothing changes until a spike comes."""
    model = c.model[core]
    if n_active > size.rows_most:
        _add_counted(c, size, core, model, of)
    elif n_active:
        _add_rows(c, size, core, model, n_active, of)
    random = c.random[model]
    tick_key = counted(key, np.uint64(now)) if random else np.uint64(0)
    if n_active and c.has_chance[model]:
        _add_chances(c, size, core, model, n_active, tick_key, of)
    if c.kind[model] == GENERAL:
        changed = _step_general(c, size, core, model, potential, tick_key, of)
    else:
        changed = _step_words(c, size, model, potential, n_active == 0, of)
    some = np.uint64(0)
    for w in range(size.words):
        some |= of.fired[w]
    return n_active == 0 and not changed and some == 0 and random == 0


@njit(cache=True)
def _tick_task(task, arrays, size, flow, desks, keys, tick, now, cores_each, batch_each):  # type: ignore[no-untyped-def]
    """Some cores for some inputs of the batch."""
    c = _bare(arrays)
    n_batch = len(keys)
    n_parts = (n_batch + batch_each - 1) // batch_each
    part = task % n_parts
    key, pending, settled = pointer(keys), pointer(flow.pending), pointer(flow.settled)
    potentials, fired, by_core = pointer(flow.potential), pointer(flow.fired), pointer(flow.by_core[part])
    of = Desk(
        pointer(desks.listed[task]), pointer(desks.sent[task]), pointer(desks.active[task]),
        pointer(desks.of_type[task]), pointer(desks.narrow[task]), pointer(desks.total[task]),
        pointer(desks.old[task]), pointer(desks.fired[task]), pointer(desks.counts[task]),
    )  # fmt: skip
    spike, outputs, n_sent = pointer(arrays.spike[part]), at(pointer(flow.outputs[tick]), 0), 0
    slot_words, output_bytes = size.cores * size.axon_words, flow.outputs.shape[2] * 8
    first_core = task // n_parts * cores_each
    end = min(first_core + cores_each, size.cores)
    for core in range(first_core, end):
        for b in range(part * batch_each, min((part + 1) * batch_each, n_batch)):
            slots, place = b * N_SLOTS * slot_words, b * size.cores + core
            first = slots + now % N_SLOTS * slot_words + core * size.axon_words
            n = _list_active(pending, first, size.axon_words, of.active, of.listed)
            if core + _AHEAD < end:
                _fetch_rows(c, size, core + _AHEAD, pending, first + _AHEAD * size.axon_words)
            idle = n == 0 and settled[place] != 0
            if not idle:
                by_core[core * 3] += n
                by_core[core * 3 + 2] += 1
                for i in range(n):
                    by_core[core * 3 + 1] += c.axon[core * size.axons + of.listed[i]] // N_TYPES
                potential = moved(potentials, place * size.width)
                settled[place] = np.uint8(_step_core(c, size, core, n, potential, key[b], now, of))
                n_sent = _list_fired(size, core, of, n_sent)
            for w in range(size.words):
                fired[place * size.words + w] = np.uint64(0) if idle else of.fired[w]
            # spikes of one input alone share their slots, so that those of several cores can go together
            if n_sent and (n_sent > TOGETHER or n_batch > 1 or core + 1 == end):
                of_input = moved(potentials, b * size.cores * size.width)
                _deliver(size, spike, of_input, n_sent, now, at(pending, slots), outputs + b * output_bytes, of)
                n_sent = 0


@njit(cache=True)
def _inject_task(b, links, rows, row, flow, counts, now):  # type: ignore[no-untyped-def]
    """The host's spikes of one input of the batch, to the slot of this tick."""
    n_cores, n_words = flow.pending.shape[2:]
    slot = at(pointer(flow.pending), (b * N_SLOTS + now % N_SLOTS) * n_cores * n_words)
    for group in range(len(links.delay)):
        for w in range(rows.shape[2]):
            word = rows[row - links.delay[group], b, w]
            while word:
                line = w * 64 + lowest(word)
                word &= word - np.uint64(1)
                for link in range(links.first[group, line], links.first[group, line + 1]):
                    target = links.target[link]
                    counts[b, INPUTS] += 1
                    counts[b, MERGED] += set_bit(slot + (target >> 6) * 8, target & 63)


@njit(cache=True)
def advance(threads, alone, cores, size, links, flow, desks, keys, rows, tick, shape, probes, probed, seen):  # type: ignore[no-untyped-def]
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
                threads if n_batch > 1 else alone, _inject_task, n_batch,
                (links, rows, n_past + t, flow, desks.counts, tick + t),
            )  # fmt: skip
        parallel_for(
            threads if n_tasks > 1 else alone, _tick_task, n_tasks,
            (cores, size, flow, desks, keys, t, tick + t, cores_each, batch_each),
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
