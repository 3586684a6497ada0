"""What comes out of spiking cores: spikes, probes, counts (`SpikeResult`), and where to go on from (`SpikeState`)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np

from xbar.same import same_fields

N_SLOTS = 16  # ticks that a core's scheduler looks ahead, this one included


@dataclass(frozen=True, eq=False)
class SpikeActivity:
    """Exact counts over all ticks and all inputs of a batch.

    spikes: int64 [core, neuron]. axon_events: int64 [core], active axons over all ticks; synaptic_events: int64 [core],
    their synapses. updates: int64 [core], ticks in which the engine had to compute the core's neurons (the chip does it
    in every tick). input_spikes: what the host sent to axons; output_spikes: spikes of neurons with an output.
    merged: spikes that found their axon taken in that tick, so that two became one (of neurons that share an output,
    see `SpikeResult.merged_outputs`).
    in_flight: spikes on their way to axons at the end, less those at the start.

    No spike is lost: input_spikes + spikes of neurons with a target core = sum(axon_events) + merged + in_flight.
    """

    n_ticks: int
    n_batch: int
    spikes: np.ndarray
    axon_events: np.ndarray
    synaptic_events: np.ndarray
    updates: np.ndarray
    input_spikes: int
    output_spikes: int
    merged: int
    in_flight: int

    def __add__(self, other: SpikeActivity) -> SpikeActivity:
        """Of two runs of as many ticks on different inputs."""
        if self.n_ticks != other.n_ticks:
            raise ValueError(f"activities of as many ticks can be added, got {self.n_ticks} and {other.n_ticks}")
        sums = {f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self) if f.name != "n_ticks"}
        return SpikeActivity(n_ticks=self.n_ticks, **sums)

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)


@dataclass(frozen=True, eq=False)
class SpikeState:
    """Everything that the next tick depends on: a run that goes on from it gives what one run would have given.

    tick: the next one. seed, first: of the random numbers; input b of the batch draws those of number `first` + b.
    potential: int32 [batch, core, neuron].
    pending: uint64 [batch, slot, core, word], the axons that get a spike in tick t, in slot t mod N_SLOTS.
    past: uint64 [tick, batch, word], the last input spikes, as far back as the longest delay of an input link.
    settled: bool [batch, core], cores whose neurons cannot change until a spike comes.
    """

    tick: int
    seed: int
    first: int
    potential: np.ndarray
    pending: np.ndarray
    past: np.ndarray
    settled: np.ndarray

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)


@dataclass(frozen=True, eq=False)
class SpikeResult:
    """outputs: bool [tick, batch, output]; spikes: bool and potentials: int32 [tick, batch, neuron] of the probed
    neurons in the order of their probe (a potential is that after the tick).
    """

    outputs: np.ndarray
    activity: SpikeActivity
    state: SpikeState
    spikes: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0), np.bool_))
    potentials: np.ndarray = field(default_factory=lambda: np.zeros((0, 0, 0), np.int32))

    @property
    def merged_outputs(self) -> int:
        """Spikes of neurons that share an output with another that fired in the same tick, so that two became one."""
        return self.activity.output_spikes - int(self.outputs.sum())

    def votes(self, classes: np.ndarray) -> np.ndarray:
        """Spikes by class, int64 [batch, class], from the class of each output, int32 [output]."""
        counts = self.outputs.sum(0)
        votes = np.zeros((counts.shape[0], int(classes.max()) + 1), np.int64)
        np.add.at(votes.T, classes, counts.T)
        return votes

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)
