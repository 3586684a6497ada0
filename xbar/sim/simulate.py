"""A whole network on crossbars: the exported graph walks in torch, its matrix layers in the crossbar engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from xbar.errors import DataError
from xbar.host import Host, fold_back, vectors
from xbar.network import MatrixLayer
from xbar.program import LayerProgram, Program
from xbar.quantization import dequantize, quantize_input
from xbar.result import Activity, LayerActivity, SimResult
from xbar.sim.crossbar import Counts, Integers, multiply
from xbar.sim.prepare import PreparedLayer, prepare

_BATCH_BYTES = 1 << 25  # of the largest layer's vectors and results: what a processor's cache can still help with
_MAX_BATCH = 1024


def simulate(
    program: Program,
    inputs: Tensor | Sequence[Tensor],
    batch_size: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SimResult:
    """Outputs of the network on its crossbars, and the exact counts of everything that happened.

    inputs: [input, ...] in the type the model was traced with, or one tensor per argument of the model. batch_size:
    inputs computed at a time, which changes memory and time but no result; by default about 32 MB of the largest layer.
    progress(done, total) hears how many inputs are done. With lossless ADCs the outputs equal
    `quantization.integer_forward` bit for bit.
    Raises DataError for inputs of a wrong shape or type or with NaN, ModelError for range-mode ADCs without full scale.
    """
    if batch_size is not None and batch_size < 1:
        raise DataError(f"batch_size: must be at least 1, got {batch_size}; leave it out for a suitable one")
    return Simulator(program).run(inputs, batch_size, progress)


class Multiply(Protocol):
    """Computes one layer's integer vectors [vector, group, row]: float64 [vector, group, col], and counts."""

    def __call__(self, index: int, x: Integers) -> tuple[Tensor, Counts]: ...


class Simulator:
    """A program made ready to run many times; `replaced` shares what two programs have in common."""

    def __init__(self, program: Program, host: Host | None = None, prepared: Sequence[PreparedLayer] = ()) -> None:
        self.program = program
        self._host = host or Host(program.network)
        known = {id(p.layer): p for p in prepared}
        self._prepared = tuple(known.get(id(layer)) or prepare(layer) for layer in program.layers)

    def replaced(self, program: Program) -> Simulator:
        """For a program of the same network: layers that are the same objects are not prepared again."""
        return Simulator(program, self._host, self._prepared)

    def run(
        self,
        inputs: Tensor | Sequence[Tensor],
        batch_size: int | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> SimResult:
        """As `simulate`."""
        return walk(self.program, self._host, inputs, self._multiply, batch_size, progress)

    def _multiply(self, index: int, x: Integers) -> tuple[Tensor, Counts]:
        return multiply(self._prepared[index], x)


def walk(
    program: Program,
    host: Host,
    inputs: Tensor | Sequence[Tensor],
    multiply: Multiply,
    batch_size: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SimResult:
    """Run the network batch by batch with `multiply` in place of its matrix layers, and add up the counts."""
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    total = len(tensors[0]) if tensors and isinstance(tensors[0], Tensor) and tensors[0].dim() else 0
    fixed = program.network.fixed_batch
    size = fixed or batch_size or _batch_size(program)
    outputs, activity = [], None
    for start in range(0, max(total, 1), size):
        part = [t[start : start + size] for t in tensors] if total else tensors  # the host explains what is wrong
        tally = _Tally(program, multiply, len(part[0]) / fixed if fixed and total else 1.0)
        outputs.append(host.run(part, tally.compute))
        done = tally.activity(len(part[0]))
        activity = done if activity is None else activity + done
        progress(min(start + size, total), total)
    if activity is None:
        raise DataError("inputs: expected at least one input, got none")
    return SimResult(torch.cat(outputs), activity)


def _batch_size(program: Program) -> int:
    """Inputs whose vectors, digits and results in the largest layer take about _BATCH_BYTES."""
    largest = 1
    for layer in program.layers:
        groups, rows, cols = layer.cells.shape[1:]
        largest = max(largest, layer.vectors_per_input * groups * (6 * rows + 24 * cols))
    return max(1, min(_MAX_BATCH, _BATCH_BYTES // largest))


@dataclass
class _LayerTally:
    saturations: tuple[int, ...]
    vectors: int = 0
    unit_saturations: int = 0
    digits: int = 0
    clipped: int = 0


class _Tally:
    """Computes the matrix layers of one batch and counts. `share`: the part of the batch that is not filling."""

    def __init__(self, program: Program, multiply: Multiply, share: float) -> None:
        self._program = program
        self._multiply = multiply
        self._share = share
        self._layers = [_LayerTally((0,) * layer.n_slices) for layer in program.layers]

    def compute(self, index: int, _layer: MatrixLayer, x: Tensor) -> Tensor:
        """The layer's output for its activations, as `xbar.host.run` wants it."""
        layer, tally = self._program.layers[index], self._layers[index]
        full = len(x)
        x = x[: round(full * self._share)]
        q, clipped = quantize_input(x, layer.input_scale, layer.input_bits, layer.input_signed)
        rows = vectors(q.to(_integer_type(layer)), layer.conv, layer.groups)
        sums, counts = self._multiply(index, np.ascontiguousarray(rows.numpy()))
        tally.vectors += len(rows)
        tally.clipped += clipped
        tally.digits += counts.digits
        tally.unit_saturations += counts.unit_saturations
        tally.saturations = tuple(a + b for a, b in zip(tally.saturations, counts.saturations, strict=True))
        y = fold_back(dequantize(sums, layer.input_scale, layer.weight_scale, layer.bias), x.shape, layer.conv)
        return y if len(x) == full else functional.pad(y, [0, 0] * (y.dim() - 1) + [0, full - len(x)])

    def activity(self, n_inputs: int) -> Activity:
        """What happened, with the events that vectors cause whatever their values."""
        layers = zip(self._program.layers, self._layers, strict=True)
        host = {event: n * n_inputs for event, n in self._program.host_ops.items()}
        return Activity(n_inputs, tuple(_layer_activity(layer, tally, n_inputs) for layer, tally in layers), host)


def _integer_type(layer: LayerProgram) -> torch.dtype:
    """The smallest type that holds the layer's inputs: unrolling a convolution moves them several times."""
    if layer.input_bits > 8:
        return torch.int32
    return torch.int8 if layer.input_signed else torch.uint8


def _layer_activity(layer: LayerProgram, tally: _LayerTally, n_inputs: int) -> LayerActivity:
    n, per_vector = tally.vectors, layer.per_vector
    return LayerActivity(
        name=layer.name,
        n_vectors=n,
        array_reads=n * per_vector.array_reads,
        row_pulses=n * per_vector.row_pulses,
        active_rows=tally.digits * per_vector.active_row_weight,
        conversions=tuple(n * c for c in per_vector.conversions),
        saturations=tally.saturations,
        unit_conversions=n * per_vector.unit_conversions,
        unit_saturations=tally.unit_saturations * per_vector.active_row_weight,  # its crossbars see the same inputs
        clipped_inputs=tally.clipped,
        tile_adds=n * per_vector.tile_adds,
        buffer_read_bits=n * per_vector.buffer_read_bits,
        buffer_write_bits=n * per_vector.buffer_write_bits,
        bus_bits=n * per_vector.bus_bits,
        link_bits=n_inputs * layer.link_bits_per_input,
    )
