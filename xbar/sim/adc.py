"""What the column sums of a network look like, and the full scale of range-mode ADCs that follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xbar.errors import ConfigError
from xbar.host import Host
from xbar.kernels.histogram import add_histogram
from xbar.kernels.pulses import digit_table
from xbar.program import AdcSetting, LayerProgram, Program, formed, largest_sums
from xbar.result import SimResult
from xbar.sim.crossbar import Counts, Integers, multiply
from xbar.sim.prepare import prepare
from xbar.sim.simulate import walk

_IDEAL = AdcSetting("ideal", None, None, None)
_CHUNK = 1 << 23  # column sums held at a time
_CANDIDATES = 256


@dataclass(frozen=True, eq=False)
class ColumnSums:
    """How often each column sum occurred in one layer, over all vectors, pulses, row blocks, columns and planes.

    Sums of ideal cells in cell steps; where the HRS current of real cells reaches the ADC, with it and rounded.

    by_slice: int64 [slice, sum]; unit: int64 [sum], those of the unit column (all 0 without one).
    """

    name: str
    by_slice: NDArray[np.int64]
    unit: NDArray[np.int64]

    def largest(self) -> NDArray[np.int64]:
        """Largest sum that occurred, int64 [slice]; 0 for a slice that no crossbar holds."""
        return np.array([np.flatnonzero(h).max(initial=0) for h in self.by_slice])

    def percentile(self, percent: float) -> NDArray[np.int64]:
        """Smallest sum that `percent` of the conversions do not exceed, int64 [slice]."""
        shares = np.cumsum(self.by_slice, axis=1)
        return np.array([np.searchsorted(h, np.ceil(percent / 100 * h[-1])) for h in shares])


def column_sum_histograms(
    program: Program, inputs: Tensor | Sequence[Tensor], batch_size: int | None = None
) -> tuple[ColumnSums, ...]:
    """Column sums of every layer on data, the activations being those of lossless ADCs; one ColumnSums per layer."""
    return _observe(program, inputs, batch_size)[0]


def _observe(
    program: Program, inputs: Tensor | Sequence[Tensor], batch_size: int | None = None
) -> tuple[tuple[ColumnSums, ...], SimResult]:
    prepared = [prepare(replace(layer, adc=_IDEAL)) for layer in program.layers]
    baseline = program.chip.baseline_steps
    seen = [_empty(layer, baseline) for layer in program.layers]

    def look(index: int, x: Integers, first_vector: int) -> tuple[Tensor, Counts]:
        _add(program.layers[index], x, seen[index], baseline)
        return multiply(prepared[index], x)

    return tuple(seen), walk(program, Host(program.network), inputs, look, batch_size)


def _empty(layer: LayerProgram, baseline: float) -> ColumnSums:
    digits = int(np.diff(layer.row_edges).max()) * layer.top_digit
    most = int(largest_sums(layer).max() + np.rint(digits * baseline))
    return ColumnSums(layer.name, np.zeros((layer.n_slices, most + 1), np.int64), np.zeros(digits + 1, np.int64))


def _add(layer: LayerProgram, x: Integers, seen: ColumnSums, baseline: float) -> None:
    """Count the column sums of integer vectors [vector, group, row]."""
    n_planes, groups, _, cols = layer.cells.shape
    plane_slice = np.array(layer.plane_slice, np.int64)
    step = max(1, _CHUNK // (n_planes * cols))
    digits = digit_table(layer.input_bits, layer.input_signed, layer.dac_bits)
    exist = formed(layer)
    for group in range(groups):
        for block, (first, last) in enumerate(zip(layer.row_edges, layer.row_edges[1:], strict=False)):
            here = exist[:, block, group]  # [plane, col]
            if not here.any():
                continue
            shape = (n_planes, cols) if here.all() else (int(here.sum()), 1)
            slices = plane_slice if here.all() else np.repeat(plane_slice, cols)[here.ravel()]
            cells = layer.cells[:, group, first:last].swapaxes(0, 1)[:, here]
            weights = torch.from_numpy(cells.astype(np.float32))
            for start in range(0, len(x), step):
                part = x[start : start + step, group, first:last].astype(np.int32)
                for bit, n_bits, _ in digits:
                    digit = torch.from_numpy(((part >> bit) & ((1 << n_bits) - 1)).astype(np.float32))
                    sums = (digit @ weights).numpy().reshape(-1, *shape)
                    if baseline > 0:
                        sums += np.rint(digit.sum(dim=1).numpy() * np.float32(baseline))[:, None, None]
                    add_histogram(sums, slices, seen.by_slice)
                    if layer.unit_coef is not None:
                        unit = digit.sum(dim=1).to(torch.int64)
                        seen.unit[:] += torch.bincount(unit, minlength=len(seen.unit)).numpy()


def calibrate_adc(program: Program, inputs: Tensor | Sequence[Tensor]) -> Program:
    """The program with the full scale of its range-mode ADCs set from data, by the method of `chip.adc.full_scale`.

    max: the largest column sum of a slice. percentile: what `chip.adc.percentile` percent of the conversions do not
    exceed. mse: the full scale with the smallest squared error, rounding and saturation together, over all conversions.
    Raises ConfigError where there is nothing to calibrate (clip and ideal ADCs, full_scale: worst_case).
    """
    adc = program.chip.adc
    if adc.mode != "range":
        raise ConfigError(
            f"adc.mode: calibration has no effect with mode: {adc.mode}; set adc.mode: range, or leave it out"
        )
    if adc.full_scale == "worst_case":
        raise ConfigError(
            "adc.full_scale: worst_case follows from the cells, data have no effect; choose max, percentile or mse"
        )
    seen = column_sum_histograms(program, inputs)
    layers = []
    for layer, sums in zip(program.layers, seen, strict=True):
        bits = layer.adc.bits or ()
        if adc.full_scale == "percentile" and adc.percentile is not None:
            scales = sums.percentile(adc.percentile)
        elif adc.full_scale == "mse":
            scales = np.array([_least_squares(h, b) for h, b in zip(sums.by_slice, bits, strict=True)])
        else:
            scales = sums.largest()
        full_scale = tuple(int(max(1, f)) for f in scales)
        layers.append(replace(layer, adc=replace(layer.adc, full_scale=full_scale)))
    return replace(program, layers=tuple(layers))


def _least_squares(histogram: NDArray[np.int64], bits: int) -> int:
    """The full scale whose codes have the smallest summed squared error; the smallest such one."""
    used = np.flatnonzero(histogram)
    if len(used) == 0:  # a slice that no crossbar holds
        return 0
    top, counts = (1 << bits) - 1, histogram[used].astype(np.float64)
    if used[-1] <= top:
        return int(used[-1])
    candidates = np.unique(np.linspace(top, used[-1], _CANDIDATES).astype(np.int64))
    errors = [float((counts * (used - _read(used, f, top)) ** 2).sum()) for f in candidates]
    return int(candidates[int(np.argmin(errors))])


def _read(y: NDArray[np.int64], full_scale: int, top: int) -> NDArray[np.float64]:
    """Column sums as a range-mode ADC reads them, in cell steps."""
    code = np.minimum((2 * y * top + full_scale) // (2 * full_scale), top)
    return code * (full_scale / top)
