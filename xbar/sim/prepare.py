"""A layer made ready to run: what no ADC can clip becomes one integer matrix, the rest is packed.

The split is exact and per (plane, row block, column): with digits up to d, a column whose cells sum to S can reach d*S,
and where the ADC holds that, digitising changes nothing. For what is left, a pulse with n active word lines can reach
at most d times the n largest cells of a column: `n_safe` is the largest n for which no column of the block can clip.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xbar.errors import ModelError
from xbar.kernels.clip import PackedCells
from xbar.kernels.pulses import digit_table
from xbar.kernels.tile import LANES, PART_BITS, ROWS_PER_STEP
from xbar.program import AdcSetting, LayerProgram, crossbars_by_rows
from xbar.sim.product import ExactProduct

_NEVER = 2**31 - 1  # a limit that nothing reaches
_DENSE = 0.75  # share of risky columns from which all columns of a plane are packed, side by side
_LOOK_UP_COST, _CLIP_COST = 0.6, 8  # of a column in the kernel, in multiply-adds of a matrix product (measured)


@dataclass(frozen=True, eq=False)
class RiskyBlocks:
    """Row blocks with the same number of words whose columns may clip or are rounded, or whose unit column may clip.

    pair_group: [pair]; pair_rows: [pair, 2]; n_safe: [pair, pulse], see above.
    unit_coef: int64 [pair, col], 0 where the unit column of the pair cannot clip; None where none can.
    unit_crossbars: [pair] the crossbars that have such a unit column, each its own.
    pulse_cost: [pair] what one pulse costs in the kernel, in multiply-adds of a matrix product.
    """

    pair_group: NDArray[np.int64]
    pair_rows: NDArray[np.int64]
    n_safe: NDArray[np.int32]
    packed: PackedCells
    unit_coef: NDArray[np.int64] | None
    unit_crossbars: NDArray[np.int64]
    n_words: int
    pulse_cost: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class PreparedLayer:
    """All that `xbar.sim.crossbar.multiply` needs; see the module.

    lossless, risky, whole: products with the cells that cannot clip, with those that can, and with both.
    slots: the slices that have an accumulator of their own (LSB not 1), in ascending order; accumulator 0 is the rest.
    lsb: float64 [slot - 1].
    """

    layer: LayerProgram
    digit: NDArray[np.int64]
    pulse_bits: NDArray[np.int32]
    lossless: ExactProduct
    risky: ExactProduct
    whole: ExactProduct
    blocks: tuple[RiskyBlocks, ...]
    slots: tuple[int, ...]
    lsb: NDArray[np.float64]
    wide: bool


@dataclass(frozen=True)
class Digitiser:
    """An ADC setting by slice: largest code, whether codes are rounded (LSB not 1), and the LSB as a fraction."""

    max_code: NDArray[np.int64]
    full_scale: NDArray[np.int64]
    rounded: NDArray[np.bool_]

    @classmethod
    def of(cls, adc: AdcSetting, n_slices: int, where: str) -> Digitiser:
        """Raises ModelError where a range has not been calibrated."""
        if adc.mode == "ideal" or adc.bits is None:
            return cls(np.full(n_slices, _NEVER), np.ones(n_slices, np.int64), np.zeros(n_slices, bool))
        max_code = (1 << np.array(adc.bits, np.int64)) - 1
        if adc.mode == "clip":
            return cls(max_code, max_code, np.zeros(n_slices, bool))
        if adc.full_scale is None:
            raise ModelError(
                f"layer {where}: its range-mode ADC has no full scale yet; call xbar.sim.calibrate_adc first"
            )
        full_scale = np.array(adc.full_scale, np.int64)
        return cls(max_code, full_scale, full_scale > max_code)

    @property
    def lsb(self) -> NDArray[np.float64]:
        """Cell steps per code, float64 [slice]."""
        return np.where(self.rounded, self.full_scale / self.max_code, 1.0)


def prepare(layer: LayerProgram) -> PreparedLayer:
    """Analyse and pack one layer. Raises ModelError for an ADC range that is not calibrated."""
    adc = Digitiser.of(layer.adc, layer.n_slices, layer.name)
    digit = digit_table(layer.input_bits, layer.input_signed, layer.dac_bits)
    largest_digit = int((1 << digit[:, 1].max()) - 1)
    plane_slice = np.array(layer.plane_slice)
    sums = np.add.reduceat(layer.cells, layer.row_edges[:-1], axis=2, dtype=np.int64)  # [plane, group, block, col]
    plane_limit = adc.max_code[plane_slice][:, None, None, None]
    plane_rounded = adc.rounded[plane_slice][:, None, None, None]
    risky = np.where(plane_rounded, sums > 0, sums * largest_digit > plane_limit)
    crowded = risky.mean(axis=3, keepdims=True) >= _DENSE
    risky |= crowded
    unit_safe = _unit_safe(layer, largest_digit)
    lossless, clippable = _collapse(layer, risky, adc.rounded, unit_safe)
    largest_input = 1 << (layer.input_bits - 1) if layer.input_signed else (1 << layer.input_bits) - 1
    slots = tuple(int(s) for s in np.flatnonzero(adc.rounded))
    n_safe = _safe_lines(layer, risky & ~plane_rounded, adc.max_code[plane_slice], digit)
    pulse_bits = np.where(digit[:, 2] < 0, digit[:, 2], ((1 << digit[:, 1]) - 1) << digit[:, 0])
    top_code = np.minimum(adc.max_code[plane_slice], sums.max(axis=(1, 2, 3), initial=0) * largest_digit).max()
    return PreparedLayer(
        layer=layer,
        digit=digit,
        pulse_bits=pulse_bits.astype(np.int32),
        lossless=ExactProduct.of(lossless, largest_input),
        risky=ExactProduct.of(clippable, largest_input),
        whole=ExactProduct.of(lossless + clippable, largest_input),
        blocks=_pack_blocks(layer, risky, adc, n_safe, unit_safe),
        slots=slots,
        lsb=adc.lsb[list(slots)],
        wide=int(top_code) << layer.input_bits >= 2**31,
    )


def _unit_safe(layer: LayerProgram, largest_digit: int) -> NDArray[np.bool_]:
    """[block, group]: the unit column cannot clip (or there is none)."""
    crossbars = crossbars_by_rows(layer)
    if layer.unit_coef is None or layer.adc.unit_bits is None:
        return np.ones(crossbars.shape, bool)
    rows = np.diff(layer.row_edges)[:, None]
    return (rows * largest_digit <= (1 << layer.adc.unit_bits) - 1) | (crossbars == 0)


def _collapse(
    layer: LayerProgram, risky: NDArray[np.bool_], rounded: NDArray[np.bool_], unit_safe: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Weights [group, row, col] of the entries that cannot clip, and of those that can (rounded slices: neither)."""
    shape = layer.cells.shape[1:]
    parts = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for block, (first, last) in enumerate(zip(layer.row_edges, layer.row_edges[1:], strict=False)):
        for plane, s in enumerate(layer.plane_slice):
            if rounded[s]:
                continue
            factor = layer.plane_sign[plane, block].astype(np.int64) << (layer.cell_bits * s)  # [group, col]
            cells = layer.cells[plane, :, first:last]
            here = risky[plane, :, block]
            for part, chosen in zip(parts, (~here, here), strict=True):
                if chosen.any():
                    part[:, first:last] += cells * (factor * chosen)[:, None, :]
        if layer.unit_coef is not None:
            parts[0][:, first:last] += (layer.unit_coef[block] * unit_safe[block][:, None])[:, None, :]
    return parts


def _safe_lines(
    layer: LayerProgram, entries: NDArray[np.bool_], limit: NDArray[np.int64], digit: NDArray[np.int64]
) -> NDArray[np.int32]:
    """n_safe, int32 [group, block, pulse]: how many active word lines cannot make any of `entries` clip."""
    groups, n_blocks = entries.shape[1:3]
    safe = np.full((groups, n_blocks, len(digit)), _NEVER, np.int32)
    if not entries.any():
        return safe
    levels = range(int(layer.cells.max()), 0, -1)
    counts = [np.add.reduceat(layer.cells == level, layer.row_edges[:-1], axis=2, dtype=np.int32) for level in levels]
    for bits in np.unique(digit[:, 1]):
        left = np.broadcast_to((limit // ((1 << bits) - 1))[:, None, None, None], entries.shape).copy()
        lines, full = np.zeros(entries.shape, np.int64), np.zeros(entries.shape, bool)
        for level, count in zip(levels, counts, strict=True):  # the largest cells first
            taken = np.where(full, 0, np.minimum(count, left // level))
            lines += taken
            left -= taken * level
            full |= taken < count
        bound = np.where(entries & full, lines, _NEVER).min(axis=(0, 3))
        safe[:, :, digit[:, 1] == bits] = bound[:, :, None]
    return safe


def _pack_blocks(
    layer: LayerProgram,
    risky: NDArray[np.bool_],
    adc: Digitiser,
    n_safe: NDArray[np.int32],
    unit_safe: NDArray[np.bool_],
) -> tuple[RiskyBlocks, ...]:
    """One RiskyBlocks for each number of words that the row blocks with something to digitise have."""
    edges, crossbars = layer.row_edges, crossbars_by_rows(layer)
    by_words: dict[int, list[tuple[int, int]]] = {}
    for group in range(layer.groups):
        for block in range(len(edges) - 1):
            if risky[:, group, block].any() or not unit_safe[block, group]:
                by_words.setdefault(-(-(edges[block + 1] - edges[block]) // 32), []).append((group, block))
    result = []
    for n_words, pairs in sorted(by_words.items()):
        packed, work = _pack_cells(layer, risky, adc, pairs, n_words)
        unit_coef = None
        if layer.unit_coef is not None and not all(unit_safe[b, g] for g, b in pairs):
            unit_coef = np.stack([layer.unit_coef[b, g] * (not unit_safe[b, g]) for g, b in pairs])
        result.append(
            RiskyBlocks(
                pair_group=np.array([g for g, _ in pairs], np.int64),
                pair_rows=np.array([(edges[b], edges[b + 1]) for _, b in pairs], np.int64),
                n_safe=np.stack([n_safe[g, b] for g, b in pairs]),
                packed=packed,
                unit_coef=unit_coef,
                unit_crossbars=np.array([crossbars[b, g] * (not unit_safe[b, g]) for g, b in pairs], np.int64),
                n_words=n_words,
                pulse_cost=work,
            )
        )
    return tuple(result)


def _pack_cells(
    layer: LayerProgram, risky: NDArray[np.bool_], adc: Digitiser, pairs: list[tuple[int, int]], n_words: int
) -> tuple[PackedCells, NDArray[np.float64]]:
    """The kernel's arrays for the risky columns of some blocks; the work of one pulse in clipping slices, by pair."""
    slots = np.cumsum(adc.rounded) * adc.rounded
    cells, factors, columns, jobs = [], [], [], []
    pair_first, n_bytes, work = [0], 0, np.zeros(len(pairs))
    for pair, (group, block) in enumerate(pairs):
        first, last = layer.row_edges[block], layer.row_edges[block + 1]
        for plane, s in enumerate(layer.plane_slice):
            chosen = np.flatnonzero(risky[plane, group, block])
            if len(chosen) == 0:
                continue
            n_tiles = -(-len(chosen) // LANES)
            dense = len(chosen) == layer.cells.shape[3]
            scale = 1 if adc.rounded[s] else 1 << (layer.cell_bits * s)
            levels = layer.cells[plane, group, first:last][:, chosen]
            n_parts = max(1, -(-int(levels.max()).bit_length() // PART_BITS))
            cells.append(_tiles(levels, n_parts, n_words, n_tiles))
            columns.append(_filled(chosen, n_tiles))
            factors.append(_filled(layer.plane_sign[plane, block, group, chosen].astype(np.int64) * scale, n_tiles))
            largest = int(levels.sum(axis=0, dtype=np.int64).max())
            top_code = int(adc.max_code[s])
            total = min(largest, top_code) << layer.input_bits
            narrow = layer.dac_bits == n_parts == 1 and max(largest, top_code, total, scale) < 2**15
            narrow = narrow and not adc.rounded[s]
            jobs.append((dense, s, slots[s], n_tiles, n_parts, n_bytes, narrow))
            n_bytes += cells[-1].size
            look_ups = n_words * (32 // ROWS_PER_STEP) * n_parts
            work[pair] += 0 if adc.rounded[s] else n_tiles * LANES * (_LOOK_UP_COST * look_ups + _CLIP_COST)
        pair_first.append(len(jobs))
    table = np.array(jobs, np.int64).reshape(-1, 7)
    safe_full_scale = np.maximum(adc.full_scale, 1)
    packed = PackedCells(
        cells=np.concatenate([*(c.ravel() for c in cells), np.zeros(0, np.uint8)]),
        lane_factor=np.concatenate([*factors, np.zeros(0, np.int64)]).reshape(-1, LANES),
        columns=np.concatenate([*columns, np.zeros(0, np.int64)]).reshape(-1, LANES),
        dense=np.ascontiguousarray(table[:, 0]),
        narrow=np.ascontiguousarray(table[:, 6]),
        job_slice=np.ascontiguousarray(table[:, 1]),
        job_slot=np.ascontiguousarray(table[:, 2]),
        job_parts=np.ascontiguousarray(table[:, 4]),
        job_start=np.ascontiguousarray(table[:, 5]),
        job_first=np.concatenate([[0], np.cumsum(table[:, 3])]).astype(np.int64),
        pair_first=np.array(pair_first, np.int64),
        pair_group=np.array([g for g, _ in pairs], np.int64),
        max_code=adc.max_code,
        # (2 y L + F) // 2F, a quarter step above so that rounding of the doubles cannot reach a whole number
        gain=adc.max_code / safe_full_scale,
        shift=0.5 + 0.25 / safe_full_scale,
        rounded=adc.rounded.astype(np.int64),
    )
    return packed, work


def _tiles(cells: NDArray[np.uint8], n_parts: int, n_words: int, n_tiles: int) -> NDArray[np.uint8]:
    """Cells [row, col] in tiles: uint8 [tile, part, row, lane], filled up with empty rows and columns."""
    n_rows, n_cols = cells.shape
    padded = np.zeros((n_words * 32, n_tiles * LANES), np.uint8)
    padded[:n_rows, :n_cols] = cells
    parts = (padded >> (PART_BITS * np.arange(n_parts, dtype=np.uint8))[:, None, None]) & ((1 << PART_BITS) - 1)
    return np.ascontiguousarray(parts.reshape(n_parts, len(padded), -1, LANES).transpose(2, 0, 1, 3))


def _filled(values: NDArray[np.int64], n_tiles: int) -> NDArray[np.int64]:
    """One value for each column, then zeros to the end of the last tile."""
    filled = np.zeros(n_tiles * LANES, np.int64)
    filled[: len(values)] = values
    return filled
