"""A spiking program small enough to count by hand, on a board of two chips of 2 x 1 cores with 4 axons x 3 neurons."""

from __future__ import annotations

import numpy as np

from xbar.cost.spiking import estimate_spikes
from xbar.parts.neurons import Neurons
from xbar.spiking.bits import packed
from xbar.spiking.chip import SpikingChip, load_spiking_chip
from xbar.spiking.program import NOWHERE, OUTPUT, InputLinks, SpikingProgram, Targets
from xbar.spiking.result import SpikeActivity
from xbar.sweep.spike_outcome import Raster, SpikeOutcome


def tiny_chip(**settings: object) -> SpikingChip:
    """Two chips side by side, of 2 x 1 cores each; at the reference voltage."""
    shape = {"core.axons": 4, "core.neurons": 3, "mesh.cols": 2, "mesh.rows": 1, "board.cols": 2}
    return load_spiking_chip("truenorth_science_2014", {**shape, "energy.voltage_V": 0.8, **settings})


def three_cores(chip: SpikingChip | None = None) -> SpikingProgram:
    """Cores at x = 0, 1 and 3: `first` twice and `second`; every neuron fires for one spike of its axons.

    Core 0: neurons 0 and 1 to axons 0 and 1 of core 2 (3 hops, one border). Core 1: neuron 0 to its axon 2 (2 hops,
    one border). Core 2: neurons 0 and 1 are outputs 0 and 1; neuron 2 has no target and no synapse, in every core.
    Inputs 0 and 1 reach axons 0 and 1 of core 0, input 1 axon 0 of core 1 too.
    """
    core, axon = np.full((3, 3), NOWHERE), np.zeros((3, 3), np.int32)
    core[0, :2], axon[0, :2] = 2, (0, 1)
    core[1, 0], axon[1, 0] = 2, 2
    core[2, :2], axon[2, :2] = OUTPUT, (0, 1)
    bits = np.zeros((3, 4, 3), np.bool_)
    bits[0, 0, :2] = bits[0, 1, 1] = bits[1, 0, 0] = bits[2, 0, 0] = bits[2, 1, 1] = bits[2, 2, :2] = True
    line, to_core, to_axon = np.array([[0, 0, 0], [1, 0, 1], [1, 1, 0]], np.int32).T
    return SpikingProgram(
        name="three cores",
        chip=chip or tiny_chip(),
        place=np.array([[0, 0], [1, 0], [3, 0]], np.int32),
        layer=("first", "first", "second"),
        axon_type=np.zeros((3, 4), np.uint8),
        synapses=packed(bits),
        neurons=Neurons.of((3, 3), weight=1),
        targets=Targets(core.astype(np.int32), axon, np.ones((3, 3), np.uint8)),
        inputs=InputLinks(line.copy(), to_core.copy(), to_axon.copy(), np.zeros(3, np.int32)),
        n_inputs=2,
        n_outputs=2,
        classes=np.arange(2, dtype=np.int32),
        latency=1,
    )


def counted(n_ticks: int = 10, n_batch: int = 2) -> SpikeActivity:
    """Counts of `three_cores`, as if they had been simulated."""
    return SpikeActivity(
        n_ticks=n_ticks,
        n_batch=n_batch,
        spikes=np.array([[4, 6, 0], [2, 0, 0], [6, 8, 0]]),
        axon_events=np.array([10, 2, 12]),
        synaptic_events=np.array([14, 2, 14]),
        updates=np.array([5, 2, 6]),
        input_spikes=12,
        output_spikes=14,
        merged=0,
        in_flight=0,
    )


def silent(n_ticks: int = 10, n_batch: int = 2) -> SpikeActivity:
    """Nobody spikes."""
    none = np.zeros(3, np.int64)
    return SpikeActivity(n_ticks, n_batch, np.zeros((3, 3), np.int64), none, none, none, 0, 0, 0, 0)


def outcome(activity: SpikeActivity | None = None, program: SpikingProgram | None = None) -> SpikeOutcome:
    """Of two labelled inputs, the first of which is answered right."""
    activity, program = activity or counted(), program or three_cores()
    drawn = np.random.default_rng(0).random((activity.n_ticks, 7)) < 0.3
    return SpikeOutcome(
        program=program,
        source="by hand",
        seed=3,
        n_ticks=activity.n_ticks,
        read_from=program.latency,
        activity=activity,
        report=estimate_spikes(program, activity),
        pipelined=estimate_spikes(program, activity, 2),
        outputs=np.array([[6, 1], [2, 5]]) * (activity.output_spikes > 0),
        labels=np.array([0, 0]),
        accuracy=0.5,
        raster=Raster(drawn * (activity.input_spikes > 0), (("inputs", 2), ("first", 3), ("outputs", 2))),
        notes=("weights are rounded",),
    )
