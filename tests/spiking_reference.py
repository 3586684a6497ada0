"""Spiking cores in plain Python, one neuron after the other, as the formulas of Cassidy et al. (IJCNN 2013) read.

Shares no code with the engine but the numbering of random words, which is what "same seed, same bits" promises.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from xbar.rng import key
from xbar.spiking.bits import unpacked
from xbar.spiking.program import OUTPUT, SpikingProgram

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def _mixed(z: int) -> int:
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def _word(of: int, counter: int) -> int:
    return _mixed((_mixed((of + _GOLDEN) & _MASK) + counter * _GOLDEN) & _MASK)


def _sign(x: int) -> int:
    return (x > 0) - (x < 0)


@dataclass
class Trace:
    """What happened: outputs and spikes as sets, potentials by tick, and counts."""

    outputs: set[tuple[int, int, int]] = field(default_factory=set)  # (tick, input, output)
    spikes: set[tuple[int, int, int, int]] = field(default_factory=set)  # (tick, input, core, neuron)
    potentials: dict[tuple[int, int], np.ndarray] = field(default_factory=dict)  # (tick, input) -> [core, neuron]
    axon_events: int = 0
    synaptic_events: int = 0
    input_spikes: int = 0
    merged: int = 0


def run(program: SpikingProgram, inputs: np.ndarray, n_ticks: int, seed: int) -> Trace:
    """`inputs` bool [tick, batch, input]."""
    trace = Trace()
    for b in range(inputs.shape[1]):
        _run_one(program, inputs[:, b], n_ticks, key(seed, "spikes", b), b, trace)
    return trace


def _run_one(p: SpikingProgram, inputs: np.ndarray, n_ticks: int, random: int, b: int, trace: Trace) -> None:
    n, t, links = p.neurons, p.targets, p.inputs
    low, high = p.chip.neuron.potential_range
    inclusive = p.chip.neuron.negative_test == "at_or_below"  # type: ignore[attr-defined]
    connected = unpacked(p.synapses, p.n_neurons)
    potential = n.initial.astype(int).tolist()
    arriving: dict[int, set[tuple[int, int]]] = defaultdict(set)

    def send(tick: int, core: int, axon: int) -> None:
        trace.merged += (core, axon) in arriving[tick]
        arriving[tick].add((core, axon))

    for tick in range(n_ticks):
        tick_key = _word(random, tick)
        for line, core, axon, delay in zip(links.line, links.core, links.axon, links.delay, strict=True):
            if 0 <= tick - delay < len(inputs) and inputs[tick - delay, line]:
                trace.input_spikes += 1
                send(tick, int(core), int(axon))
        active = arriving.pop(tick, set())
        trace.axon_events += len(active)
        trace.synaptic_events += sum(int(connected[c, a].sum()) for c, a in active)
        fired = []
        for c in range(p.n_cores):
            for j in range(p.n_neurons):
                v = potential[c][j]
                for axon in (a for core, a in active if core == c and connected[c, a, j]):
                    kind = p.axon_type[c, axon]
                    s = int(n.weight[c, j, kind])
                    if n.stochastic_weight[c, j, kind]:
                        counter = (1 << 40) + (c * p.n_neurons + j) * p.n_axons + axon
                        v += _sign(s) if abs(s) >= _word(tick_key, counter) & 255 else 0
                    else:
                        v += s
                word = _word(tick_key, c * p.n_neurons + j)
                v, spike = _neuron(n, c, j, min(max(v, low), high), (low, high), word & 255, word >> 8 & 255, inclusive)
                potential[c][j] = v
                if spike:
                    fired.append((c, j))
        trace.potentials[tick, b] = np.array(potential)
        for c, j in fired:
            trace.spikes.add((tick, b, c, j))
            if t.core[c, j] == OUTPUT:
                trace.outputs.add((tick, b, int(t.axon[c, j])))
            elif t.core[c, j] >= 0:
                send(tick + int(t.delay[c, j]), int(t.core[c, j]), int(t.axon[c, j]))


def _neuron(
    n: object, c: int, j: int, v: int, limits: tuple[int, int], leak_rho: int, noise_rho: int, inclusive: bool
) -> tuple[int, bool]:
    def of(name: str) -> int:
        return int(getattr(n, name)[c, j])

    low, high = limits
    leak, mode, beta = of("leak"), of("reset_mode"), of("negative_threshold")
    omega = _sign(v) if of("leak_reversal") else 1
    drawn = (_sign(leak) if abs(leak) >= leak_rho else 0) if of("stochastic_leak") else leak
    before, v = v, v + omega * drawn
    if of("leak_reversal") and before * v < 0:
        v = 0
    v = min(max(v, low), high)
    eta = noise_rho & ((1 << of("noise_bits")) - 1)
    alpha = of("threshold") + eta
    floor = beta if of("negative_saturates") else beta + eta
    spike = v >= alpha
    if spike:
        v = (of("reset"), v - alpha, v)[mode]
    elif v < -floor or (inclusive and v == -floor):
        v = -beta if of("negative_saturates") else (-of("reset"), v + floor, v)[mode]
    return min(max(v, low), high), spike
