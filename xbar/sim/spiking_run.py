"""A run of the spiking engine while it is under way: its arrays, which the ticks change, and its counts."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from xbar.kernels.mixing import counted_plain
from xbar.rng import key
from xbar.spiking.bits import n_words
from xbar.spiking.program import SpikingProgram
from xbar.spiking.result import SpikeState

FIRST_SYNAPSE = 1 << 40  # numbers of random words below are those of neurons


def _no_neurons() -> np.ndarray:
    return np.zeros((0, 2), np.int64)


@dataclass(frozen=True, eq=False)
class Probe:
    """Neurons to look at in every tick, int [n, 2] of (core, neuron): their spikes, their potentials."""

    spikes: np.ndarray = field(default_factory=_no_neurons)
    potentials: np.ndarray = field(default_factory=_no_neurons)


class Run:
    """Ticks `tick` .. `tick` + `n_ticks` of a program. Shapes as in SpikeState, SpikeActivity and SpikeResult.

    rows: uint64 [row, batch, word], the input spikes of the last n_past ticks and of all ticks of the run.
    outputs: uint64 [tick, batch, word]. probed, seen: what the probe finds, [tick, batch, neuron].
    """

    def __init__(self, program: SpikingProgram, state: SpikeState, rows: np.ndarray, probe: Probe) -> None:
        self.tick, self.n_past, self.rows, self.probe = state.tick, len(state.past), rows, probe
        self.n_ticks, self.n_batch = len(rows) - self.n_past, state.potential.shape[0]
        self.potential, self.pending = state.potential.copy(), state.pending.copy()
        self.settled = state.settled.copy()
        numbers = range(state.first, state.first + self.n_batch)
        self.keys = np.array([key(state.seed, "spikes", b) for b in numbers], np.uint64)
        cores = (program.n_cores,)
        self.spikes = np.zeros((*cores, program.n_neurons), np.int64)
        self.axon_events, self.synaptic_events, self.updates = (np.zeros(cores, np.int64) for _ in range(3))
        self.counts = {"input_spikes": 0, "output_spikes": 0, "merged": 0}
        self.outputs = np.zeros((self.n_ticks, self.n_batch, n_words(program.n_outputs)), np.uint64)
        self.probed = np.zeros((self.n_ticks, self.n_batch, len(probe.spikes)), np.bool_)
        self.seen = np.zeros((self.n_ticks, self.n_batch, len(probe.potentials)), np.int32)

    def tick_keys(self, tick: int) -> np.ndarray:
        """The key of each input's random numbers in a tick of the run, uint64 [batch]."""
        return counted_plain(self.keys, np.array([self.tick + tick], np.uint64))


def synapse_counter(program: SpikingProgram, core: np.ndarray, neuron: np.ndarray, axon: np.ndarray) -> np.ndarray:
    """Number of a synapse's random word within a tick, uint64."""
    number = (core * program.n_neurons + neuron) * program.n_axons + axon
    return number.astype(np.uint64) + np.uint64(FIRST_SYNAPSE)
