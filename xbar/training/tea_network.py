"""Networks of TrueNorth-style cores to train: connection probabilities, and the chance that a neuron fires.

    lines = patches((1, 28, 28), patch=16, stride=12)                     # four cores of 256 axons
    types, weight = balanced(4, 256, 256, n_classes=10)
    model = TeaNetwork(784, [TeaLayer(lines, types, weight)], merged(1024, 10))

Esser et al., Backpropagation for Energy-Efficient Neuromorphic Computing, NIPS 2015 ("Tea learning").
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from xbar.errors import TrainingError
from xbar.parts.neurons import N_TYPES
from xbar.rng import generator

_BALANCED = ((1, 1, -1, -1), (1, -1, 1, -1), (1, -1, -1, 1), (-1, 1, 1, -1), (-1, 1, -1, 1), (-1, -1, 1, 1))


class TeaLayer(nn.Module):
    """Cores in one tick: from the chance that each input spikes to the chance that each neuron fires.

        mu = b + sum_i x_i c_i s_i,   sigma^2 = sum_i x_i c_i (1 - x_i c_i) s_i^2,   s_i = weight[type_i]
        P(fires) = 1/2 [1 + erf((mu + 1/2) / sqrt(2 (sigma^2 + 1/12)))]

    A neuron fires where its sum V >= 0. V is an integer, so that this is V > -1/2: hence the 1/2, which the publication
    lacks (a shift of the bias by half, but trained biases are rounded). 1/12 is the variance of rounding to integers;
    it also keeps the slope finite where every synapse and input is certain.

    lines: int [core, axon], the output of the source that an axon hears, -1 for none; axon_type: [core, axon], 0..3;
    weight: [core, neuron, type], -255..255. Input [batch, source], output [batch, core * neuron], all 0 .. 1.
    Parameters `connection` c [core, axon, neuron], which start anywhere in 0 .. 1, and `bias` b [core, neuron]: keep c
    in 0 .. 1 by the method `Tea`. Raises TrainingError.
    """

    lines: Tensor
    axon_type: Tensor
    weight: Tensor

    def __init__(self, lines: np.ndarray, axon_type: np.ndarray, weight: np.ndarray) -> None:
        super().__init__()
        problems = list(_problems(lines, axon_type, weight))
        if problems:
            raise TrainingError(problems)
        n_core, n_axon = lines.shape
        n_neuron = weight.shape[1]
        self.register_buffer("lines", torch.from_numpy(lines.astype(np.int64)))
        self.register_buffer("axon_type", torch.from_numpy(axon_type.astype(np.int64)))
        self.register_buffer("weight", torch.from_numpy(weight.astype(np.float32)))
        self.connection = nn.Parameter(torch.rand(n_core, n_axon, n_neuron))
        self.bias = nn.Parameter(torch.zeros(n_core, n_neuron))

    def forward(self, x: Tensor) -> Tensor:
        heard = functional.pad(x, (0, 1))[:, self.lines].transpose(0, 1)  # line -1 is the zero at the end
        strength = functional.one_hot(self.axon_type, N_TYPES).to(self.weight) @ self.weight.transpose(1, 2)
        synapse = self.connection * strength
        mean = torch.baddbmm(self.bias[:, None], heard, synapse)
        variance = torch.bmm(heard, synapse * strength) - torch.bmm(heard.square(), synapse.square())
        fires = torch.special.ndtr((mean + 0.5) * torch.rsqrt(variance.clamp_min(0) + 1 / 12))
        return fires.transpose(0, 1).flatten(1)

    def extra_repr(self) -> str:
        n_core, n_axon, n_neuron = self.connection.shape
        return f"{n_core} cores of {n_axon} axons x {n_neuron} neurons"


class TeaNetwork(nn.Module):
    """Layers of cores, one after the other, whose last neurons vote for classes.

    logit of a class = scale * mean over its neurons of P(fires)

    n_inputs: values of an image, each the chance 0 .. 1 that its input spikes; images of any shape are flattened.
    classes: the class of every neuron of the last layer (`merged`). scale: how sure of a class its neurons can make the
    softmax; a large one keeps on learning from images that are right already. Raises TrainingError.
    """

    classes: Tensor

    def __init__(self, n_inputs: int, layers: Sequence[TeaLayer], classes: np.ndarray, scale: float = 80.0) -> None:
        super().__init__()
        problems = list(_chain_problems(n_inputs, layers, classes))
        if not 0 < scale < math.inf:
            problems.append(f"TeaNetwork: scale: must be a positive number, got {scale}; 80 is usual")
        if problems:
            raise TrainingError(problems)
        self.n_inputs, self.scale, self.n_classes = n_inputs, scale, int(classes.max()) + 1
        self.layers = nn.ModuleList(layers)
        self.register_buffer("classes", torch.from_numpy(classes.astype(np.int64)))

    def forward(self, images: Tensor) -> Tensor:
        x = images.flatten(1)
        for layer in self.layers:
            x = layer(x)
        votes = functional.one_hot(self.classes, self.n_classes).to(x)
        return self.scale * (x @ votes / votes.sum(0))


def patches(image: tuple[int, int, int], patch: int, stride: int) -> np.ndarray:
    """Lines int32 [core, axon] of square patches of an image [channel, row, col], a core each, row by row.

    Raises TrainingError where patches leave pixels out.
    """
    channels, rows, cols = image
    bad = [n for n in (rows, cols) if n < patch or (n - patch) % stride]
    if min(channels, patch, stride) < 1 or stride > patch or bad:
        raise TrainingError(
            f"patches: of {patch} pixels every {stride} must cover an image of {rows} x {cols} to its edges; choose a "
            "stride up to the patch that divides what the first patch leaves"
        )
    pixel = np.arange(channels * rows * cols, dtype=np.int32).reshape(image)
    corners = [(r, c) for r in range(0, rows - patch + 1, stride) for c in range(0, cols - patch + 1, stride)]
    return np.stack([pixel[:, r : r + patch, c : c + patch].reshape(-1) for r, c in corners])


def alternating(n_core: int, n_axon: int, n_neuron: int) -> tuple[np.ndarray, np.ndarray]:
    """Axon types and weights as published: types 0, 1, 2, 3 in turn, +1, -1, +1, -1 for every neuron.

    What an input does to a neuron, excite or inhibit, is then the same for all neurons of a core (Esser 2015).
    """
    types = np.tile(np.arange(n_axon) % N_TYPES, (n_core, 1)).astype(np.uint8)
    return types, np.tile(np.array([1, -1, 1, -1], np.int16), (n_core, n_neuron, 1))


def balanced(n_core: int, n_axon: int, n_neuron: int, n_classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Axon types at random, as many of each, and for every neuron one of the six ways to make two of them excite.

    Each class (of `merged`) gets all six. Weights are a neuron's own, so that the chip has this for nothing, and an
    input may excite one neuron and inhibit another.
    """
    types = [generator(seed, "axon types", core).permutation(n_axon) % N_TYPES for core in range(n_core)]
    neuron = np.arange(n_core * n_neuron).reshape(n_core, n_neuron)
    return np.stack(types).astype(np.uint8), np.array(_BALANCED, np.int16)[neuron // n_classes % len(_BALANCED)]


def merged(n_outputs: int, n_classes: int) -> np.ndarray:
    """Classes int32 [output]: neuron i votes for class i mod n_classes."""
    return (np.arange(n_outputs) % n_classes).astype(np.int32)


def tea_mnist_4() -> TeaNetwork:
    """28x28 images in four patches of 16x16, a core each; 1,024 neurons vote (Wen 2016, bench 1)."""
    types, weight = balanced(4, 256, 256, 10)
    return TeaNetwork(784, [TeaLayer(patches((1, 28, 28), 16, 12), types, weight)], merged(1024, 10))


def tea_mnist_4_alternating() -> TeaNetwork:
    """`tea_mnist_4` with the published axon types."""
    types, weight = alternating(4, 256, 256)
    return TeaNetwork(784, [TeaLayer(patches((1, 28, 28), 16, 12), types, weight)], merged(1024, 10))


def tea_mnist_5() -> TeaNetwork:
    """28x28 images in four cores of 64 neurons, which a fifth one hears; its 250 neurons vote (Esser 2015)."""
    first = TeaLayer(patches((1, 28, 28), 16, 12), *balanced(4, 256, 64, 10))
    second = TeaLayer(np.arange(256, dtype=np.int32)[None], *balanced(1, 256, 250, 10, seed=1))
    return TeaNetwork(784, [first, second], merged(250, 10))


def _problems(lines: np.ndarray, axon_type: np.ndarray, weight: np.ndarray) -> Iterator[str]:
    if lines.ndim != 2 or not lines.size or lines.min() < -1:
        yield f"TeaLayer: lines: must be [core, axon], indices from 0 or -1 for none, got shape {list(lines.shape)}"
        return
    if axon_type.shape != lines.shape or axon_type.min() < 0 or axon_type.max() >= N_TYPES:
        yield f"TeaLayer: axon_type: must be 0 to 3 for {list(lines.shape)}, got shape {list(axon_type.shape)}"
    wanted = (lines.shape[0], weight.shape[1] if weight.ndim == 3 else 0, N_TYPES)
    if weight.shape != wanted or not weight.size or np.abs(weight).max() > 255:
        yield (
            f"TeaLayer: weight: must be -255 to 255 for [{lines.shape[0]} cores, neuron, {N_TYPES} types], got shape "
            f"{list(weight.shape)}"
        )


def _chain_problems(n_inputs: int, layers: Sequence[TeaLayer], classes: np.ndarray) -> Iterator[str]:
    if not layers:
        yield "TeaNetwork: layers: at least one is needed, got none"
        return
    n_source = n_inputs
    for number, layer in enumerate(layers):
        highest = int(layer.lines.max())
        if highest >= n_source:
            yield f"TeaNetwork: layer {number}: hears line {highest}, but its source has {n_source} outputs"
        n_source = layer.bias.numel()
    if classes.shape != (n_source,) or set(classes.tolist()) != set(range(int(classes.max(initial=0)) + 1)):
        yield (
            f"TeaNetwork: classes: must be the class of each of {n_source} neurons, every class from 0 up at least "
            f"once, got shape {list(classes.shape)}; use merged({n_source}, n_classes)"
        )
