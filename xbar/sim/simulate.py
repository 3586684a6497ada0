"""A whole network on crossbars: the exported graph walks in torch, its matrix layers in the crossbar engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, overload

import torch
from torch import Tensor
from torch.nn import functional

from xbar.errors import DataError
from xbar.host import Host, fold_back, vectors
from xbar.kernels.pulses import count_digits
from xbar.network import MatrixLayer
from xbar.noise import NoiseModel, load_noise
from xbar.program import LayerProgram, Program
from xbar.quantization import dequantize, quantize_input
from xbar.result import Activity, LayerActivity, Runs, SimResult
from xbar.sim.analog import AnalogLayer, multiply_analog
from xbar.sim.analog_prepare import prepare_analog
from xbar.sim.cells import Draw
from xbar.sim.compaction import active_rows, gather, scatter
from xbar.sim.crossbar import Counts, Integers, multiply
from xbar.sim.prepare import PreparedLayer, prepare
from xbar.sim.reads import Lines, cell_reads, nominal_lines

_BATCH_BYTES = 1 << 25  # of the largest layer's vectors and results: what a processor's cache can still help with
_MAX_BATCH = 1024
Progress = Callable[[int, int], None]


@overload
def simulate(
    program: Program,
    inputs: Tensor | Sequence[Tensor],
    batch_size: int | None = None,
    progress: Progress = ...,
    *,
    seed: int = 0,
    noise: NoiseModel | str | None = None,
    n_runs: None = None,
) -> SimResult: ...


@overload
def simulate(
    program: Program,
    inputs: Tensor | Sequence[Tensor],
    batch_size: int | None = None,
    progress: Progress = ...,
    *,
    seed: int = 0,
    noise: NoiseModel | str | None = None,
    n_runs: int,
    same_chip: bool = False,
) -> Runs: ...


def simulate(
    program: Program,
    inputs: Tensor | Sequence[Tensor],
    batch_size: int | None = None,
    progress: Progress = lambda done, total: None,
    *,
    seed: int = 0,
    noise: NoiseModel | str | None = None,
    n_runs: int | None = None,
    same_chip: bool = False,
) -> SimResult | Runs:
    """Outputs of the network on its crossbars, and the exact counts of everything that happened.

    inputs: [input, ...] in the type the model was traced with, or one tensor per argument of the model. batch_size:
    inputs computed at a time, which changes memory and time but no result; by default about 32 MB of the largest layer.
    progress(done, total) hears how many inputs are done (of all runs).

    noise: a NoiseModel, or the name or file of one (`xbar.list_noises()`; `none` simulates conductances without noise);
    by default the chip's own. Cells are ideal where neither the chip nor `noise` says otherwise: then outputs equal
    `quantization.integer_forward` bit for bit if the ADCs lose nothing.
    seed: fixes every random number, for any number of threads and any batch size. n_runs: Monte Carlo; run k of a seed
    is always the same. same_chip: all runs programme the same devices anew; else each run is a chip of its own.
    Copies of a layer (replicas) have the devices of the first.

    Raises DataError for inputs of a wrong shape or type or with NaN, ModelError for range-mode ADCs without full scale,
    ConfigError for an unknown noise model.
    """
    if batch_size is not None and batch_size < 1:
        raise DataError(f"batch_size: must be at least 1, got {batch_size}; leave it out for a suitable one")
    if n_runs is not None and n_runs < 1:
        raise DataError(f"n_runs: must be at least 1, got {n_runs}; leave it out for one run")
    model = load_noise(noise) if isinstance(noise, (str, Path)) else noise
    physics = physics_of(program, model)
    if physics is None and n_runs is not None:
        raise DataError(
            f"n_runs: has no effect with ideal cells, got {n_runs}; give a noise, for example reram_wan_2022"
        )
    if n_runs is None:
        return Simulator(program, physics=physics, draw=Draw(seed)).run(inputs, batch_size, progress)
    host, results = Host(program.network), []
    for run in range(n_runs):
        simulator = Simulator(program, host, physics=physics, draw=Draw(seed, run, same_chip))

        def told(done: int, total: int, run: int = run) -> None:
            progress(run * total + done, n_runs * total)

        results.append(simulator.run(inputs, batch_size, told))
    return Runs(seed, tuple(results))


def physics_of(program: Program, noise: NoiseModel | None = None) -> NoiseModel | None:
    """The noise model that a simulation uses; None where cells are ideal and sums are exact integers."""
    if noise is not None:
        return noise
    return (program.chip.noise or NoiseModel()) if program.chip.is_analog else None


class Multiply(Protocol):
    """Computes one layer's integer vectors [vector, group, row]: float64 [vector, group, col], and counts.

    Rows and columns are those that the layer keeps (`LayerProgram.kept_rows`, `kept_cols`).
    first_vector: how many vectors of the layer came before these.
    """

    def __call__(self, index: int, x: Integers, first_vector: int) -> tuple[Tensor, Counts]: ...


class Simulator:
    """A program made ready to run many times; `replaced` shares what two programs have in common.

    physics: the noise model of real cells, None for ideal ones. draw: which devices and which programming of them.
    """

    def __init__(
        self,
        program: Program,
        host: Host | None = None,
        prepared: Sequence[PreparedLayer] = (),
        physics: NoiseModel | None = None,
        draw: Draw = Draw(),  # noqa: B008  (frozen)
    ) -> None:
        self.program = program
        self._host = host or Host(program.network)
        known = {id(p.layer): p for p in prepared}
        self._prepared: tuple[PreparedLayer, ...] = ()
        self._analog: tuple[AnalogLayer, ...] = ()
        if physics is None:
            self._prepared = tuple(known.get(id(layer)) or prepare(layer) for layer in program.layers)
            self._lines = tuple(nominal_lines(layer, program.chip) for layer in program.layers)
        else:
            self._analog = tuple(prepare_analog(layer, program.chip, physics, draw) for layer in program.layers)
            self._lines = tuple(analog.lines for analog in self._analog)

    def replaced(self, program: Program) -> Simulator:
        """For a program of the same network with ideal cells: the same layers are not prepared again."""
        return Simulator(program, self._host, self._prepared)

    def run(
        self,
        inputs: Tensor | Sequence[Tensor],
        batch_size: int | None = None,
        progress: Progress = lambda done, total: None,
    ) -> SimResult:
        """As `simulate`."""
        return walk(self.program, self._host, inputs, self._multiply, batch_size, progress, self._lines)

    def _multiply(self, index: int, x: Integers, first_vector: int) -> tuple[Tensor, Counts]:
        if self._analog:
            return multiply_analog(self._analog[index], x, first_vector)
        return multiply(self._prepared[index], x)


def walk(
    program: Program,
    host: Host,
    inputs: Tensor | Sequence[Tensor],
    multiply: Multiply,
    batch_size: int | None = None,
    progress: Progress = lambda done, total: None,
    lines: Sequence[Lines | None] = (),
) -> SimResult:
    """Run the network batch by batch with `multiply` in place of its matrix layers, and add up the counts.

    lines: conductances of the word lines of each layer; without them, reads of cells are not counted.
    """
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    total = len(tensors[0]) if tensors and isinstance(tensors[0], Tensor) and tensors[0].dim() else 0
    fixed = program.network.fixed_batch
    size = fixed or batch_size or _batch_size(program)
    outputs, activity = [], None
    for start in range(0, max(total, 1), size):
        part = [t[start : start + size] for t in tensors] if total else tensors  # the host explains what is wrong
        tally = _Tally(program, multiply, start, len(part[0]) / fixed if fixed and total else 1.0, lines)
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
        rows, cols = layer.shape
        largest = max(largest, layer.vectors_per_input * layer.groups * (6 * rows + 24 * cols))
    return max(1, min(_MAX_BATCH, _BATCH_BYTES // largest))


@dataclass
class _LayerTally:
    saturations: tuple[int, ...]
    vectors: int = 0
    unit_saturations: int = 0
    active_rows: int = 0
    cell_reads: Fraction = Fraction(0)
    clipped: int = 0


class _Tally:
    """Computes the matrix layers of one batch and counts.

    first_input: inputs that came before. share: the part of the batch that is not filling. lines: see `walk`.
    """

    def __init__(
        self, program: Program, multiply: Multiply, first_input: int, share: float, lines: Sequence[Lines | None]
    ) -> None:
        self._program = program
        self._multiply = multiply
        self._first_input = first_input
        self._share = share
        self._lines = lines or [None] * len(program.layers)
        self._layers = [_LayerTally((0,) * layer.n_slices) for layer in program.layers]

    def compute(self, index: int, _layer: MatrixLayer, x: Tensor) -> Tensor:
        """The layer's output for its activations, as `xbar.host.run` wants it."""
        layer, tally = self._program.layers[index], self._layers[index]
        full = len(x)
        x = x[: round(full * self._share)]
        q, clipped = quantize_input(x, layer.input_scale, layer.input_bits, layer.input_signed)
        rows = vectors(q.to(_integer_type(layer)), layer.conv, layer.groups)
        first = self._first_input * layer.vectors_per_input
        kept = gather(layer, rows.numpy())
        sums, counts = self._multiply(index, kept, first)
        tally.vectors += len(rows)
        tally.clipped += clipped
        digits = count_digits(kept, layer.input_bits, layer.input_signed, layer.dac_bits)
        tally.active_rows += active_rows(layer, digits.active)
        tally.cell_reads += cell_reads(layer, self._lines[index], digits.squares)
        tally.unit_saturations += counts.unit_saturations
        tally.saturations = tuple(a + b for a, b in zip(tally.saturations, counts.saturations, strict=True))
        outputs = dequantize(scatter(layer, sums), layer.input_scale, layer.weight_scale, layer.bias)
        y = fold_back(outputs, x.shape, layer.conv)
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
        active_rows=tally.active_rows,
        cell_reads=tally.cell_reads,
        conversions=tuple(n * c for c in per_vector.conversions),
        saturations=tally.saturations,
        unit_conversions=n * per_vector.unit_conversions,
        unit_saturations=tally.unit_saturations,
        clipped_inputs=tally.clipped,
        tile_adds=n * per_vector.tile_adds,
        buffer_read_bits=n * per_vector.buffer_read_bits,
        buffer_write_bits=n * per_vector.buffer_write_bits,
        bus_bits=n * per_vector.bus_bits,
        link_bits=n_inputs * layer.link_bits_per_input,
    )
