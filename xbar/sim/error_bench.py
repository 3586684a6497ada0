"""Computes matrix layers in several ways on the same activations, and adds up how the results differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from torch import Tensor

from xbar.hardware import Chip
from xbar.host import Host, fold_back, vectors
from xbar.network import MatrixLayer
from xbar.noise import NoiseModel
from xbar.parts.array.per_cell import PerCellArray, ReferenceArray
from xbar.parts.base import Floats
from xbar.program import AdcSetting, Program
from xbar.quantization import dequantize, quantize_input
from xbar.sim.analog import AnalogLayer, multiply_analog
from xbar.sim.analog_prepare import prepare_analog
from xbar.sim.cells import Draw
from xbar.sim.compaction import gather, scatter
from xbar.sim.crossbar import Integers, multiply
from xbar.sim.prepare import prepare
from xbar.sim.simulate import Progress, _batch_size, _integer_type

_IDEAL = AdcSetting("ideal", None, None, None)


@dataclass(frozen=True)
class Crossbars:
    """Real cells of the chip: with its ADCs or ideal ones, with its wires or ideal ones, with some effects of noise."""

    adcs: bool = False
    wires: bool = False
    effects: tuple[str, ...] = ()


Way = Literal["float", "integer"] | Crossbars  # to compute a layer's outputs


@dataclass(frozen=True)
class Source:
    """An error: the difference of the outputs computed in two ways."""

    name: str
    on: Way
    off: Way

    @property
    def is_random(self) -> bool:
        return isinstance(self.on, Crossbars) and self.on.effects != ()


def _ideal_wires(chip: Chip) -> Chip:
    """The chip with crossbars whose wires have no resistance."""
    array = chip.crossbar
    reference = ReferenceArray(rows=array.rows, cols=array.cols, area_m2=0, power_W=0)
    size = {"rows": array.rows, "cols": array.cols, "read_time_s": array.read_time_s}
    return chip.model_copy(update={"crossbar": PerCellArray(**size, reference=reference, source="ideal wires")})


@dataclass
class Tally:
    """Sums of squares of one layer by [channel], and how many vectors and runs they are over."""

    signal: Floats | float = 0.0
    n_vectors: int = 0
    powers: dict[str, Floats | float] = field(default_factory=dict)
    vectors: dict[str, int] = field(default_factory=dict)

    def add(self, source: Source, error: Floats) -> None:
        """Errors [vector, channel]."""
        self.powers[source.name] = self.powers.get(source.name, 0.0) + (error**2).sum(axis=0)
        self.vectors[source.name] = self.vectors.get(source.name, 0) + len(error)

    def mean(self, source: Source) -> Floats:
        """Mean square error [channel]."""
        return np.asarray(self.powers[source.name] / self.vectors[source.name])

    def mean_signal(self) -> Floats:
        """Mean square of the float product [channel]."""
        return np.asarray(self.signal / self.n_vectors)


class Bench:
    """Computes layers in every way that some sources need, for one run, and adds up their errors."""

    def __init__(
        self,
        program: Program,
        noise: NoiseModel,
        draw: Draw,
        sources: tuple[Source, ...],
        tallies: Mapping[int, Tally],
    ) -> None:
        self.program, self.sources, self.tallies = program, sources, tallies
        self._noise, self._draw = noise, draw
        self._chips = {False: _ideal_wires(program.chip), True: program.chip}
        self._exact = tuple(prepare(replace(layer, adc=_IDEAL)) for layer in program.layers)
        self._real: dict[tuple[int, Crossbars], AnalogLayer] = {}

    def compute(self, index: int, matrix: MatrixLayer, x: Tensor, first_input: int, share: float) -> Tensor:
        """The layer's exact output for its activations; on the way its errors are measured.

        share: the part of the activations that belongs to inputs; the rest is filling.
        """
        layer = self.program.layers[index]
        q, _ = quantize_input(x, layer.input_scale, layer.input_bits, layer.input_signed)
        rows = vectors(q.to(_integer_type(layer)), layer.conv, layer.groups)
        integers = gather(layer, rows.numpy())
        sums, _ = multiply(self._exact[index], integers)
        exact = scatter(layer, sums)
        if index in self.tallies:
            n = round(len(integers) * share)
            floats = vectors(x, layer.conv, layer.groups)[:n].numpy()
            first_vector = first_input * layer.vectors_per_input
            self._measure(index, matrix, floats, integers[:n], exact[:n].double().numpy(), first_vector)
        return fold_back(dequantize(exact, layer.input_scale, layer.weight_scale, layer.bias), x.shape, layer.conv)

    def _measure(
        self, index: int, matrix: MatrixLayer, x: Floats, q: Integers, exact: Floats, first_vector: int
    ) -> None:
        layer, tally = self.program.layers[index], self.tallies[index]
        step = (np.asarray(layer.weight_scale, np.float64) * layer.input_scale).reshape(-1)
        weight = matrix.weight.reshape(layer.groups, matrix.n_cols, matrix.n_rows).astype(np.float64)
        true = (x.astype(np.float64).swapaxes(0, 1) @ weight.swapaxes(1, 2)).swapaxes(0, 1).reshape(len(x), -1)
        outputs: dict[Way, Floats] = {"float": true, "integer": exact.reshape(len(x), -1) * step}

        def output(way: Way) -> Floats:
            if way not in outputs and isinstance(way, Crossbars):
                sums, _ = multiply_analog(self._crossbars(index, way), q, first_vector)
                outputs[way] = scatter(layer, sums).numpy().reshape(len(x), -1) * step
            return outputs[way]

        for source in self.sources:
            tally.add(source, output(source.on) - output(source.off))
        if self._draw.run == 0:
            tally.signal = tally.signal + (true**2).sum(axis=0)
            tally.n_vectors += len(x)

    def _crossbars(self, index: int, way: Crossbars) -> AnalogLayer:
        """The layer programmed once for each way."""
        if (index, way) not in self._real:
            layer = self.program.layers[index]
            layer = layer if way.adcs else replace(layer, adc=_IDEAL)
            noise = self._noise.only(*way.effects)
            self._real[index, way] = prepare_analog(layer, self._chips[way.wires], noise, self._draw)
        return self._real[index, way]


def walk_exactly(bench: Bench, host: Host, inputs: Tensor | Sequence[Tensor], progress: Progress) -> int:
    """Show the bench the activations of all inputs; how many inputs there are."""
    tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    total = len(tensors[0]) if tensors and isinstance(tensors[0], Tensor) and tensors[0].dim() else 0
    fixed = bench.program.network.fixed_batch
    size = fixed or _batch_size(bench.program)
    for start in range(0, max(total, 1), size):
        part = [t[start : start + size] for t in tensors] if total else tensors  # the host explains what is wrong
        share = len(part[0]) / fixed if fixed and total else 1.0

        def compute(index: int, matrix: MatrixLayer, x: Tensor, start: int = start, share: float = share) -> Tensor:
            return bench.compute(index, matrix, x, start, share)

        host.run(part, compute)
        progress(min(start + size, total), total)
    return total
