"""A network trained as connection probabilities: what leaves training, and the synapses that a copy of it gets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xbar.errors import ModelError
from xbar.parts.neurons import N_TYPES
from xbar.rng import generator
from xbar.same import same_fields

WEIGHTS = (-255, 255)  # 9 bits signed, of weights and leaks


@dataclass(frozen=True, eq=False)
class BernoulliLayer:
    """Cores that hear one source: the network's inputs, or the neurons of the layer before (core by core).

    A neuron of core k fires where leak + sum over axons of spike * synapse * weight[neuron, axon_type] >= 0, whatever
    was before.

    lines: int32 [core, axon], which output of the source an axon hears; -1 for an axon that nothing reaches.
    axon_type: uint8 [core, axon], 0..3.
    probability: float32 [core, axon, neuron] that a synapse is there.
    weight: int16 [core, neuron, type]; leak: int16 [core, neuron].
    """

    name: str
    lines: np.ndarray
    axon_type: np.ndarray
    probability: np.ndarray
    weight: np.ndarray
    leak: np.ndarray

    @property
    def n_cores(self) -> int:
        return int(self.lines.shape[0])

    @property
    def n_neurons(self) -> int:
        """Of all cores."""
        return int(self.leak.size)

    def strengths(self) -> np.ndarray:
        """int16 [core, axon, neuron]: the weight that a synapse would have, weight[core, neuron, axon_type]."""
        core = np.arange(self.n_cores)[:, None]
        return np.ascontiguousarray(self.weight.transpose(0, 2, 1)[core, self.axon_type])

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)

    def __str__(self) -> str:
        cores, axons, neurons = self.probability.shape
        certain = float(((self.probability == 0) | (self.probability == 1)).mean())
        shape = f"{cores} core{'s' if cores > 1 else ''} of {axons} axons x {neurons} neurons"
        return f"{self.name}: {shape}, {certain:.1%} of the synapses certain"


@dataclass(frozen=True, eq=False)
class BernoulliNetwork:
    """Layers one after the other, one tick each.

    n_inputs: how many inputs the first layer chooses from; classes: int32 [output], the class that each neuron of the
    last layer votes for; the answer is the class with the most spikes over all copies and ticks.
    Raises ModelError with everything that no chip could hold.
    """

    n_inputs: int
    layers: tuple[BernoulliLayer, ...]
    classes: np.ndarray

    def __post_init__(self) -> None:
        found = list(_problems(self))
        if found:
            raise ModelError(found)

    def sample(self, seed: int, copy: int) -> tuple[np.ndarray, ...]:
        """The synapses of one copy, bool [core, axon, neuron] by layer: each there with its own probability.

        The same seed and copy give the same synapses, however many copies there are. An axon that nothing reaches
        has none.
        """
        found = []
        for number, layer in enumerate(self.layers):
            drawn = generator(seed, "connections", copy, number).random(layer.probability.shape, dtype=np.float32)
            found.append((drawn < layer.probability) & (layer.lines >= 0)[:, :, None])
        return tuple(found)

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)

    def __str__(self) -> str:
        n_classes = len(np.unique(self.classes))
        head = f"{self.n_inputs} inputs, {len(self.classes)} outputs that vote for {n_classes} classes"
        return "\n".join([head, *(f"  {layer}" for layer in self.layers)])


def _problems(network: BernoulliNetwork) -> Iterator[str]:
    if network.n_inputs < 1 or not network.layers:
        yield f"network: needs inputs and layers, got {network.n_inputs} inputs and {len(network.layers)} layers"
        return
    n_source = network.n_inputs
    for layer in network.layers:
        found = [*_shape_problems(layer)] or [*_value_problems(layer, n_source)]
        yield from found
        if found:
            return  # later layers hear this one
        n_source = layer.n_neurons
    classes = network.classes
    if classes.dtype != np.int32 or classes.shape != (n_source,) or classes.min() < 0:
        yield (
            f"classes: must be an int32 class from 0 for each of {n_source} outputs, got {classes.dtype} "
            f"{list(classes.shape)}"
        )


def _shape_problems(layer: BernoulliLayer) -> Iterator[str]:
    if layer.probability.ndim != 3 or not layer.probability.size:
        yield f"layer {layer.name}: probability: must be [core, axon, neuron], got {list(layer.probability.shape)}"
        return
    core, axon, neuron = layer.probability.shape
    for name, dtype, shape in (
        ("lines", np.int32, (core, axon)),
        ("axon_type", np.uint8, (core, axon)),
        ("probability", np.float32, (core, axon, neuron)),
        ("weight", np.int16, (core, neuron, N_TYPES)),
        ("leak", np.int16, (core, neuron)),
    ):
        got = getattr(layer, name)
        if got.dtype != dtype or got.shape != shape:
            wanted = f"{np.dtype(dtype)} {list(shape)}"
            yield f"layer {layer.name}: {name}: must be {wanted}, got {got.dtype} {list(got.shape)}"


def _value_problems(layer: BernoulliLayer, n_source: int) -> Iterator[str]:
    for name, low, high in (
        ("lines", -1, n_source - 1),
        ("axon_type", 0, N_TYPES - 1),
        ("probability", 0, 1),
        ("weight", *WEIGHTS),
        ("leak", *WEIGHTS),
    ):
        values = getattr(layer, name)
        if not (values.min() >= low and values.max() <= high):  # NaN is neither
            yield f"layer {layer.name}: {name}: must be from {low} to {high}, got {values.min()} to {values.max()}"
