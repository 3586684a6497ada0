"""NIR graphs (Pedersen et al., Nature Communications 15, 2024) as spiking networks. Needs the extra: xbar-sim[nir]."""

from __future__ import annotations

from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import numpy as np

from xbar.errors import DataError, ModelError
from xbar.frontends.nir_file import read_nir
from xbar.frontends.nir_maps import MAPS, Shape, Signal, added
from xbar.frontends.nir_neurons import Made, Reset, Rules, neurons_of
from xbar.spiking.chip import SpikingChip, load_spiking_chip
from xbar.spiking.network import INPUT, SpikingLayer, SpikingNetwork

SPIKING = ("IF", "LIF", "Threshold")
REFUSED = {
    "CubaLIF": "its synaptic current decays exponentially, and a spiking core has no such state; use IF or LIF",
    "CubaLI": "it gives potentials instead of spikes, and its synaptic current decays; use IF or LIF",
    "LI": "it gives potentials instead of spikes; use LIF",
    "I": "it gives potentials instead of spikes; use IF",
    "NIRGraph": "graphs within graphs are not taken; put its nodes into the graph itself",
}


def from_nir(
    graph: Any,
    chip: SpikingChip | None = None,
    *,
    dt_s: float = 1e-3,
    reset: Reset = "v_reset",
    max_error: float = 0.01,
    approximate: bool = False,
    name: str | None = None,
) -> SpikingNetwork:
    """A NIR graph, or the .nir file of one, as a spiking network of TrueNorth's neurons.

    NIR has continuous time; here a tick is `dt_s` seconds, and with drive I (weighted spikes and bias)

        IF:         v += dt_s r I;                             spike if v > v_threshold, then v = v_reset
        LIF:        v += dt_s / tau (v_leak - v + r I);        as IF
        Threshold:  spike if I > threshold

    with v = 0 at first. reset: "v_reset" as NIR says, or "subtract" for networks of tools that take the threshold away.
    Linear, Affine, Conv1d, Conv2d, SumPool2d, AvgPool2d, Scale, Flatten and Delay in front of IF, LIF or Threshold are
    put together into the synapses and leaks of one layer; edges that meet are added.

    Weights and biases become whole multiples of a step, for a layer or else for each neuron, with at most four weights
    in a neuron: exactly where they are such multiples. Else they are rounded, the error goes into the network's notes,
    and one above `max_error` (of a neuron's mean weight) is refused. LIF is exact for tau = dt_s, when nothing is left
    of the last tick; otherwise its leak becomes constant, if `approximate` allows it, with the error in the notes.
    chip: whose limits hold; TrueNorth's where not told.

    Spikes are [tick, batch, element] in C order of the shapes of Input and Output. Each layer of a mapped program is a
    tick or more later than the one before: outputs[t + program.latency] are NIR's of tick t. A neuron with a bias
    starts so much lower that it is where NIR has it when the first spikes reach it, one tick per layer.

    ModelError lists every node that cannot be had, with its name; DataError tells a file that is no NIR.
    """
    problems = _wrong_options(dt_s, reset, max_error)
    if problems:
        raise ModelError(problems)
    if isinstance(graph, (str, Path)):
        name = name or Path(graph).stem
        graph = read_nir(Path(graph))
    if not hasattr(graph, "nodes") or not hasattr(graph, "edges"):
        raise DataError(f"graph: must be a nir.NIRGraph or a file of one, got {type(graph).__name__}")
    rules = Rules(chip or load_spiking_chip("truenorth_science_2014"), dt_s, reset, max_error, approximate)
    return _Reading(graph, name or "nir", rules).network()


def _wrong_options(dt_s: float, reset: str, max_error: float) -> list[str]:
    found = []
    if not (np.isfinite(dt_s) and dt_s > 0):
        found.append(f"dt_s: must be above 0 seconds, got {dt_s}")
    if reset not in ("v_reset", "subtract"):
        found.append(f"reset: must be 'v_reset' or 'subtract', got {reset!r}")
    if not 0 <= max_error <= 1:
        found.append(f"max_error: must be from 0 to 1, got {max_error}")
    return found


class _Reading:
    """A graph on its way to layers; what is wrong is collected."""

    def __init__(self, graph: Any, name: str, rules: Rules) -> None:
        self.graph, self.name, self.rules = graph, name, rules
        self.nodes: Mapping[str, Any] = graph.nodes
        self.problems: list[str] = []
        self.notes: list[str] = []
        self.signals: dict[str, Signal] = {}
        self.layers: dict[str, SpikingLayer] = {}
        self.depth = {INPUT: 0}

    def network(self) -> SpikingNetwork:
        kinds = {name: type(node).__name__ for name, node in self.nodes.items()}
        self._judge_kinds(kinds)
        before = self._edges()
        order = self._order(before)
        for name in order:
            self._visit(name, kinds[name], [self.signals.get(source) for source in before[name]])
        if self.problems:
            raise ModelError(self.problems)
        output = self._only(kinds, "Output")
        last = self.signals[output].source()
        if last is None or last == INPUT:
            raise ModelError(
                self._told(output, "outputs must be the spikes of one IF, LIF or Threshold node, unchanged")
            )
        needed = self._needed(last)
        for name in self.layers.keys() - needed:
            self.notes.append(f"{name} leads to no output and is left out")
        n_inputs = int(np.prod(self.signals[self._only(kinds, "Input")].shape))
        layers = tuple(layer for name, layer in self.layers.items() if name in needed)
        return SpikingNetwork(self.name, n_inputs, layers, self._classes(layers[-1].n_neurons), tuple(self.notes))

    def _told(self, name: str, rule: str) -> str:
        kind = f" ({type(self.nodes[name]).__name__})" if name in self.nodes else ""
        return f"{self.name}: node {name!r}{kind}: {rule}"

    def _judge_kinds(self, kinds: Mapping[str, str]) -> None:
        for name, kind in kinds.items():
            if kind not in (*SPIKING, *MAPS, "Input", "Output"):
                why = REFUSED.get(kind, f"is unknown; nodes may be {', '.join([*SPIKING, *MAPS])}")
                self.problems.append(self._told(name, why))
            if name == INPUT and kind in SPIKING:
                self.problems.append(self._told(name, f"{INPUT!r} is the name of the inputs; rename the node"))
        for kind in ("Input", "Output"):
            found = [repr(name) for name, k in kinds.items() if k == kind]
            if len(found) != 1:
                got = ", ".join(found) or "none"
                self.problems.append(f"{self.name}: needs one {kind} node, got {got}")

    def _edges(self) -> dict[str, list[str]]:
        """The nodes that each node hears."""
        before: dict[str, list[str]] = {name: [] for name in self.nodes}
        for source, to in self.graph.edges:
            absent = [name for name in (source, to) if name not in self.nodes]
            if absent:
                self.problems.append(f"{self.name}: edge {source!r} -> {to!r}: there is no node {absent[0]!r}")
            elif source in before[to]:
                self.problems.append(f"{self.name}: edge {source!r} -> {to!r}: is there twice")
            else:
                before[to].append(source)
        return before

    def _order(self, before: Mapping[str, list[str]]) -> list[str]:
        try:
            return list(TopologicalSorter(before).static_order())
        except CycleError as e:
            cycle = " -> ".join(reversed(e.args[1]))
            self.problems.append(f"{self.name}: nodes must not form a cycle, got {cycle}")
            raise ModelError(self.problems) from None

    def _visit(self, name: str, kind: str, heard: list[Signal | None]) -> None:
        """One node; nothing follows where a node before it failed, since that has been told."""
        node = self.nodes[name]
        if kind == "Input":
            shape = node.input_type["input"]
            if shape is None or heard:
                self.problems.append(self._told(name, "must have a shape, and nothing before it"))
            else:
                self.signals[name] = Signal.of_spikes(INPUT, tuple(int(n) for n in np.ravel(shape)))
            return
        if not heard:
            self.problems.append(self._told(name, "hears no other node; connect it or remove it"))
        if not heard or any(signal is None for signal in heard) or kind not in (*SPIKING, *MAPS, "Output"):
            return
        try:
            signal = added(s for s in heard if s is not None)
            if kind in MAPS:
                self.signals[name] = MAPS[kind](node, signal, self.rules.dt_s)
            elif kind in SPIKING:
                self.signals[name] = self._layer(name, node, signal)
            else:
                self.signals[name] = _of_shape(signal, node.output_type["output"])
        except ValueError as e:
            self.problems.append(self._told(name, str(e)))

    def _layer(self, name: str, node: Any, signal: Signal) -> Signal:
        from scipy import sparse

        keys = sorted(signal.parts, key=lambda key: (list(self.depth).index(key[0]), key[1]))
        depth = 1 + max(self.depth[source] for source, _ in keys)
        weights = sparse.csc_array(sparse.vstack([signal.parts[key] for key in keys]))
        made: Made = neurons_of(node, signal.shape, weights, signal.bias, depth - 1, self.rules)
        self.notes += [f"layer {name}: {note}" for note in made.notes]
        sources, delays = zip(*keys, strict=True)
        self.layers[name] = SpikingLayer(name, sources, delays, made.synapses, made.neurons)
        self.depth[name] = depth
        return Signal.of_spikes(name, signal.shape)

    def _only(self, kinds: Mapping[str, str], kind: str) -> str:
        return next(name for name, k in kinds.items() if k == kind)

    def _needed(self, last: str) -> set[str]:
        """Layers that the last one hears, directly or not, and itself."""
        found, open_ = {last}, [last]
        while open_:
            new = set(self.layers[open_.pop()].sources) - found - {INPUT}
            found |= new
            open_ += new
        return found

    def _classes(self, n_outputs: int) -> np.ndarray | None:
        """Classes of the outputs, where `to_nir` wrote some."""
        metadata = getattr(self.graph, "metadata", None)
        classes = metadata.get("classes") if isinstance(metadata, dict) else None
        fits = isinstance(classes, np.ndarray) and classes.shape == (n_outputs,) and classes.dtype.kind in "iu"
        return classes.astype(np.int32) if fits and classes is not None else None


def _of_shape(signal: Signal, shape: Any) -> Signal:
    wanted: Shape | None = None if shape is None else tuple(int(n) for n in np.ravel(shape))
    if wanted is not None and wanted != signal.shape:
        raise ValueError(f"its shape is {wanted}, but its input has {signal.shape}")
    return signal
