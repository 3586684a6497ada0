"""One layer on real crossbars: conductances instead of levels, and every column sum digitised with its noise.

    code = adc(sum_row digit * conductance + read noise),  out = sum_plane,block,pulse sign 2^(..) weight_pulse code

Sums are exact: conductances are rounded to a grid so fine that float32 holds every partial sum as a whole number (2^24
steps are at least the largest column sum), and so neither threads nor batches change a bit. The read noise of a column
is one Gaussian number whose variance is the sum of its cells' variances, exact for independent Gaussian noise of cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xbar.kernels.active import Active, active_lines, add_lines, in_chunks
from xbar.kernels.convert import Converters, convert
from xbar.kernels.normal import normals
from xbar.kernels.pulses import read_inputs
from xbar.parts.base import Circuit, Floats
from xbar.program import LayerProgram
from xbar.sim.cells import Rows
from xbar.sim.crossbar import Counts, Integers

_SUMS = 1 << 19  # column sums held at a time: what a processor's cache can hold of them
_EXACT = float(1 << 24)  # whole numbers that float32 holds
_PULSE_GRID = 2.0**-14  # of the relative noise of a word line's voltage


@dataclass(frozen=True, eq=False)
class Grid:
    """Numbers [row, col] as whole float32 numbers times `step`, a power of two; their sums over rows are exact."""

    values: NDArray[np.float32]
    chunks: NDArray[np.float32]  # as `xbar.kernels.active` reads them
    step: float

    @classmethod
    def of(cls, values: Floats, largest_factor: int) -> Grid:
        """For rows that are multiplied by whole numbers up to `largest_factor`."""
        largest = float(np.abs(values).sum(axis=0).max(initial=0.0)) * largest_factor
        room = _EXACT - len(values) * largest_factor  # rounding moves every row by up to half a step
        step = 2.0 ** np.ceil(np.log2(largest / room)) if largest > 0 else 1.0
        whole = np.rint(values / step).astype(np.float32)
        return cls(whole, in_chunks(whole), float(step))


@dataclass(frozen=True, eq=False)
class StripCircuit:
    """A strip whose every input vector needs a solution of its crossbar's circuit.

    g_S: [word line, bit line] of the crossbar; lines: its word lines that belong to the strip; bit_lines: those of its
    columns, cols: where these stand in the row block; reference: the bit line that is subtracted, or None.
    per_step: cell steps per S.
    """

    circuit: Circuit
    g_S: Floats
    lines: slice
    bit_lines: NDArray[np.int64]
    cols: NDArray[np.int64]
    reference: int | None
    per_step: float


@dataclass(frozen=True, eq=False)
class RowBlock:
    """The columns of one group over one row block: all planes side by side, then the unit columns.

    weights: [row, col] in cell steps; circuits in their place where wires make every input different.
    variance: of a read, [row, col], or [row, 1] where all columns have the same; None without read noise.
    common: variance of the reference column of each strip, [row, strip], which all its columns share.
    unit_of: for each output column, the unit column that its crossbar has; unit_coef: its factor.
    baseline: what each unit of the summed input adds to the outputs, float64 [col]; None where nothing is to remove.
    """

    group: int
    rows: Rows
    weights: Grid
    circuits: tuple[StripCircuit, ...]
    drive: Floats
    variance: Grid | None
    common: Grid | None
    adc: Converters
    unit_of: NDArray[np.int64] | None
    unit_coef: Floats | None
    baseline: Floats | None
    noise_key: int


@dataclass(frozen=True, eq=False)
class Pulses:
    """The pulses of some vectors that reach a row block, [row] of (vector, pulse); silent ones are left out.

    ids: numbers of the rows over all inputs. active: where the digits have one bit; else digits: float32 [row, line].
    """

    vector: NDArray[np.int64]
    pulse: NDArray[np.int64]
    ids: NDArray[np.int64]
    active: Active | None
    digits: NDArray[np.float32]

    @classmethod
    def of(cls, x: Integers, digit: NDArray[np.int64], first_vector: int, keep_silent: bool, dense: bool) -> Pulses:
        """Those of x [vector, line]; `dense` where digits are wanted even if they have one bit."""
        if digit[:, 1].max() == 1 and not dense:
            active = active_lines(x, digit, keep_silent)
            ids = (first_vector + active.vector) * len(digit) + active.pulse
            return cls(active.vector, active.pulse, ids, active, np.zeros((0, 0), np.float32))
        codes = x.astype(np.int32)[:, None, :]
        digits = (codes >> digit[:, :1].astype(np.int32)) & ((1 << digit[:, 1:2]) - 1).astype(np.int32)
        vector, pulse = np.nonzero(np.ones(digits.shape[:2], bool) if keep_silent else digits.any(axis=2))
        ids = (first_vector + vector) * len(digit) + pulse
        return cls(vector, pulse, ids, None, digits[vector, pulse].astype(np.float32))

    def sums(self, grid: Grid) -> NDArray[np.float32]:
        """Sum over lines of digit times `grid`, in its steps, [row, col or more]."""
        if self.active is not None:
            return add_lines(grid.chunks, self.active)
        return np.asarray(torch.from_numpy(self.digits) @ torch.from_numpy(grid.values))

    def square_sums(self, grid: Grid) -> NDArray[np.float32]:
        """The same with the squares of the digits."""
        if self.active is not None:
            return add_lines(grid.chunks, self.active)
        return np.asarray(torch.from_numpy(self.digits**2) @ torch.from_numpy(grid.values))


@dataclass(frozen=True, eq=False)
class AnalogLayer:
    """A layer whose cells were programmed once. gain: drift compensation; pulse_sigma: of every word line voltage."""

    layer: LayerProgram
    digit: NDArray[np.int64]
    blocks: tuple[RowBlock, ...]
    gain: float
    pulse_sigma: float
    keep_silent: bool


def multiply_analog(analog: AnalogLayer, x: Integers, first_vector: int) -> tuple[Tensor, Counts]:
    """What the layer's crossbars make of integer vectors, before scales and bias.

    x: integers [vector, group, row] within the layer's input range; first_vector: the number of the first one, from
    which its noise follows. Returns float64 [vector, group, col] and counts.
    """
    layer = analog.layer
    _, digits = read_inputs(x, layer.input_bits, layer.input_signed, layer.dac_bits)
    total = np.zeros((*x.shape[:2], layer.cells.shape[3]))
    saturations = np.zeros(layer.n_slices + 1, np.int64)
    for block in analog.blocks:
        inputs = np.ascontiguousarray(x[:, block.group, block.rows[0] : block.rows[1]])
        step = max(1, _SUMS // (len(analog.digit) * block.weights.values.shape[1]))
        for start in range(0, len(x), step):
            part = inputs[start : start + step]
            out = _block_outputs(analog, block, part, first_vector + start, saturations)
            total[start : start + step, block.group] += out
    counts = Counts(tuple(int(n) for n in saturations[:-1]), int(saturations[-1]), digits)
    return torch.from_numpy(total), counts


def _block_outputs(
    analog: AnalogLayer, block: RowBlock, x: Integers, first_vector: int, saturations: NDArray[np.int64]
) -> Floats:
    """Outputs [vector, col] of one row block."""
    dense = bool(block.circuits) or analog.pulse_sigma > 0
    pulses = Pulses.of(x, analog.digit, first_vector, analog.keep_silent, dense)
    n_cols = analog.layer.cells.shape[3]
    out = np.zeros((len(x), n_cols + (0 if block.unit_of is None else int(block.unit_of.max()) + 1)))
    variance = None if block.variance is None else pulses.square_sums(block.variance)
    offset = None
    if block.common is not None:
        n_strips = block.common.values.shape[1]
        sigma = np.sqrt(pulses.square_sums(block.common)[:, :n_strips].astype(np.float64) * block.common.step)
        xi = normals(block.noise_key ^ 1, pulses.ids, n_strips)
        offset = (sigma * xi / block.weights.step).astype(np.float32)
    of_row = variance is not None and block.variance is not None and block.variance.values.shape[1] == 1
    convert(
        _sums(analog, block, pulses),
        pulses.vector,
        analog.digit[pulses.pulse, 2].astype(np.float64),
        pulses.ids,
        block.adc,
        block.noise_key,
        out,
        saturations,
        variances=None if of_row else variance,
        row_variance=np.ascontiguousarray(variance[:, 0]) if of_row and variance is not None else None,
        offset=offset,
    )
    result = out[:, :n_cols]
    if block.unit_of is not None and block.unit_coef is not None:
        result += out[:, n_cols:][:, block.unit_of] * block.unit_coef
    result *= analog.gain
    if block.baseline is not None:
        result -= x.sum(axis=1, dtype=np.int64)[:, None] * block.baseline
    return result


def _sums(analog: AnalogLayer, block: RowBlock, pulses: Pulses) -> NDArray[np.float32]:
    """Column sums [row, col] in steps of the block's weights."""
    if block.circuits:
        return _solved(analog, block, pulses)
    sums = pulses.sums(block.weights)
    if analog.pulse_sigma == 0:
        return sums
    # whole numbers in float64 up to 2^53 keep this product as exact as the other
    noise = torch.from_numpy(_pulse_noise(analog, block, pulses))
    noisy = noise @ torch.from_numpy(block.weights.values).double()
    return (sums + noisy.numpy() * _PULSE_GRID).astype(np.float32)


def _pulse_noise(analog: AnalogLayer, block: RowBlock, pulses: Pulses) -> Floats:
    """Deviation of the word line voltages from the digits, in steps of _PULSE_GRID."""
    xi = normals(block.noise_key ^ 2, pulses.ids, pulses.digits.shape[1])
    return np.rint(pulses.digits * (xi.astype(np.float64) * (analog.pulse_sigma / _PULSE_GRID)))


def _solved(analog: AnalogLayer, block: RowBlock, pulses: Pulses) -> NDArray[np.float32]:
    """Column sums from the circuit of every input, in steps of the block's weights."""
    drive = pulses.digits.astype(np.float64)
    if analog.pulse_sigma > 0:
        drive += _pulse_noise(analog, block, pulses) * _PULSE_GRID
    top = float((1 << analog.layer.dac_bits) - 1)  # the digit that the read voltage stands for
    sums = np.empty((len(drive), block.weights.values.shape[1]), np.float32)
    for strip in block.circuits:
        lines = np.zeros((len(drive), len(strip.g_S)))
        lines[:, strip.lines] = drive * block.drive / top
        currents = strip.circuit.currents_S(strip.g_S, lines)
        own = currents[:, strip.bit_lines]
        if strip.reference is not None:
            own = own - currents[:, [strip.reference]]
        sums[:, strip.cols] = own * (top * strip.per_step / block.weights.step)
    return sums
