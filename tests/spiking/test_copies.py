"""Copies of a network of connection probabilities fire as their sampled synapses say, on cores too."""

from __future__ import annotations

import numpy as np
import pytest

import mapping
from xbar.sim.spiking import simulate_spikes
from xbar.spiking.bernoulli import BernoulliLayer, BernoulliNetwork
from xbar.spiking.chip import load_spiking_chip
from xbar.spiking.copies import copies_of
from xbar.spiking.network import INPUT


def two_layers(seed: int, repeats: bool) -> BernoulliNetwork:
    """12 inputs, 2 cores of 6 axons x 5 neurons, a core of 10 axons x 4; lines on several axons where they repeat."""
    drawn = np.random.default_rng(seed)
    sizes, layers, n_source = [(2, 6, 5), (1, 10, 4)], [], 12
    for number, (core, axon, neuron) in enumerate(sizes):
        lines = np.stack([drawn.choice(n_source, axon, replace=repeats) for _ in range(core)]).astype(np.int32)
        lines[0, 0] = -1
        layers.append(
            BernoulliLayer(
                f"layer{number}",
                lines,
                drawn.integers(0, 4, (core, axon), dtype=np.uint8),
                drawn.random((core, axon, neuron), dtype=np.float32),
                drawn.integers(-3, 4, (core, neuron, 4), dtype=np.int16),
                drawn.integers(-4, 3, (core, neuron), dtype=np.int16),
            )
        )
        n_source = core * neuron
    return BernoulliNetwork(12, tuple(layers), np.arange(4, dtype=np.int32) % 2)


def by_hand(network: BernoulliNetwork, synapses: tuple[np.ndarray, ...], spikes: np.ndarray) -> np.ndarray:
    """Spikes bool [..., input] to output spikes, layer by layer in one go."""
    for layer, bits in zip(network.layers, synapses, strict=True):
        heard = np.where(layer.lines >= 0, spikes[..., layer.lines], False)  # [..., core, axon]
        potential = layer.leak + np.einsum("...ka,kan->...kn", heard, bits * layer.strengths().astype(np.int64))
        spikes = (potential >= 0).reshape(*spikes.shape[:-1], -1)
    return spikes


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_every_copy_gives_what_its_synapses_say(seed: int, repeats: bool) -> None:
    network = two_layers(seed, repeats)
    copies = copies_of(network, 3, seed=seed)
    program = mapping.compile_spikes(copies, load_spiking_chip("truenorth_science_2014"))
    spikes = np.random.default_rng(seed).random((9, 4, 12)) < 0.5
    outputs = simulate_spikes(program, spikes, len(spikes) + program.latency).outputs[program.latency :]
    expected = [by_hand(network, network.sample(seed, copy), spikes) for copy in range(3)]
    np.testing.assert_array_equal(outputs, np.concatenate(expected, axis=-1))
    assert program.classes is not None
    assert program.classes.tolist() == [0, 1, 0, 1] * 3


def test_copies_depend_on_the_seed_and_their_number_alone() -> None:
    network = two_layers(0, repeats=False)
    assert copies_of(network, 3, seed=5)[:2] == copies_of(network, 2, seed=5)
    first, second = copies_of(network, 2, seed=5)
    assert first != second
    assert copies_of(network, 1, seed=6)[0] != first
    assert [layer.sources for layer in first.layers] == [(INPUT,), ("layer0",)]
