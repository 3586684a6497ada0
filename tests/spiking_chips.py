"""A whole chip at work: random targets and delays, so many synapses per neuron, a given rate."""

from __future__ import annotations

import numpy as np

from xbar.parts.neurons import Neurons
from xbar.spiking.bits import packed
from xbar.spiking.chip import load_spiking_chip
from xbar.spiking.program import InputLinks, SpikingProgram, Targets


def busy_chip(rate_Hz: float, synapses: int = 128, cols: int = 64, rows: int = 64, seed: int = 0) -> SpikingProgram:
    """Neurons that fire every 1 / rate ticks of 1 ms by their leak, each at its own time; spikes add +1 and -1 in turn.

    Every neuron has `synapses` of its core's 256 axons, and a random target: core, axon, and delay of 1 to 15 ticks.
    """
    rng = np.random.default_rng(seed)
    chip = load_spiking_chip("truenorth_science_2014", {"mesh.cols": cols, "mesh.rows": rows})
    n_cores, n = cols * rows, chip.core.neurons
    shape = (n_cores, n)
    bits = np.zeros((n, chip.core.axons), np.bool_)
    bits[:, :synapses] = True
    crossbar = np.stack([packed(rng.permuted(bits, axis=1).T) for _ in range(8)])
    period = round(1000 / rate_Hz)
    scale = 16  # so that the potentials of a period spread beyond what spikes add
    nothing = np.zeros(0, np.int32)
    place = np.stack(np.meshgrid(np.arange(cols), np.arange(rows)), -1).reshape(-1, 2)
    return SpikingProgram(
        name=f"{rate_Hz:g} Hz",
        chip=chip,
        place=place.astype(np.int32),
        layer=("random",) * n_cores,
        axon_type=np.tile(np.arange(chip.core.axons, dtype=np.uint8) % 4, (n_cores, 1)),
        synapses=crossbar[rng.integers(0, len(crossbar), n_cores)],
        neurons=Neurons.of(
            shape,
            weight=np.array([1, -1, 2, -2]),
            leak=scale,
            threshold=period * scale,
            reset_mode=1,
            initial=rng.integers(0, period * scale, shape),
            negative_threshold=1000,
        ),
        targets=Targets(
            rng.integers(0, n_cores, shape, np.int32),
            rng.integers(0, chip.core.axons, shape, np.int32),
            rng.integers(1, chip.max_delay + 1, shape).astype(np.uint8),
        ),
        inputs=InputLinks(nothing, nothing, nothing, nothing),
        n_inputs=0,
        n_outputs=0,
    )
