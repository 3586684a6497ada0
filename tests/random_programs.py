"""Random programs for spiking cores: every parameter of the neuron, targets that collide, delays, several links."""

from __future__ import annotations

import numpy as np

from xbar.parts.neurons import Neurons
from xbar.spiking.bits import packed
from xbar.spiking.chip import load_spiking_chip
from xbar.spiking.program import NOWHERE, OUTPUT, InputLinks, SpikingProgram, Targets


def random_program(
    seed: int,
    cores: int = 3,
    axons: int = 20,
    neurons: int = 12,
    *,
    chance: bool = True,
    reversal: bool = True,
    saturating: bool = False,
    negative_test: str = "below",
    potential_bits: int = 12,
    max_weight: int = 40,
) -> SpikingProgram:
    """chance: random synapses, leaks and thresholds; saturating: all neurons saturate on the negative side."""
    rng = np.random.default_rng(seed)
    shape = (cores, neurons)
    settings = {
        "core.axons": axons, "core.neurons": neurons, "mesh.cols": 4, "mesh.rows": 4,
        "neuron.weight_bits": 9 if max_weight < 256 else 16, "neuron.reset_values": "any",
        "neuron.negative_test": negative_test, "neuron.potential_bits": potential_bits,
    }  # fmt: skip
    made = Neurons.of(
        shape,
        weight=rng.integers(-max_weight, max_weight + 1, (*shape, 4)),
        stochastic_weight=(rng.random((*shape, 4)) < 0.3) & chance,
        leak=rng.integers(-5, 6, shape) * (rng.random(shape) < 0.7),
        stochastic_leak=(rng.random(shape) < 0.3) & chance,
        leak_reversal=(rng.random(shape) < 0.3) & reversal,
        threshold=rng.integers(0, 60, shape),
        noise_bits=rng.integers(0, 9, shape) * ((rng.random(shape) < 0.3) & chance),
        negative_threshold=rng.integers(0, 140, shape),
        negative_saturates=(rng.random(shape) < 0.5) | saturating,
        reset_mode=rng.integers(0, 3, shape),
        reset=rng.integers(-9, 10, shape),
        initial=rng.integers(-20, 20, shape),
    )
    target = rng.integers(NOWHERE, cores, shape)
    n_outputs, n_inputs, n_links = 5, 6, 14
    out = rng.random(shape) < 0.2
    axon = np.where(out, rng.integers(0, n_outputs, shape), rng.integers(0, axons, shape))
    return SpikingProgram(
        name=f"random {seed}",
        chip=load_spiking_chip("truenorth_science_2014", settings),
        place=np.array([(i % 4, i // 4) for i in range(cores)], np.int32),
        layer=("random",) * cores,
        axon_type=rng.integers(0, 4, (cores, axons)).astype(np.uint8),
        synapses=packed(rng.random((cores, axons, neurons)) < 0.4),
        neurons=made,
        targets=Targets(
            np.where(out, OUTPUT, target).astype(np.int32),
            axon.astype(np.int32),
            rng.integers(1, 16, shape).astype(np.uint8),
        ),
        inputs=InputLinks(
            rng.integers(0, n_inputs, n_links).astype(np.int32),
            rng.integers(0, cores, n_links).astype(np.int32),
            rng.integers(0, axons, n_links).astype(np.int32),
            (rng.integers(0, 25, n_links) * (rng.random(n_links) < 0.5)).astype(np.int32),
        ),
        n_inputs=n_inputs,
        n_outputs=n_outputs,
    )


def random_inputs(seed: int, program: SpikingProgram, n_ticks: int, batch: int, rate: float = 0.3) -> np.ndarray:
    """Independent spikes, bool [tick, batch, input]."""
    return np.random.default_rng([seed, 1]).random((n_ticks, batch, program.n_inputs)) < rate
