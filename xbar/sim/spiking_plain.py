"""The spiking engine in plain numpy: every formula as it is written, for any `Neuron`; the kernels' twin."""

from __future__ import annotations

import numpy as np

from xbar.kernels.mixing import counted_plain
from xbar.parts.neurons import N_TYPES, Neurons
from xbar.sim.spiking_run import Run, synapse_counter
from xbar.spiking.bits import packed, unpacked
from xbar.spiking.program import OUTPUT, SpikingProgram
from xbar.spiking.result import N_SLOTS

Array = np.ndarray


def advance_plain(program: SpikingProgram, run: Run) -> None:
    """All ticks of a run; fills its arrays and counts."""
    connected = unpacked(program.synapses, program.n_neurons)  # [core, axon, neuron]
    random = program.neurons.is_random.any(-1)  # [core]
    for tick in range(run.n_ticks):
        active = _arrived(program, run, tick)
        added = _synapses(program, run, tick, connected, active)
        leak_rho, noise_rho = _neuron_draws(program.neurons, run, tick)
        potential, spikes = program.chip.neuron.update(program.neurons, run.potential, added, leak_rho, noise_rho)
        busy = active.any(-1)
        run.updates += (busy | ~run.settled).sum(0)
        still = ~busy & ~spikes.any(-1) & (potential == run.potential).all(-1)
        run.settled[:] = (still | (run.settled & ~busy)) & ~random
        run.potential[:] = potential
        run.axon_events += active.sum((0, 2))
        run.synaptic_events += np.einsum("bca,ca->c", active.astype(np.int64), connected.sum(-1))
        run.spikes += spikes.sum(0)
        _deliver(program, run, tick, spikes)
        for probed, values, out in (
            (run.probe.spikes, spikes, run.probed),
            (run.probe.potentials, potential, run.seen),
        ):
            out[tick] = values[:, probed[:, 0], probed[:, 1]]


def _arrived(program: SpikingProgram, run: Run, tick: int) -> Array:
    """Active axons, bool [batch, core, axon]: what neurons sent, and what the host sends for this tick."""
    slot = (run.tick + tick) % N_SLOTS
    taken = unpacked(run.pending[:, slot], program.n_axons).astype(np.int64)
    run.pending[:, slot] = 0
    links = program.inputs
    rows = unpacked(run.rows, program.n_inputs)  # [row, batch, line]
    sent = rows[run.n_past + tick - links.delay, :, links.line]  # [link, batch]
    link, batch = np.nonzero(sent)
    np.add.at(taken, (batch, links.core[link], links.axon[link]), 1)
    run.counts["input_spikes"] += len(link)
    run.counts["merged"] += int(np.maximum(taken - 1, 0).sum())
    return taken > 0


def _synapses(program: SpikingProgram, run: Run, tick: int, connected: Array, active: Array) -> Array:
    """What active axons add, int32 [batch, core, neuron]."""
    neurons = program.neurons
    total = np.zeros(run.potential.shape, np.int64)
    for kind in range(N_TYPES):
        of_kind = active & (program.axon_type == kind)
        counts = np.einsum("bca,can->bcn", of_kind.astype(np.int64), connected.astype(np.int64))
        total += counts * np.where(neurons.stochastic_weight, 0, neurons.weight)[..., kind]
    b_of = neurons.stochastic_weight[np.arange(program.n_cores)[:, None, None], np.arange(program.n_neurons)]
    chance = connected & np.take_along_axis(
        np.moveaxis(b_of.reshape(program.n_cores, program.n_neurons, N_TYPES), 1, 2),
        program.axon_type[..., None].astype(np.int64),
        1,
    )  # [core, axon, neuron]
    batch, core, axon, neuron = np.nonzero(active[..., None] & chance)
    weight = neurons.weight[core, neuron, program.axon_type[core, axon]].astype(np.int64)
    draw = counted_plain(run.tick_keys(tick)[batch], synapse_counter(program, core, neuron, axon))
    happens = np.abs(weight) >= (draw & np.uint64(255)).astype(np.int64)
    np.add.at(total, (batch, core, neuron), np.sign(weight) * happens)
    return total.astype(np.int32)


def _neuron_draws(neurons: Neurons, run: Run, tick: int) -> tuple[Array, Array]:
    """rho of leak and of threshold, int32 0 .. 255 [batch, core, neuron]."""
    number = np.arange(neurons.leak.size, dtype=np.uint64).reshape(neurons.shape)
    word = counted_plain(run.tick_keys(tick)[:, None, None], number)
    return (word & np.uint64(255)).astype(np.int32), ((word >> np.uint64(8)) & np.uint64(255)).astype(np.int32)


def _deliver(program: SpikingProgram, run: Run, tick: int, spikes: Array) -> None:
    """Spikes to the slots of their axons and to outputs."""
    batch, core, neuron = np.nonzero(spikes)
    to, axon, delay = (getattr(program.targets, name)[core, neuron] for name in ("core", "axon", "delay"))
    out = to == OUTPUT
    seen = np.zeros((run.n_batch, program.n_outputs), np.bool_)
    seen[batch[out], axon[out]] = True
    run.outputs[tick] = packed(seen)
    run.counts["output_spikes"] += int(out.sum())
    inside = to >= 0
    when = (run.tick + tick + delay[inside].astype(np.int64)) % N_SLOTS
    sent = np.zeros((run.n_batch, N_SLOTS, program.n_cores, program.n_axons), np.int64)
    np.add.at(sent, (batch[inside], when, to[inside], axon[inside]), 1)
    taken = unpacked(run.pending, program.n_axons)
    run.counts["merged"] += int(np.maximum(sent + taken - 1, 0).sum())
    run.pending |= packed(sent > 0)
