"""An ordinary ReLU network as a spiking one whose firing rates are its activations: the baseline without training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor
from torch.fx import Node

from xbar.errors import ModelError
from xbar.frontends.rate_graph import AffineMap, Cut, RateGraph
from xbar.frontends.weight_levels import few_levels
from xbar.network import Network
from xbar.parts.neurons import N_TYPES, SUBTRACT, Neurons
from xbar.parts.spiking import Neuron
from xbar.spiking.chip import SpikingChip
from xbar.spiking.network import INPUT, SpikingLayer, SpikingNetwork

Floats = NDArray[np.float64]
_ROOM = 16  # thresholds that a potential can hold: what waits to be fired, or to be made up for


def rate_coded(
    network: Network, calibration: Tensor, chip: SpikingChip, *, percentile: float = 99.9, levels: int = N_TYPES
) -> SpikingNetwork:
    """Neurons whose firing rate in spikes per tick is the activation that they stand for, divided by lambda.

    lambda_l is the percentile of layer l's activations on calibration inputs (the largest where that is 0); with it

        w' = w lambda_(l-1) / lambda_l per input spike,  b' = b / lambda_l per tick,  threshold 1, reset by subtraction

    (Diehl et al., IJCNN 2015; Rueckauer et al., Front. Neurosci. 2017). An input's rate is its value, 0 .. 1, so give
    Bernoulli spikes or evenly spread ones. The error of a rate falls as 1 / ticks. The potential starts at half the
    threshold, which rounds counts instead of rounding them down, and less the leak of as many ticks as there are layers
    before, which come before the first spikes.

    A neuron holds four weights, so its w' become at most `levels` values and 0, chosen so that its sums on calibration
    inputs stay what they are (`weight_levels.few_levels`); what they miss on average goes into the leak (as Nagel et
    al., ICCV 2019, do with biases). Levels, leak and threshold then become integers in the chip's range. Fewer levels
    are less exact, but take fewer axons, and fewer splitters before them.

    Takes: linear, conv1d, conv2d, conv3d layers with ReLU (ReLU6, clamp from 0) between them, sums of branches,
    reshapes, dropout, average pooling, shifts and scales by constants. Products without a ReLU between them become one.
    A pooling is folded into the next product where the fan-in allows it, else it has neurons of its own. A softmax at
    the end is left out. Outputs have no ReLU: their spikes are votes, so outputs below 0 are silent; `classes` is one
    per output.

    What fits: a neuron has at most as many lines as a core has axons (256), and a line takes one axon per type that
    the neurons of a core use. 3x3 convolutions of up to 28 channels, strides rather than poolings, and linear layers of
    up to 256 inputs do; the fewer channels, the more neurons share a core. `mapping.compile_spikes` lists misfits.

    calibration: float [batch, ...] of values 0 .. 1, some hundred. percentile: of all activations of a layer, above 0
        to 100. levels: 1 to 4.
    Raises ModelError with every operation that has no rate-coded form, DataError for calibration data of another shape.
    """
    found = [] if 0 < percentile <= 100 else [f"percentile: must be above 0, at most 100, got {percentile}; try 99.9"]
    found += [] if levels in range(1, N_TYPES + 1) else [f"levels: must be from 1 to {N_TYPES}, got {levels}; try 4"]
    if found:
        raise ModelError(found)
    return _Conversion(RateGraph(network, calibration), chip, percentile, levels).network()


class _Conversion:
    """Layers in the making: which cut has become which layer, at which depth, and with which lambda."""

    def __init__(self, graph: RateGraph, chip: SpikingChip, percentile: float, levels: int) -> None:
        self._graph, self._chip, self._percentile, self._levels = graph, chip, percentile, levels
        self._layers: list[SpikingLayer] = []
        self._notes: list[str] = []
        self._name = {graph.input.node: INPUT}
        self._depth = {graph.input.node: 0}
        self._lambda = {graph.input.node: 1.0}

    def network(self) -> SpikingNetwork:
        graph = self._graph
        for node in graph.relus:
            self._add(node)
        if not self._is_last_layer(graph.output):
            self._add(graph.output)
        source = graph.network
        n_outputs = self._layers[-1].n_neurons
        if graph.softmax:
            self._notes.append("the softmax at the end is left out; it keeps the order of the outputs")
        silent = float(np.mean(~(graph.cuts[self._last].values > 0).any(1)))
        if silent:
            self._notes.append(f"all outputs are silent for {silent:.1%} of the calibration inputs: none is above 0")
        classes = np.arange(n_outputs, dtype=np.int32) if graph.is_classifier else None
        n_inputs = int(np.prod(source.input_shape))
        return SpikingNetwork(source.name, n_inputs, tuple(self._layers), classes, tuple(self._notes))

    def _is_last_layer(self, node: Node) -> bool:
        """Whether a node hands on the last layer's values as they are."""
        if not self._layers:
            return False
        if node is self._last:
            return True
        found = self._graph.map_to(node)
        same = len(found.sources) == 1 and found.sources[0].node is self._last and not found.bias.any()
        size = found.bias.size
        return (
            same and found.matrices[0].shape == (size, size) and not (found.matrices[0] != sparse.eye_array(size)).nnz
        )

    def _add(self, node: Node) -> None:
        graph, axons = self._graph, self._chip.core.axons
        found = graph.map_to(node)
        while found.fan_in > axons and (pools := graph.pools_before(node)):
            self._add(pools[0])
            found = graph.map_to(node)
        name = self._unique(graph.layer_name(node))
        cut = graph.cut(node)
        self._name[node], self._lambda[node] = name, self._scale(cut)
        self._depth[node] = 1 + max((self._depth[s.node] for s in found.sources), default=0)
        self._last = node
        self._layers.append(self._layer(name, cut, found))

    def _unique(self, name: str) -> str:
        taken = set(self._name.values())
        while name in taken:
            name += "'"
        return name

    def _scale(self, cut: Cut) -> float:
        """lambda of a layer."""
        positive = np.maximum(cut.values, 0)
        found = float(np.percentile(positive, self._percentile)) or float(positive.max(initial=0))
        return found or 1.0

    def _layer(self, name: str, cut: Cut, found: AffineMap) -> SpikingLayer:
        own = self._lambda[cut.node]
        scales = [self._lambda[s.node] for s in found.sources]
        rates = [np.clip(s.values / scale, 0, 1) for s, scale in zip(found.sources, scales, strict=True)]
        parts = [m * (scale / own) for m, scale in zip(found.matrices, scales, strict=True)]
        if parts:
            weights, seen = sparse.csc_array(sparse.vstack(parts)), np.concatenate(rates, 1)
        else:  # constants alone: neurons that listen to the input in vain
            lines = self._graph.input.values.shape[1]
            weights, seen = sparse.csc_array((lines, found.bias.size)), np.zeros((1, lines))
        kind, n_levels, wait = self._chip.neuron, self._levels, self._depth[cut.node] - 1
        synapses, neurons, error = _quantized(weights, found.bias / own, seen, n_levels, kind, wait)
        self._notes.append(f"layer {name}: {n_levels} weights per neuron, off by {error:.1%} of the mean weight")
        sources = found.sources or (self._graph.input,)
        return SpikingLayer(
            name,
            tuple(self._name[s.node] for s in sources),
            (0,) * len(sources),
            synapses,
            neurons,
        )


def _quantized(
    weights: sparse.csc_array, bias: Floats, rates: Floats, n_levels: int, neuron: Neuron, wait: int
) -> tuple[sparse.csc_array, Neurons, float]:
    """Synapses by axon type, neurons, and the mean error of the weights by their mean.

    weights [line, neuron] and bias [neuron] in thresholds; rates [sample, line]; wait: ticks before the
    first spikes can arrive.
    """
    limit = {rule.name: rule.high for rule in neuron.rules()}
    low, high = neuron.potential_range
    weights.sort_indices()
    levels, mean = few_levels(weights, rates, n_levels), rates.mean(0)
    made_up = np.abs(bias + (weights - levels).T @ mean)
    largest = np.maximum(abs(levels).max(0).toarray().ravel() / limit["weight"], made_up / limit["leak"])
    most = min(limit["threshold"], high // _ROOM)
    threshold = np.clip(np.floor(1 / np.maximum(largest, 1 / most)), 1, most).astype(np.int64)
    whole = levels * threshold
    whole.data = np.clip(np.rint(whole.data), -limit["weight"], limit["weight"])
    whole = sparse.csc_array(whole)
    whole.eliminate_zeros()
    held = whole * (1 / threshold)
    missed = weights - held
    drive = (bias + missed.T @ mean) * threshold
    leak = np.clip(np.rint(drive), -limit["leak"], limit["leak"]).astype(np.int64)
    synapses, table = _typed(whole)
    neurons = Neurons.of(
        len(bias),
        weight=table,
        leak=leak,
        threshold=threshold,
        reset_mode=SUBTRACT,
        negative_threshold=min(limit["negative_threshold"], -low),
        initial=np.clip(threshold // 2 - wait * leak, low, high),
    )
    size = abs(weights).sum()
    return synapses, neurons, float(abs(missed).sum() / size) if size else 0.0


def _typed(whole: sparse.csc_array) -> tuple[sparse.csc_array, NDArray[np.int16]]:
    """Integer levels [line, neuron] as axon types + 1, and each neuron's weight by type.

    Types follow the size of the weights, the most negative one being 0 and the most positive 3, so that neurons agree
    about the type of a line more often and share its axon.
    """
    n_neurons = whole.shape[1]
    neuron = np.repeat(np.arange(n_neurons), np.diff(whole.indptr))
    pairs, inverse = np.unique(np.stack([neuron, whole.data.astype(np.int64)]), axis=1, return_inverse=True)
    first = np.searchsorted(pairs[0], np.arange(n_neurons + 1))
    of = pairs[0]
    rank = np.arange(pairs.shape[1]) - first[of]
    types = np.where(pairs[1] < 0, rank, rank + N_TYPES - np.diff(first)[of])
    table = np.zeros((n_neurons, N_TYPES), np.int16)
    table[of, types] = pairs[1]
    data = (types[np.ravel(inverse)] + 1).astype(np.uint8)
    return sparse.csc_array((data, whole.indices, whole.indptr), shape=whole.shape), table
