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

from xbar.kernels.bit_serial import Columns, bit_serial, common_normals
from xbar.kernels.convert import Converters, Reads, convert
from xbar.kernels.digits import digit_rows
from xbar.kernels.normal import normals
from xbar.parts.base import Circuit, Floats
from xbar.program import LayerProgram
from xbar.sim.cells import Rows
from xbar.sim.crossbar import Counts, Integers
from xbar.sim.reads import Lines

_SUMS = 1 << 20  # column sums held at a time
_EXACT = float(1 << 24)  # whole numbers that float32 holds
_PULSE_GRID = 2.0**-14  # of the relative noise of a word line's voltage


@dataclass(frozen=True, eq=False)
class Grid:
    """Numbers [row, col] as whole float32 numbers times `step`, a power of two; their sums over rows are exact."""

    values: NDArray[np.float32]
    step: float

    @classmethod
    def of(cls, values: Floats, largest_factor: int) -> Grid:
        """For rows that are multiplied by whole numbers up to `largest_factor`."""
        largest = float(np.abs(values).sum(axis=0).max(initial=0.0)) * largest_factor
        room = _EXACT - len(values) * largest_factor  # rounding moves every row by up to half a step
        step = 2.0 ** np.ceil(np.log2(largest / room)) if largest > 0 else 1.0
        return cls(np.rint(values / step).astype(np.float32), float(step))


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

    Only columns that a crossbar holds: a piece of the matrix without a weight has none.


    weights: [row, col] in cell steps; circuits in their place where wires make every input different.
    variance: of a read, [row, col], or [row, 1] where all columns have the same; None without read noise.
    common: variance of the reference column of each strip, [row, strip], which all its columns share.
    unit_of: for each output column, the unit column that its crossbar has; unit_coef: its factor (0 where it has none).
    unit_crossbars: crossbars that each unit column stands for: where planes have their own, all of them see one sum.
    baseline: what each unit of the summed input adds to the outputs, float64 [col]; None where nothing is to remove.
    serial: weights and variances for one-bit digits.
    """

    group: int
    rows: Rows
    weights: Grid
    circuits: tuple[StripCircuit, ...]
    drive: Floats
    variance: Grid | None
    common: Grid | None
    serial: Columns
    adc: Converters
    unit_of: NDArray[np.int64] | None
    unit_coef: Floats | None
    unit_crossbars: int
    baseline: Floats | None
    noise_key: int


@dataclass(frozen=True, eq=False)
class AnalogLayer:
    """A layer whose cells were programmed once.

    gain: drift compensation; pulse_sigma: of every word line voltage; lines: conductances of the word lines, None where
    the device has none.
    """

    layer: LayerProgram
    digit: NDArray[np.int64]
    blocks: tuple[RowBlock, ...]
    gain: float
    pulse_sigma: float
    keep_silent: bool
    lines: Lines | None


def multiply_analog(analog: AnalogLayer, x: Integers, first_vector: int) -> tuple[Tensor, Counts]:
    """What the layer's crossbars make of integer vectors, before scales and bias.

    x: integers [vector, group, row] within the layer's input range; first_vector: the number of the first one, from
    which its noise follows. Returns float64 [vector, group, col] and counts.
    """
    layer = analog.layer
    total = np.zeros((*x.shape[:2], layer.cells.shape[3]))
    saturations = np.zeros(layer.n_slices + 1, np.int64)
    for block in analog.blocks:
        units_before = saturations[-1]
        inputs = np.ascontiguousarray(x[:, block.group, block.rows[0] : block.rows[1]])
        n_out = total.shape[2] + (0 if block.unit_of is None else int(block.unit_of.max()) + 1)
        out = np.zeros((len(x), n_out))
        _convert(analog, block, inputs, first_vector, out, saturations)
        saturations[-1] += (saturations[-1] - units_before) * (block.unit_crossbars - 1)
        _add_outputs(analog, block, inputs, out, total[:, block.group])
    counts = Counts(tuple(int(n) for n in saturations[:-1]), int(saturations[-1]))
    return torch.from_numpy(total), counts


def _add_outputs(analog: AnalogLayer, block: RowBlock, x: Integers, out: Floats, total: Floats) -> None:
    """Add a row block's outputs to `total` [vector, col]: its codes, those of its unit columns, less the baseline."""
    n_cols = total.shape[1]
    result = out[:, :n_cols]
    if block.unit_of is not None and block.unit_coef is not None:
        result += out[:, n_cols:][:, block.unit_of] * block.unit_coef
    result *= analog.gain
    if block.baseline is not None:
        result -= x.sum(axis=1, dtype=np.int64)[:, None] * block.baseline
    total += result


def _convert(
    analog: AnalogLayer, block: RowBlock, x: Integers, first_vector: int, out: Floats, saturations: NDArray[np.int64]
) -> None:
    """Digitise all pulses of x [vector, line] and add up their codes in `out` [vector, output and unit column]."""
    n_pulses, weight = len(analog.digit), analog.digit[:, 2].astype(np.float64)
    if analog.digit[:, 1].max() == 1 and not block.circuits and analog.pulse_sigma == 0:
        first_id = first_vector * n_pulses
        bit_serial(x, weight, first_id, analog.keep_silent, block.serial, block.adc, block.noise_key, out, saturations)
        return
    step = max(1, _SUMS // (n_pulses * block.weights.values.shape[1]))
    for start in range(0, len(x), step):
        pulses = digit_rows(x[start : start + step], analog.digit, analog.keep_silent)
        ids = (first_vector + start + pulses.vector) * n_pulses + pulses.pulse
        squares = torch.from_numpy(pulses.digits**2)
        variance = None if block.variance is None else (squares @ torch.from_numpy(block.variance.values)).numpy()
        offset = None
        if block.common is not None:
            gain = np.float32(block.common.step / block.weights.step**2)
            sigma = np.sqrt((squares @ torch.from_numpy(block.common.values)).numpy() * gain)
            offset = common_normals(block.noise_key, ids, sigma.shape[1]) * sigma
        of_row = variance is not None and variance.shape[1] == 1
        reads = Reads(
            sums=_sums(analog, block, pulses.digits, ids),
            vector=pulses.vector,
            weight=weight[pulses.pulse],
            id=ids,
            variances=None if of_row else variance,
            row_variance=variance[:, 0] if of_row and variance is not None else None,
            offset=offset,
        )
        convert(reads, block.adc, block.noise_key, out[start : start + step], saturations)


def _sums(
    analog: AnalogLayer, block: RowBlock, digits: NDArray[np.float32], ids: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Column sums [row, col] of digits [row, line] in steps of the block's weights."""
    if block.circuits:
        return _solved(analog, block, digits, ids)
    sums = np.asarray(torch.from_numpy(digits) @ torch.from_numpy(block.weights.values))
    if analog.pulse_sigma == 0:
        return sums
    # whole numbers in float64 up to 2^53 keep this product as exact as the other
    noise = torch.from_numpy(_pulse_noise(analog, block, digits, ids))
    noisy = noise @ torch.from_numpy(block.weights.values).double()
    return (sums + noisy.numpy() * _PULSE_GRID).astype(np.float32)


def _pulse_noise(analog: AnalogLayer, block: RowBlock, digits: NDArray[np.float32], ids: NDArray[np.int64]) -> Floats:
    """Deviation of the word line voltages from the digits, in steps of _PULSE_GRID."""
    xi = normals(block.noise_key ^ 2, ids, digits.shape[1])
    return np.rint(digits * (xi.astype(np.float64) * (analog.pulse_sigma / _PULSE_GRID)))


def _solved(
    analog: AnalogLayer, block: RowBlock, digits: NDArray[np.float32], ids: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Column sums from the circuit of every input, in steps of the block's weights."""
    drive = digits.astype(np.float64)
    if analog.pulse_sigma > 0:
        drive += _pulse_noise(analog, block, digits, ids) * _PULSE_GRID
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
