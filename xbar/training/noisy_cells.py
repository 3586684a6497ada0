"""Weights as noisy cells would hold them, fast enough for every step of a training.

The cells of a level are alike and independent of each other. So what noise makes of a *word* (some bits of a weight, of
both polarities where there are two) has a distribution of its own for each value, and from each a pool is put together
from cells drawn by the very `sample` of the noise's effects: whatever they are. A step takes a random entry of its pool
for every word of every weight; cells and pools are drawn anew every hundred steps.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mapping.partition import row_edges
from xbar.hardware import Chip
from xbar.noise import NoiseModel
from xbar.parts.base import Cells, Floats, When
from xbar.rng import generator

Integers = NDArray[np.integer[Any]]
Singles = NDArray[np.float32]
Heights = NDArray[np.intp]  # of row blocks

DRAWS = 1024  # a power of 2
STEPS = 100  # that one pool serves
_CELLS = 1 << 15  # drawn for a pool, levels together
_ENTRY_BITS = 8  # of a word and its flips: its pool should stay in a processor's cache
_STREAM = "training noise"


@dataclass(frozen=True, eq=False)
class _Word:
    """The slices of a word, first of which is the lowest; n_values: of the word, each set of flips counted apart."""

    slices: tuple[int, ...]
    n_values: int


@dataclass(frozen=True, eq=False)
class _Pool:
    """values: float32 [value * draw] in integer weights; now, fresh: mean summed conductance over g_max, [value]."""

    values: Singles
    now: Floats
    fresh: Floats


@final
class NoisyCells:
    """Draws what a chip's cells make of integer weights; same seed, layer and step, same bits.

    Effects on cells act as in `xbar.sim.cells.realise`, those that a device has for life included: every step is
    another chip. Read noise adds the error of one read, drivers (DACs) that of their row at one pulse. Unit and
    reference columns have noise as well, one cell of which all weights of a row share within a crossbar. Drift is
    compensated by the ratio that is expected for the layer's weights. What mapping leaves out has no cells and no
    noise: rows, columns and pieces without a weight (with layout: separate the pieces of single planes are all there).
    Wires are ideal.
    """

    def __init__(self, chip: Chip, noise: NoiseModel, seed: int) -> None:
        self.chip, self.noise, self.seed = chip, noise, seed
        self._offset, self._flipped = chip.encoding.kind == "offset", chip.encoding.flipped
        self._cell_bits, self._top_level = chip.device.cell_bits, (1 << chip.device.cell_bits) - 1
        self._low, self._step_rel = chip.device.low_rel, (1 - chip.device.low_rel) / self._top_level
        self._scale = 2.0 ** (self._cell_bits * np.arange(chip.n_slices))
        self._width = chip.crossbar.cols // chip.columns_per_weight
        self._words = self._cut()
        self._drawn = functools.lru_cache(maxsize=len(self._words))(self._draw_pool)
        self._line_cells = functools.lru_cache(maxsize=1)(self._draw_line_cells)

    def hold(self, weights: Integers, layer: str, step: int) -> Singles:
        """What cells programmed to integer weights [group, col, row] hold, in integer weights; same shape."""
        used = weights != 0
        cols, rows = used.any(axis=(0, 2)), used.any(axis=(0, 1))
        if cols.all() and rows.all():
            return self._hold(weights, used, layer, step)
        held = np.zeros(weights.shape, np.float32)
        if not rows.any():
            return held
        kept = np.ix_(range(len(weights)), cols, rows)
        held[kept] = self._hold(weights[kept], used[kept], layer, step)
        return held

    def _hold(self, weights: Integers, used: NDArray[np.bool_], layer: str, step: int) -> Singles:
        rng = generator(self.seed, _STREAM, layer, step)
        edges = row_edges(weights.shape[2], self.chip.crossbar.rows)
        heights = np.diff(edges)
        offset = 1 << (self.chip.precision.weight_bits - 1)
        code = (weights + offset if self._offset else np.abs(weights)).astype(np.uint16)
        flips = self._flips(code, edges, heights) if self._flipped else None
        above = None if flips is None else self._above(flips)
        held = np.zeros(weights.shape, np.float32)
        now = fresh = 0.0
        draws = _random((len(self._words), *weights.shape), rng)
        for i, word in enumerate(self._words):
            pool = self._drawn(i, step // STEPS)
            chosen = self._values(code, word)
            if above is not None:
                chosen += np.repeat(above[i], heights, axis=2)
            if self.noise.drift_compensation:
                counts = np.bincount(chosen.reshape(-1), minlength=word.n_values)
                now, fresh = now + float(counts @ pool.now), fresh + float(counts @ pool.fresh)
            chosen *= DRAWS
            chosen += draws[i]
            held += pool.values.take(chosen, mode="wrap")  # faster, and none is beyond
        if not self._offset:
            held *= 1 - 2 * (weights < 0).astype(np.float32)
        planes, unit = self._factors(flips)
        self._add_lines(held, planes, unit, heights, step, rng)
        sums = None
        if self._offset and self.chip.encoding.baseline_removal == "digital":
            sums = self._spread(planes.sum(axis=0) + unit, heights)
        self._drive(held, sums, fresh / now if fresh > 0 and now > 0 else 1.0, rng)
        self._drop_empty(held, used, edges, heights)
        return held

    def _cut(self) -> tuple[_Word, ...]:
        """Words of as many slices as fit."""
        n, cell_bits = self.chip.n_slices, self._cell_bits
        at_once = max(1, _ENTRY_BITS // (cell_bits + self._flipped))
        words = [tuple(range(first, min(first + at_once, n))) for first in range(0, n, at_once)]
        if self._flipped:  # what a flipped column does not use of its top slice is full
            return tuple(_Word(w, 1 << (cell_bits + 1) * len(w)) for w in words)
        bits = self.chip.precision.weight_bits - (not self._offset)
        return tuple(_Word(w, 1 << min(cell_bits * len(w), bits - cell_bits * w[0])) for w in words)

    def _flips(self, code: NDArray[np.uint16], edges: tuple[int, ...], heights: Heights) -> NDArray[np.bool_]:
        """Which columns are stored inverted, [slice, group, col, row_block]: the rule of `mapping.encode`, faster."""
        levels = ((code >> (self._cell_bits * s)) & self._top_level for s in range(self.chip.n_slices))
        sums = np.stack([np.add.reduceat(level, edges[:-1], axis=2, dtype=np.uint32) for level in levels])
        return 2 * sums > heights * self._top_level

    def _values(self, code: NDArray[np.uint16], word: _Word) -> NDArray[np.int32]:
        """The value of a word in every weight, flips left out."""
        bits = self._cell_bits * len(word.slices)
        return ((code >> (self._cell_bits * word.slices[0])) & ((1 << bits) - 1)).astype(np.int32)

    def _above(self, flips: NDArray[np.bool_]) -> NDArray[np.int32]:
        """What flips add to the values of words, [word, group, col, row_block]: one bit each, above those of levels."""
        bit = [self._cell_bits * len(w.slices) + k for w in self._words for k in range(len(w.slices))]
        value = (1 << np.array(bit, np.int32)).reshape(-1, 1, 1, 1)
        return np.add.reduceat(flips * value, [w.slices[0] for w in self._words], axis=0)

    def _draw_pool(self, index: int, era: int) -> _Pool:
        word, top = self._words[index], self._top_level
        place, n = np.arange(len(word.slices)), len(word.slices)
        value = np.arange(word.n_values)[:, None]
        level = (value >> (self._cell_bits * place)) & top  # [value, slice]
        flipped = (value >> (self._cell_bits * n + place)) & 1
        level = np.where(flipped, top - level, level)
        polarities = np.stack([level] if self._offset else [level, np.zeros_like(level)])
        now, fresh, read = (g.reshape(-1) for g in self._cells_of(index, era))
        draws = now.size // (top + 1)
        rng = generator(self.seed, _STREAM, "word", index, era)
        chosen = rng.integers(0, draws, (*polarities.shape, DRAWS), np.uint16) + polarities[..., None] * draws
        sums = np.zeros((2, word.n_values))
        if self.noise.drift_compensation:
            sums = np.stack([x[chosen].mean(axis=3).sum(axis=(0, 2)) for x in (now, fresh)])
        steps = ((read - self._low) / self._step_rel).astype(np.float32)[chosen]  # [polarity, value, slice, draw]
        factor = ((1 - 2 * flipped) * self._scale[list(word.slices)]).astype(np.float32)
        values = np.einsum("vsd,vs->vd", steps[0] if self._offset else steps[0] - steps[1], factor)
        return _Pool(values.reshape(-1), *sums)

    def _draw_line_cells(self, era: int) -> Singles:
        """Cells of the two levels that unit and reference columns have, in cell steps, float32 [level, draw]."""
        return ((self._cells_of(-1, era)[2][:2] - self._low) / self._step_rel).astype(np.float32)

    def _cells_of(self, index: int, era: int) -> tuple[Floats, Floats, Floats]:
        """Cells [level, draw] at the time of reading, right after programming where that is asked for, and as read."""
        n_levels, names = self._top_level + 1, ("cells", index, era)
        level = np.repeat(np.arange(n_levels, dtype=np.uint8)[:, None], max(DRAWS, _CELLS // n_levels), axis=1)
        fresh = now = self._conductances(level, self.noise.when, *names)
        if self.noise.drift_compensation:
            fresh = self._conductances(level, replace(self.noise.when, time_s=0.0), *names)
        return now, fresh, self._read(now, *names)

    def _conductances(self, level: NDArray[np.uint8], when: When, *names: str | int) -> Floats:
        """Conductances over g_max, as `xbar.sim.cells.realise` has them."""
        levels = self.chip.device.levels_rel()
        cells = Cells(level, levels[level], self._low, len(levels))
        g = cells.target_rel
        for name, effect in self.noise.of_cells.items():
            g = effect.sample(cells, g, when, generator(self.seed, _STREAM, name, *names))
        return g

    def _read(self, g: Floats, *names: str | int) -> Floats:
        """Conductances with the error of one read of each cell."""
        for name, effect in self.noise.of_reads.items():
            xi = generator(self.seed, _STREAM, name, *names).standard_normal(g.shape)
            g = g + np.sqrt(effect.variance(g, self.noise.when)) * xi
        return g

    def _factors(self, flips: NDArray[np.bool_] | None) -> tuple[Singles, Singles]:
        """What a cell step counts in a weight: in each plane [slice, group, col, row_block], in the unit column."""
        scale = self._scale.reshape(-1, 1, 1, 1)
        flipped = np.zeros((len(scale), 1, 1, 1)) if flips is None else flips
        unit = (self._top_level * scale * flipped).sum(axis=0) - (1 << (self.chip.precision.weight_bits - 1))
        return ((1 - 2 * flipped) * scale).astype(np.float32), unit.astype(np.float32)

    def _add_lines(
        self,
        held: Singles,
        planes: Singles,
        unit: Singles,
        heights: Heights,
        step: int,
        rng: np.random.Generator,
    ) -> None:
        """What unit and reference columns add: exactly -offset without noise.

        Every strip of columns has its own; with layout: separate each plane has its own reference, else the two
        polarities have one that cancels.
        """
        (group, col, row), apart = held.shape, self.chip.encoding.layout == "separate"
        n_references = 0
        if self.chip.encoding.baseline_removal == "reference" and self._low > 0:
            n_references = self.chip.n_planes if apart else int(self._offset)
        if not self._offset + n_references:
            return
        cells = self._line_cells(step // STEPS)  # [level, draw]
        chosen = rng.integers(0, cells.shape[1], (self._offset + n_references, group, -(-col // self._width), row))
        chosen[: self._offset] += cells.shape[1]
        steps = cells.reshape(-1).take(chosen)  # [line, group, strip, row]
        strip = np.arange(col) // self._width
        if self._flipped:  # factors differ from column to column
            steps = steps[:, :, strip]
        references, factors = steps[self._offset :], planes
        added = np.zeros_like(steps[0])
        if not apart:
            factors = planes.sum(axis=0, keepdims=True)
        elif not self._offset:
            factors = np.concatenate([planes, -planes])
        for factor, reference in zip(factors, references, strict=False):
            added -= self._spread(factor, heights) * reference
        if self._offset:
            added += self._spread(unit, heights) * (steps[0] - references[0] if n_references else steps[0])
        held += added if self._flipped else added[:, strip]

    def _spread(self, factor: Singles, heights: Heights) -> Singles:
        """A factor of row blocks [group, col, row_block] for every row."""
        return np.repeat(factor, heights, axis=2) if self._flipped else factor

    def _drive(self, held: Singles, sums: Singles | None, gain: float, rng: np.random.Generator) -> None:
        """Word line voltages and drift compensation scale what the ADCs gave.

        sums: the factors of a weight's cells together, where their low currents are subtracted in digital, unscaled.
        """
        of_dacs = self.noise.of_dacs.values()
        if gain == 1 and not of_dacs:
            return
        drive = np.full((held.shape[0], held.shape[2]), gain)
        for effect in of_dacs:
            drive *= effect.sample(drive.size, rng).reshape(drive.shape)
        sigma = np.sqrt(sum(effect.sigma_rel**2 for effect in of_dacs))
        drive = (drive * (1 + sigma * rng.standard_normal(drive.shape))).astype(np.float32)[:, None, :]
        held *= drive
        if sums is not None:
            held += (drive - 1) * sums * np.float32(self._low / self._step_rel)

    def _drop_empty(self, held: Singles, used: NDArray[np.bool_], edges: tuple[int, ...], heights: Heights) -> None:
        """Pieces without a weight have no crossbar; groups that may share one are taken as there."""
        n_cols, n_rows = held.shape[1:]
        if not self._offset and min(self.chip.crossbar.rows // n_rows, self._width // n_cols) > 1:
            return
        strips = np.arange(0, n_cols, self._width)
        held_by = np.logical_or.reduceat(np.logical_or.reduceat(used, edges[:-1], axis=2), strips, axis=1)
        if held_by.all():
            return
        there = np.repeat(held_by, heights, axis=2)
        held *= there[:, np.arange(n_cols) // self._width]


def _random(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.uint16]:
    """Numbers of draws; several of each raw word of the generator."""
    size = math.prod(shape)
    raw = rng.bit_generator.random_raw(-(-size // 4)).view(np.uint16)
    return (raw[:size] & np.uint16(DRAWS - 1)).reshape(shape)
