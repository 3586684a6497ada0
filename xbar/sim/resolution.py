"""How many bits the ADC of each layer and slice needs: for its weights, for the data, and for the accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from torch import Tensor

from xbar.errors import DataError
from xbar.program import AdcSetting, LayerProgram, Program, largest_sums
from xbar.sim.adc import ColumnSums, _observe
from xbar.sim.simulate import Simulator

Bits = tuple[tuple[int, ...], ...]  # [layer][slice]


@dataclass(frozen=True)
class SliceResolution:
    """ADC bits of one slice (0 = least significant) of one layer.

    lossless_bits: hold the largest column sum that the actual weights allow. max_bits, p999_bits: hold the largest one
    that occurred, and all but 0.1 % of them. smallest_bits: what the search found, all layers and slices together.
    """

    layer: str
    slice: int
    lossless_bits: int
    max_bits: int
    p999_bits: int
    smallest_bits: int


@dataclass(frozen=True)
class AdcResolution:
    """The ADC resolution of a program on labelled data.

    accuracy: with every slice at its `smallest_bits` at once, as simulated; at least lossless_accuracy - max_loss.
    uniform_bits: the smallest resolution that one ADC for all layers and slices may have, and uniform_accuracy with it.
    The unit column of offset encodings is read with the largest resolution of its layer.
    """

    slices: tuple[SliceResolution, ...]
    n_inputs: int
    max_loss: float
    lossless_accuracy: float
    accuracy: float
    uniform_bits: int
    uniform_accuracy: float

    def rows(self) -> list[dict[str, int | str]]:
        """One dictionary per layer and slice, for tables."""
        return [asdict(s) for s in self.slices]

    def __str__(self) -> str:
        """One line per layer: lossless/seen/99.9 % > smallest bits of its slices, the least significant first."""
        lines = ["ADC bits by slice, least significant first: lossless/seen/99.9 % of the data > smallest"]
        for layer in dict.fromkeys(s.layer for s in self.slices):
            own = (s for s in self.slices if s.layer == layer)
            bits = (f"{s.lossless_bits}/{s.max_bits}/{s.p999_bits} > {s.smallest_bits}" for s in own)
            lines.append(f"  {layer:<20}" + "   ".join(bits))
        return "\n".join([*lines, self.summary()])

    def summary(self) -> str:
        """One line on what the search found."""
        return (
            f"{self.n_inputs} inputs: accuracy {self.lossless_accuracy:.2%} lossless, {self.accuracy:.2%} with the "
            f"smallest bits, {self.uniform_accuracy:.2%} with {self.uniform_bits} bits everywhere "
            f"(allowed loss {self.max_loss:.2%})"
        )


def adc_resolution(
    program: Program,
    inputs: Tensor | Sequence[Tensor],
    labels: Tensor,
    max_loss: float = 0.01,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> AdcResolution:
    """Find how few ADC bits keep the accuracy within `max_loss` (a fraction) of that of lossless ADCs.

    First the smallest number of bits for all slices of all layers, then, slice by slice from the least significant one,
    the smallest for each with the others as they are; all by bisection, and only combinations that were simulated on
    all inputs are kept. The ADCs read in the program's mode (an ideal one: clip), in range mode with its full scales.

    labels: integers [input]; the network's outputs are scores [input, class]. progress(done, total) counts slices.
    Raises DataError where inputs, labels and outputs do not fit together, or max_loss is not in 0 .. 1.
    """
    if not 0 <= max_loss <= 1:
        raise DataError(f"max_loss: must be a fraction from 0 to 1, got {max_loss}; 0.01 allows one percent")
    seen, ideal = _observe(program, inputs)
    problems = _label_problems(ideal.outputs, labels)
    if problems:
        raise DataError(problems)
    search = _Search(program, inputs, labels, _ceilings(program, seen))
    lossless = search.hits_of(ideal.outputs)
    enough = int(np.ceil(lossless - max_loss * len(labels) - 1e-9))
    uniform, bits, uniform_hits = search.uniform(enough, lossless)
    bits, hits = search.by_slice(bits, uniform_hits, enough, progress)
    slices = tuple(
        SliceResolution(layer.name, s, _bits_for(worst[s]), _bits_for(largest[s]), _bits_for(most[s]), bits[i][s])
        for i, (layer, sums) in enumerate(zip(program.layers, seen, strict=True))
        for worst, largest, most in [(largest_sums(layer), sums.largest(), sums.percentile(99.9))]
        for s in range(layer.n_slices)
    )
    n = len(labels)
    return AdcResolution(slices, n, max_loss, lossless / n, hits / n, uniform, uniform_hits / n)


def _bits_for(largest: int) -> int:
    """Bits whose codes reach `largest`."""
    return max(1, int(largest).bit_length())


def _label_problems(outputs: Tensor, labels: Tensor) -> list[str]:
    problems = []
    if outputs.dim() != 2:
        problems.append(f"model: must return scores [input, class] to have an accuracy, got {list(outputs.shape)}")
    if labels.dim() != 1 or len(labels) != len(outputs):
        problems.append(f"labels: expected one integer for each of {len(outputs)} inputs, got {list(labels.shape)}")
    return problems


def _ceilings(program: Program, seen: tuple[ColumnSums, ...]) -> Bits:
    """Bits with which nothing is lost on these data: no sum saturates, and the LSB is one cell step."""
    ceilings = []
    for layer, sums in zip(program.layers, seen, strict=True):
        largest = sums.largest()
        if layer.adc.full_scale is not None:
            largest = np.maximum(largest, layer.adc.full_scale)
        bits = [_bits_for(y) for y in largest]
        if sums.unit.any():  # it is read with the layer's largest resolution
            bits[bits.index(max(bits))] = max(max(bits), _bits_for(np.flatnonzero(sums.unit)[-1]))
        ceilings.append(tuple(bits))
    return tuple(ceilings)


class _Search:
    """Accuracy as a function of ADC bits, in numbers of hits."""

    def __init__(self, program: Program, inputs: Tensor | Sequence[Tensor], labels: Tensor, ceilings: Bits) -> None:
        self._program = program
        self._inputs = inputs
        self._labels = labels
        self._ceilings = ceilings
        self._layers: dict[tuple[int, tuple[int, ...]], LayerProgram] = {}
        self._simulator = Simulator(self._with(ceilings))

    def hits_of(self, outputs: Tensor) -> int:
        return int((outputs.argmax(dim=1) == self._labels).sum())

    def hits(self, bits: Bits) -> int:
        self._simulator = self._simulator.replaced(self._with(bits))
        return self.hits_of(self._simulator.run(self._inputs).outputs)

    def _with(self, bits: Bits) -> Program:
        layers = []
        for i, (layer, chosen) in enumerate(zip(self._program.layers, bits, strict=True)):
            unit_bits = max(chosen) if layer.unit_coef is not None else None
            adc = AdcSetting("range" if layer.adc.mode == "range" else "clip", chosen, layer.adc.full_scale, unit_bits)
            layers.append(self._layers.setdefault((i, chosen), replace(layer, adc=adc)))
        return replace(self._program, layers=tuple(layers))

    def uniform(self, enough: int, lossless: int) -> tuple[int, Bits, int]:
        """The smallest bits for all, the combination with ceilings that it means, and its hits."""
        low, high = 0, max(max(c) for c in self._ceilings)
        best, best_hits = self._ceilings, lossless
        while high - low > 1:
            middle = (low + high) // 2
            bits = tuple(tuple(min(b, middle) for b in c) for c in self._ceilings)
            hits = self.hits(tuple((middle,) * len(c) for c in self._ceilings))
            if hits >= enough:
                high, best, best_hits = middle, bits, hits
            else:
                low = middle
        return high, best, best_hits

    def by_slice(self, bits: Bits, hits: int, enough: int, progress: Callable[[int, int], None]) -> tuple[Bits, int]:
        """Lower one slice after the other; returns the last combination that was simulated and is good enough."""
        places = sorted((s, i) for i, chosen in enumerate(bits) for s in range(len(chosen)))
        for done, (s, i) in enumerate(places):
            low, high = 0, bits[i][s]
            while high - low > 1:
                middle = (low + high) // 2
                candidate = tuple((*c[:s], middle, *c[s + 1 :]) if j == i else c for j, c in enumerate(bits))
                found = self.hits(candidate)
                if found >= enough:
                    high, bits, hits = middle, candidate, found
                else:
                    low = middle
            progress(done + 1, len(places))
        return bits, hits
