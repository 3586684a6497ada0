"""Networks of connection probabilities: the synapses that a copy gets, and what no chip could hold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from xbar.errors import ModelError
from xbar.spiking.bernoulli import BernoulliLayer, BernoulliNetwork


def layer(n_core: int = 2, n_axon: int = 5, n_neuron: int = 3) -> BernoulliLayer:
    drawn = np.random.default_rng(0)
    return BernoulliLayer(
        "cores",
        np.arange(n_core * n_axon, dtype=np.int32).reshape(n_core, n_axon),
        drawn.integers(0, 4, (n_core, n_axon), dtype=np.uint8),
        drawn.random((n_core, n_axon, n_neuron), dtype=np.float32),
        drawn.integers(-255, 256, (n_core, n_neuron, 4), dtype=np.int16),
        drawn.integers(-255, 256, (n_core, n_neuron), dtype=np.int16),
    )


def network(first: BernoulliLayer) -> BernoulliNetwork:
    return BernoulliNetwork(10, (first,), np.zeros(first.n_neurons, np.int32))


def test_synapses_come_as_often_as_they_should_and_copies_differ() -> None:
    first = replace(layer(), lines=np.array([[0, 1, 2, 3, -1], [4, 5, 6, 7, 8]], np.int32))
    first.probability[1, 0] = [0, 1, 0.5]
    net = network(first)
    copies = np.stack([net.sample(7, copy)[0] for copy in range(400)])
    expected = np.where(first.lines[:, :, None] >= 0, first.probability, 0)
    assert np.abs(copies.mean(0) - expected).max() < 4 * 0.5 / 20  # four standard deviations
    assert not copies[:, 1, 0, 0].any()
    assert copies[:, 1, 0, 1].all()
    assert np.array_equal(net.sample(7, 3)[0], copies[3])
    assert not np.array_equal(net.sample(8, 3)[0], copies[3])


def test_strengths_are_the_weights_of_the_axons_types() -> None:
    first = layer()
    for core, axon, neuron in np.ndindex(2, 5, 3):
        expected = first.weight[core, neuron, first.axon_type[core, axon]]
        assert first.strengths()[core, axon, neuron] == expected


def test_it_is_compared_and_printed_by_content() -> None:
    assert network(layer()) == network(layer())
    assert network(layer()) != network(replace(layer(), leak=layer().leak * 0))
    text = str(network(layer()))
    assert "10 inputs, 6 outputs that vote for 1 classes" in text
    assert "cores: 2 cores of 5 axons x 3 neurons, 0.0% of the synapses certain" in text


def test_what_no_chip_could_hold_is_told() -> None:
    good = layer()
    for change, told in (
        ({"lines": good.lines + 1}, "lines: must be from -1 to 9, got 1 to 10"),
        ({"axon_type": good.axon_type + np.uint8(4)}, "axon_type: must be from 0 to 3"),
        ({"probability": good.probability * np.float32("nan")}, "probability: must be from 0 to 1, got nan"),
        ({"weight": np.full_like(good.weight, 300)}, "weight: must be from -255 to 255, got 300"),
        ({"leak": np.full_like(good.leak, -256)}, "leak: must be from -255 to 255, got -256"),
        ({"leak": good.leak.astype(np.float32)}, r"leak: must be int16 \[2, 3\], got float32"),
        ({"weight": good.weight[:1]}, r"weight: must be int16 \[2, 3, 4\], got int16 \[1, 3, 4\]"),
        ({"probability": good.probability[0]}, r"probability: must be \[core, axon, neuron\], got \[5, 3\]"),
    ):
        with pytest.raises(ModelError, match=f"layer cores: {told}"):
            network(replace(good, **change))  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="int32 class from 0 for each of 6 outputs, got int32"):
        BernoulliNetwork(10, (good,), np.zeros(5, np.int32))
    with pytest.raises(ModelError, match="needs inputs and layers, got 10 inputs and 0 layers"):
        BernoulliNetwork(10, (), np.zeros(5, np.int32))
    with pytest.raises(ModelError, match="lines: must be from -1 to 5, got 0 to 9"):
        BernoulliNetwork(10, (good, good), np.zeros(6, np.int32))
