"""Time: how long each layer takes for one network input.

`LatencyModel` is the interface; `analytic_pipeline` is the closed form, a cycle model can take its place.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable

from xbar.hardware import Chip
from xbar.program import LayerProgram, Program
from xbar.result import LayerTiming

LatencyModel = Callable[[Program], tuple[LayerTiming, ...]]


def analytic_pipeline(program: Program) -> tuple[LayerTiming, ...]:
    """Time of each layer = ceil(vectors / replicas) * pulses * max(array read, conversions in the fullest core).

    Sampling, conversion, shift-and-add and the digital rest overlap with the next pulse's read (Shafiee et al., ISCA
    2016, section 6), so only the longer of read and conversion counts; the few cycles that fill the pipeline do not.
    The ADCs of a core share its columns, unit columns included, evenly: they take the slowest conversions first and one
    column each at a time.
    """
    return tuple(_layer_timing(layer, program.chip) for layer in program.layers)


def _layer_timing(layer: LayerProgram, chip: Chip) -> LayerTiming:
    n_steps = -(-layer.vectors_per_input // layer.n_replicas)
    read_s = chip.crossbar.read_time_s
    convert_s = conversion_time_s(layer, chip)
    n_pulses = n_steps * layer.n_pulses
    return LayerTiming(
        layer.name, n_steps, layer.n_replicas, n_pulses * read_s, n_pulses * max(0.0, convert_s - read_s)
    )


def conversion_time_s(layer: LayerProgram, chip: Chip) -> float:
    """Time that the fullest core of a layer needs to convert all its used columns once."""
    bits = layer.adc.bits
    if bits is None:
        return 0.0
    times = [chip.adc.cost(b).latency_s for b in bits]
    cores: dict[tuple[int, int], Counter[float]] = defaultdict(Counter)
    for block in layer.blocks:
        core = cores[block.tile, block.core]
        for plane in block.planes:
            core[times[layer.plane_slice[plane]]] += block.n_cols // len(block.planes)
        if layer.adc.unit_bits is not None:
            core[chip.adc.cost(layer.adc.unit_bits).latency_s] += 1
    distinct = {tuple(sorted(core.items(), reverse=True)) for core in cores.values()}
    return max(_rounds_s(core, chip.core.adcs) for core in distinct)


def _rounds_s(columns: tuple[tuple[float, int], ...], adcs: int) -> float:
    """Time of the first of `adcs` converters, which takes every adcs-th column in falling order of time."""
    total_s, before = 0.0, 0
    for time_s, n in columns:
        total_s += time_s * (-(-(before + n) // adcs) - -(-before // adcs))
        before += n
    return total_s
