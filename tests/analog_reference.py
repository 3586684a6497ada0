"""The analog engine in plain numpy, slow and obvious: one vector, pulse, column at a time in float64.

Given the conductances that the engine's own `realise` drew, it makes the codes from first principles. Noise of single
reads is not simulated here (`tests/sim/test_analog.py` compares its distribution).
"""

from __future__ import annotations

import numpy as np
from reference import pulses_of

from xbar.hardware import Chip
from xbar.program import LayerProgram
from xbar.sim.cells import RealCells, Strip


def analog_reference(
    layer: LayerProgram, chip: Chip, cells: RealCells, strips: tuple[Strip, ...], x: np.ndarray
) -> tuple[np.ndarray, list[int]]:
    """Outputs [vector, group, col] for integers x [vector, group, row], and saturations by slice, unit column last."""
    adc, step = layer.adc, (1 - chip.device.low_rel) / (2**layer.cell_bits - 1)
    removal = chip.encoding.baseline_removal
    out = np.zeros((len(x), layer.groups, layer.cells.shape[3]))
    saturations = [0] * (layer.n_slices + 1)

    def code(y: float, bits: int | None, full_scale: int | None, slot: int) -> float:
        if bits is None:
            return y
        top = 2**bits - 1
        lsb = full_scale / top if full_scale is not None and full_scale > top else 1.0
        level = np.floor(y / lsb + 0.5)
        saturations[slot] += int(level > top or level < 0)
        return float(min(max(level, 0), top) * lsb)

    for digit, weight in pulses_of(x, layer):
        for i, strip in enumerate(strips):
            here = digit[:, strip.group, slice(*strip.rows)].astype(np.float64)
            block = layer.row_edges.index(strip.rows[0])
            dark = here @ cells.reference[i] if cells.reference else np.zeros(len(x))
            known = here.sum(axis=1) * chip.device.low_rel / step if removal == "digital" else np.zeros(len(x))
            for plane in strip.planes:
                s = layer.plane_slice[plane]
                bits = None if adc.bits is None else adc.bits[s]
                full_scale = None if adc.full_scale is None else adc.full_scale[s]
                for col in range(*strip.cols):
                    current = here @ cells.main[plane, strip.group, slice(*strip.rows), col] - dark
                    factor = layer.plane_sign[plane, block, strip.group, col] * 2.0 ** (layer.cell_bits * s) * weight
                    for v in range(len(x)):
                        if here[v].any():
                            value = code(current[v] / step, bits, full_scale, s) - known[v]
                            out[v, strip.group, col] += factor * value
            if layer.unit_coef is not None and 0 in strip.planes:
                current = here @ cells.unit[i] - dark
                for v in range(len(x)):
                    if here[v].any():
                        value = code(current[v] / step, adc.unit_bits, None, layer.n_slices) - known[v]
                        cols = slice(*strip.cols)
                        out[v, strip.group, cols] += layer.unit_coef[block, strip.group, cols] * weight * value
    return out, saturations
