"""Time: how long each layer takes for one network input.

`LatencyModel` is the interface; `analytic_pipeline` is the closed form, a cycle model can take its place.
"""

from __future__ import annotations

from collections.abc import Callable

from xbar.hardware import Chip
from xbar.program import LayerProgram, Program, pulse_time_s
from xbar.result import LayerTiming

LatencyModel = Callable[[Program], tuple[LayerTiming, ...]]


def analytic_pipeline(program: Program) -> tuple[LayerTiming, ...]:
    """Time of each layer = ceil(vectors / replicas) * pulses * `xbar.program.pulse_time_s`.

    Digital work, buffers, bus and links overlap with the pulses and are taken to keep up with them; the few cycles that
    fill the pipeline do not count.
    """
    return tuple(_layer_timing(layer, program.chip) for layer in program.layers)


def _layer_timing(layer: LayerProgram, chip: Chip) -> LayerTiming:
    n_steps = -(-layer.vectors_per_input // layer.n_replicas)
    read_s, pulse_s = chip.crossbar.read_time_s, pulse_time_s(layer, chip)
    n_pulses = n_steps * layer.n_pulses
    return LayerTiming(layer.name, n_steps, layer.n_replicas, n_pulses * read_s, n_pulses * (pulse_s - read_s))
