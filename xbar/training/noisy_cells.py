"""Weights as noisy cells would hold them, fast enough for every step of a training.

The cells of a level are alike and independent of each other. So what noise makes of a *word* (up to eight bits of a
weight, of both polarities where there are two) has a distribution of its own for each value, and from each a pool is
put together from cells drawn by the very `sample` of the noise's effects: whatever they are. A step takes a random
entry of its pool for every word of every weight; cells and pools are drawn anew every hundred steps.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mapping.encode import encode
from mapping.partition import row_edges
from xbar.hardware import Chip
from xbar.noise import NoiseModel
from xbar.parts.base import Cells, Floats, When
from xbar.rng import generator

Integers = NDArray[np.integer[Any]]

DRAWS = 1024
STEPS = 100  # that one pool serves
_CELLS = 1 << 15  # drawn for a pool, levels together
_WORD_BITS = 8
_STREAM = "training noise"


@dataclass(frozen=True, eq=False)
class _Word:
    """The slices of a word, first of which is the lowest; n_values: of the word, flipped slices counted apart."""

    slices: tuple[int, ...]
    n_values: int


@dataclass(frozen=True, eq=False)
class _Pool:
    """values: float32 [value, draw] in integer weights; now, fresh: mean summed conductance over g_max, [value]."""

    values: NDArray[np.float32]
    now: Floats
    fresh: Floats


@final
class NoisyCells:
    """Draws what a chip's cells make of integer weights; same seed, layer and step, same bits.

    Effects on cells act as in `xbar.sim.cells.realise`, those that a device has for life included: every step is
    another chip. Read noise adds the error of one read, drivers (DACs) that of their row at one pulse. Unit and
    reference columns have noise as well, one cell of which all weights of a row share within a crossbar. Wires are
    ideal.
    """

    def __init__(self, chip: Chip, noise: NoiseModel, seed: int) -> None:
        self.chip, self.noise, self.seed = chip, noise, seed
        self._offset = chip.encoding.kind == "offset"
        self._cell_bits, self._top_level = chip.device.cell_bits, (1 << chip.device.cell_bits) - 1
        self._step_rel = (1 - chip.device.low_rel) / self._top_level
        self._words = self._cut()
        self._drawn = functools.lru_cache(maxsize=len(self._words))(self._draw_pool)

    def hold(self, weights: Integers, layer: str, step: int) -> NDArray[np.float32]:
        """What cells programmed to integer weights [group, col, row] hold, in integer weights; same shape."""
        rng = generator(self.seed, _STREAM, layer, step)
        coded = self._code(weights)
        held = np.zeros(weights.shape, np.float32)
        now = fresh = 0.0
        for i, word in enumerate(self._words):
            pool = self._drawn(i, step // STEPS)
            value = self._values(coded, word)
            chosen = value * DRAWS
            chosen += rng.integers(0, DRAWS, weights.shape, dtype=np.uint16)
            held += pool.values.reshape(-1).take(chosen)
            if self.noise.drift_compensation:
                counts = np.bincount(value.reshape(-1), minlength=word.n_values)
                now, fresh = now + float(counts @ pool.now), fresh + float(counts @ pool.fresh)
        if self._offset:
            held += self._of_lines(coded, layer, step)
        else:
            held *= 1 - 2 * (weights < 0).astype(np.float32)
        if fresh > 0 and now > 0:
            self._compensate(held, coded, fresh / now)
        if self.noise.of_dacs:
            held *= self._drive(weights.shape[0], weights.shape[2], rng)[:, None, :]
        return held

    def _cut(self) -> tuple[_Word, ...]:
        """Words of as many slices as fit; where slices may be flipped each is a word of its own."""
        n, flipped = self.chip.n_slices, self.chip.encoding.flipped
        at_once = 1 if flipped else max(1, _WORD_BITS // self._cell_bits)
        words = [tuple(range(first, min(first + at_once, n))) for first in range(0, n, at_once)]
        bits = self.chip.precision.weight_bits - (not self._offset)
        used = [min(self._cell_bits * len(w), bits - self._cell_bits * w[0]) for w in words]
        if flipped:  # what a flipped column does not use of its top slice is full
            used = [self._cell_bits] * n
        return tuple(_Word(w, (1 + flipped) << u) for w, u in zip(words, used, strict=True))

    def _code(self, weights: Integers) -> _Coded:
        bits, encoding, device = self.chip.precision.weight_bits, self.chip.encoding, self.chip.device
        if not self._offset:
            return _Coded(np.abs(weights).astype(np.intp), None, None)
        edges = row_edges(weights.shape[2], self.chip.crossbar.rows)
        found = encode(
            weights.swapaxes(1, 2), edges, encoding.kind, bits, device.cell_bits, self.chip.n_slices, encoding.flipped
        )
        heights = np.diff(edges)
        signs = np.repeat(found.plane_sign, heights, axis=1).transpose(0, 2, 3, 1)  # [plane, group, col, row]
        unit = None if found.unit_coef is None else np.repeat(found.unit_coef, heights, axis=0).transpose(1, 2, 0)
        return _Coded(weights.astype(np.intp) + (1 << (bits - 1)), signs, unit)

    def _values(self, coded: _Coded, word: _Word) -> NDArray[np.intp]:
        """The value of a word in every weight, flipped slices after the others."""
        bits = self._cell_bits * len(word.slices)
        value = (coded.code >> (self._cell_bits * word.slices[0])) & ((1 << bits) - 1)
        if coded.signs is not None and self.chip.encoding.flipped:
            value += (coded.signs[word.slices[0]] < 0).astype(np.intp) << bits
        return value

    def _draw_pool(self, index: int, era: int) -> _Pool:
        word, top = self._words[index], self._top_level
        value = np.arange(word.n_values)
        bits = self._cell_bits * len(word.slices)
        flipped = (value >> bits).astype(bool)
        places = np.arange(len(word.slices))
        level = (value[:, None] >> (self._cell_bits * places)) & top
        level = np.where(flipped[:, None], top - level, level)  # [value, slice]
        polarities = [level] if self._offset else [level, np.zeros_like(level)]
        shape = (len(polarities), *level.shape)
        now, fresh, read = (g.reshape(-1) for g in self._cells_of(index, era))
        draws = now.size // (top + 1)
        chosen = np.stack(polarities)[..., None] * draws  # [polarity, value, slice, draw]
        chosen = chosen + generator(self.seed, _STREAM, "word", index, era).integers(
            0, draws, (*shape, DRAWS), np.uint16
        )
        sums = np.zeros((2, word.n_values))
        if self.noise.drift_compensation:
            sums = np.stack([x[chosen].mean(axis=3).sum(axis=(0, 2)) for x in (now, fresh)])
        steps = ((read - self.chip.device.low_rel) / self._step_rel).astype(np.float32)[chosen]
        factor = (2.0 ** (self._cell_bits * np.array(word.slices))).astype(np.float32)
        values = np.einsum("vsd,s->vd", steps[0] if self._offset else steps[0] - steps[1], factor)
        return _Pool(values * np.where(flipped, np.float32(-1), np.float32(1))[:, None], *sums)

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
        cells = Cells(level, levels[level], self.chip.device.low_rel, len(levels))
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

    def _of_lines(self, coded: _Coded, layer: str, step: int) -> NDArray[np.float32]:
        """What unit and reference columns add: exactly -offset without noise."""
        assert coded.signs is not None
        assert coded.unit is not None
        _, group, col, row = coded.signs.shape
        apart = self.chip.encoding.layout == "separate"
        width = self.chip.crossbar.cols // self.chip.columns_per_weight
        strip = np.arange(col) // width
        low = self.chip.device.low_rel

        def column(level: int, n_sets: int, kind: str) -> Floats:
            """Cell steps of one column of every strip, float64 [set, group, col, row]."""
            cells = np.full((n_sets, group, -(-col // width), row), level, np.uint8)
            names = (kind, layer, step)
            g = self._read(self._conductances(cells, self.noise.when, *names), *names)
            return ((g - low) / self._step_rel)[:, :, strip]

        added = column(1, 1, "unit")[0]
        factors = coded.signs * 2.0 ** (self._cell_bits * np.arange(len(coded.signs)))[:, None, None, None]
        if self.chip.encoding.baseline_removal == "reference" and low > 0:
            reference = column(0, len(factors) if apart else 1, "reference")
            added = (added - reference[0]) * coded.unit - (factors * reference).sum(axis=0)
        else:
            added = added * coded.unit
        return added.astype(np.float32)

    def _compensate(self, held: NDArray[np.float32], coded: _Coded, gain: float) -> None:
        """Drift compensation scales what the ADCs gave; a baseline that is subtracted in digital is not scaled."""
        held *= gain
        if self.chip.encoding.baseline_removal == "digital" and coded.signs is not None and coded.unit is not None:
            scale = 2.0 ** (self._cell_bits * np.arange(len(coded.signs)))[:, None, None, None]
            sums = (coded.signs * scale).sum(axis=0) + coded.unit
            held += ((gain - 1) * self.chip.device.low_rel / self._step_rel * sums).astype(np.float32)

    def _drive(self, groups: int, rows: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Voltage of every word line over its nominal one, [group, row]."""
        drive = np.ones((groups, rows))
        for effect in self.noise.of_dacs.values():
            drive *= effect.sample(drive.size, rng).reshape(drive.shape)
            drive += effect.sigma_rel * rng.standard_normal(drive.shape)
        return drive.astype(np.float32)


@dataclass(frozen=True, eq=False)
class _Coded:
    """What the words of weights [group, col, row] are cut from; signs [plane, ...] and unit factors of offset
    encodings."""

    code: NDArray[np.intp]
    signs: NDArray[np.int8] | None
    unit: NDArray[np.int64] | None
