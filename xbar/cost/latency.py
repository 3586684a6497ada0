"""Time: how long each layer takes for one network input.

`analytic_pipeline` is the closed form; `xbar.cost.cycles` simulates it.
"""

from __future__ import annotations

from xbar.outline import LayerOutline, Outline, pulse_time_s
from xbar.result import LayerTiming


def analytic_pipeline(outline: Outline) -> tuple[LayerTiming, ...]:
    """Time of each layer = ceil(vectors / replicas) * pulses * `xbar.outline.pulse_time_s`.

    Digital work, buffers, bus and links overlap with the pulses and are taken to keep up with them; the few cycles that
    fill the pipeline do not count.
    """
    return tuple(_layer_timing(layer, outline) for layer in outline.layers)


def _layer_timing(layer: LayerOutline, outline: Outline) -> LayerTiming:
    n_steps = -(-layer.vectors_per_input // layer.n_replicas)
    read_s, pulse_s = outline.chip.crossbar.read_time_s, pulse_time_s(layer, outline.chip)
    n_pulses = n_steps * layer.n_pulses
    return LayerTiming(layer.name, n_steps, layer.n_replicas, n_pulses * read_s, n_pulses * (pulse_s - read_s))
