"""The crossbar engine in plain numpy, slow and obvious: the definition that the fast engine is compared with.

`reference_multiply` computes one layer from its `LayerProgram`, one pulse, plane, block and column sum at a time, in
Python's integers where a sum can grow. Nothing here comes from `xbar.kernels` or `xbar.sim`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xbar.program import LayerProgram


@dataclass(frozen=True)
class Reference:
    """out: float64 [vector, group, col]; saturations [slice]."""

    out: np.ndarray
    saturations: tuple[int, ...]
    unit_saturations: int


def pulses_of(x: np.ndarray, layer: LayerProgram) -> list[tuple[np.ndarray, int]]:
    """Digits and weights of all pulses of integer inputs."""
    pulses = []
    magnitude_bits = layer.input_bits - layer.input_signed
    code = x.astype(np.int64) % 2**layer.input_bits  # two's complement
    sign = code // 2 ** (layer.input_bits - 1) if layer.input_signed else 0 * code
    magnitude = code - sign * 2 ** (layer.input_bits - 1) if layer.input_signed else code
    for start in range(0, magnitude_bits, layer.dac_bits):
        width = min(layer.dac_bits, magnitude_bits - start)
        pulses.append(((magnitude // 2**start) % 2**width, 2**start))
    if layer.input_signed:
        pulses.append((sign, -(2 ** (layer.input_bits - 1))))
    assert len(pulses) == layer.n_pulses
    return pulses


def digitise(y: np.ndarray, bits: int | None, full_scale: int | None) -> tuple[np.ndarray, int]:
    """Codes of column sums and how many of them saturate; no bits: ideal; a full scale: range mode."""
    if bits is None:
        return y, 0
    top = 2**bits - 1
    unclipped = y
    if full_scale is not None and full_scale > top:
        unclipped = (2 * y * top + full_scale) // (2 * full_scale)
    return np.minimum(unclipped, top), int((unclipped > top).sum())


def reference_multiply(layer: LayerProgram, x: np.ndarray) -> Reference:
    """x: integers [vector, group, row]."""
    n_slices, adc = layer.n_slices, layer.adc
    shape = (x.shape[0], x.shape[1], layer.cells.shape[3])
    acc = [np.zeros(shape, np.int64) for _ in range(n_slices)]
    unit = np.zeros(shape, np.int64)
    saturations, unit_saturations = [0] * n_slices, 0
    for digit, weight in pulses_of(x, layer):
        for b, (first, last) in enumerate(zip(layer.row_edges, layer.row_edges[1:], strict=False)):
            here = digit[:, :, first:last]
            for k, s in enumerate(layer.plane_slice):
                y = np.einsum("vgr,grc->vgc", here, layer.cells[k, :, first:last].astype(np.int64))
                bits = None if adc.bits is None else adc.bits[s]
                full_scale = None if adc.full_scale is None else adc.full_scale[s]
                code, saturated = digitise(y, bits, full_scale)
                saturations[s] += saturated
                acc[s] += layer.plane_sign[k, b].astype(np.int64) * weight * code
            if layer.unit_coef is not None:
                code, _ = digitise(here.sum(axis=2), adc.unit_bits, None)
                for g in range(layer.groups):  # every crossbar has a unit column of its own
                    held = [k for k in layer.blocks if k.row_block == b and k.groups[0] <= g < k.groups[1]]
                    _, saturated = digitise(here[:, g].sum(axis=1), adc.unit_bits, None)
                    unit_saturations += saturated * (len(held) if layer.blocks else 1)
                unit += layer.unit_coef[b] * weight * code[:, :, None]
    exact, rest = unit, []
    for s in range(n_slices):
        lsb = 1.0
        if adc.mode == "range":
            lsb = max(1.0, adc.full_scale[s] / (2 ** adc.bits[s] - 1))
        if lsb == 1.0:
            exact = exact + acc[s] * 2 ** (layer.cell_bits * s)
        else:
            rest.append(2.0 ** (layer.cell_bits * s) * lsb * acc[s])
    out = exact.astype(np.float64)
    for part in rest:
        out = out + part
    return Reference(out, tuple(saturations), unit_saturations)
