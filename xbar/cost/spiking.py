"""`xbar.estimate_spikes`: spiking program + activity -> report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xbar.errors import DataError
from xbar.result import HOST, UNUSED
from xbar.spiking.bits import unpacked
from xbar.spiking.chip import SpikingChip
from xbar.spiking.program import NOWHERE, SpikingProgram
from xbar.spiking.report import AT_REST, LayerLoad, SpikeEntry, SpikingReport
from xbar.spiking.result import SpikeActivity


def estimate_spikes(
    program: SpikingProgram, activity: SpikeActivity, ticks_per_input: int | None = None
) -> SpikingReport:
    """The bill for running `program` as `activity` counted it, per input of the batch.

    energy = (sum of events * energy per event + all cores * core_static_W * time) * (voltage / reference voltage)^2.
    Events belong to the layer of the core that computes them, hops and chip crossings to that of the neuron that sends;
    cores of the chip without a layer are UNUSED, and draw power as well. A spike that leaves or enters through the host
    is packet_bits at the edge.

    ticks_per_input: ticks from one input to the next, where they follow each other in a pipeline, as in a history-free
    network; None: an input has the chip for itself for all its ticks. Raises DataError where the activity is of another
    program, or of no input or tick.
    """
    problems = []
    if activity.spikes.shape != program.targets.core.shape:
        problems.append(
            f"activity: must be of this program's cores and neurons {program.targets.core.shape}, "
            f"got {activity.spikes.shape}"
        )
    for name, count in (("inputs", activity.n_batch), ("ticks", activity.n_ticks)):
        if count < 1:
            problems.append(f"activity: must count at least one of its {name}, got {count}; simulate some {name}")
    if ticks_per_input is not None and ticks_per_input < 1:
        problems.append(f"ticks_per_input: must be 1 or more, got {ticks_per_input}")
    if problems:
        raise DataError(problems)
    n, chip = activity.n_batch, program.chip
    ticks = activity.n_ticks if ticks_per_input is None else ticks_per_input
    return _report(
        _Work(
            name=program.name,
            loads=tuple(_loads(program, activity, ticks)),
            input_spikes=activity.input_spikes / n,
            output_spikes=activity.output_spikes / n,
            merged=activity.merged / n,
        ),
        chip,
        n,
        ticks,
        program.latency,
    )


def operating_point(chip: SpikingChip, rate_Hz: float, synapses_per_neuron: float, name: str = "") -> SpikingReport:
    """The bill per tick of a chip that is full: every neuron spikes at rate_Hz to a random axon of a random core.

    A core of A axons and N neurons with s synapses each has N s / A per axon, and a way between two random cores of a
    mesh of n columns has (n - 1/n) / 3 hops along x. Published powers are of such networks (Merolla 2014).
    Raises DataError for figures that no core can have.
    """
    problems = []
    if not 0 <= rate_Hz <= 1 / chip.tick_s * (1 + 1e-9):
        problems.append(f"rate_Hz: must be from 0 to one spike per tick ({1 / chip.tick_s:g} Hz), got {rate_Hz:g}")
    if not 0 <= synapses_per_neuron <= chip.core.axons:
        rule = f"must be from 0 to the {chip.core.axons} axons of a core"
        problems.append(f"synapses_per_neuron: {rule}, got {synapses_per_neuron:g}")
    if problems:
        raise DataError(problems)
    n_neurons = chip.n_cores * chip.core.neurons
    spikes = n_neurons * rate_Hz * chip.tick_s
    load = LayerLoad(
        name="all cores",
        n_cores=chip.n_cores,
        n_neurons=n_neurons,
        spikes=spikes,
        axon_events=spikes,
        synaptic_events=spikes * synapses_per_neuron * chip.core.neurons / chip.core.axons,
        hops=spikes * (_mean_way(chip.cols) + _mean_way(chip.rows)),
    )
    crossings = spikes * (_mean_way(chip.board.cols) + _mean_way(chip.board.rows))
    name = name or f"{rate_Hz:g} Hz, {synapses_per_neuron:g} synapses per neuron"
    return _report(_Work(name, (_Load(load, crossings, float(n_neurons)),)), chip, 1, 1, 0)


def used_neurons(program: SpikingProgram) -> np.ndarray:
    """Which neurons have a target or a synapse, bool [core, neuron]."""
    reached = unpacked(np.bitwise_or.reduce(program.synapses, axis=1), program.n_neurons)
    return np.asarray(reached | (program.targets.core != NOWHERE))


def _mean_way(n: int) -> float:
    """Mean distance of two random places in a row of n."""
    return (n - 1 / n) / 3


@dataclass(frozen=True)
class _Load:
    """Per input, what a layer's cores do, and what is paid for it besides."""

    layer: LayerLoad
    crossings: float
    updates: float


@dataclass(frozen=True)
class _Work:
    """Per input, what a network does."""

    name: str
    loads: tuple[_Load, ...]
    input_spikes: float = 0.0
    output_spikes: float = 0.0
    merged: float = 0.0


def _loads(program: SpikingProgram, activity: SpikeActivity, ticks: int) -> Iterator[_Load]:
    """By layer, in the order of their first cores."""
    n = activity.n_batch
    spikes = activity.spikes.astype(np.float64)
    hops, crossings = (spikes * program.hops).sum(1), (spikes * program.chip_crossings).sum(1)
    used = used_neurons(program).sum(1)
    layers = np.array(program.layer)
    for name in dict.fromkeys(program.layer):
        own = layers == name
        n_cores = int(own.sum())
        load = LayerLoad(
            name=name,
            n_cores=n_cores,
            n_neurons=int(used[own].sum()),
            spikes=float(spikes[own].sum()) / n,
            axon_events=float(activity.axon_events[own].sum()) / n,
            synaptic_events=float(activity.synaptic_events[own].sum()) / n,
            hops=float(hops[own].sum()) / n,
        )
        yield _Load(load, float(crossings[own].sum()) / n, float(n_cores * program.n_neurons * ticks))


def _report(work: _Work, chip: SpikingChip, n_inputs: int, ticks: int, latency: int) -> SpikingReport:
    n_used = sum(load.layer.n_cores for load in work.loads)
    return SpikingReport(
        network=work.name,
        chip=chip.name,
        voltage_V=chip.energy.voltage_V,
        ledger=tuple(_ledger(work, chip, ticks * chip.tick_s, n_used)),
        layers=tuple(load.layer for load in work.loads),
        n_inputs=n_inputs,
        ticks_per_input=ticks,
        tick_s=chip.tick_s,
        latency_ticks=latency,
        n_cores_used=n_used,
        n_cores=chip.n_cores,
        input_spikes=work.input_spikes,
        output_spikes=work.output_spikes,
        merged=work.merged,
        notes=tuple(_notes(chip)),
    )


def _ledger(work: _Work, chip: SpikingChip, time_s: float, n_used: int) -> Iterator[SpikeEntry]:
    """One entry for each layer and what it pays for; events times energy per event at the chip's voltage."""
    price, scale = chip.energy, chip.energy.scale_rel
    crossing_J = chip.packet_bits * price.chip_to_chip_bit_J
    at_rest_J = price.core_static_W * time_s * scale
    for load in work.loads:
        name = load.layer.name
        for part, count, each_J in (
            ("synaptic events", load.layer.synaptic_events, price.synaptic_event_J),
            ("hops", load.layer.hops, price.hop_J),
            ("chip crossings", load.crossings, crossing_J),
            ("neuron updates", load.updates, price.neuron_update_J),
        ):
            if count and each_J:
                yield SpikeEntry(name, part, count, count * each_J * scale)
        n_cores = load.layer.n_cores
        yield SpikeEntry(name, AT_REST, n_cores, n_cores * at_rest_J, n_cores * chip.core.area_m2)
    n_host = work.input_spikes + work.output_spikes
    if n_host:
        yield SpikeEntry(HOST, "edge", n_host, n_host * chip.packet_bits * price.edge_bit_J * scale)
    n_idle = chip.n_cores - n_used
    if n_idle:
        yield SpikeEntry(UNUSED, AT_REST, n_idle, n_idle * at_rest_J, n_idle * chip.core.area_m2)
    around_m2 = chip.area_m2 - chip.n_cores * chip.core.area_m2
    if around_m2 > 0:
        yield SpikeEntry(HOST, "die around the cores", chip.n_chips, 0.0, around_m2)


def _notes(chip: SpikingChip) -> Iterator[str]:
    if not chip.energy.neuron_update_J:
        yield (
            f"neuron updates have no price of their own: chip {chip.name} draws core_static_W for its ticks, "
            "active or not"
        )
    yield "not in the energy: the host that makes input spikes and reads output spikes"
