"""One layer on crossbars: integer input vectors in, digitised and shift-added sums and their event counts out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xbar.kernels.clip import clip_codes
from xbar.kernels.pulses import Routes, keep_bits, pack_pulses, route_pulses, unit_codes
from xbar.kernels.tile import LANES
from xbar.sim.prepare import PreparedLayer, RiskyBlocks

Integers = NDArray[np.signedinteger | np.unsignedinteger]


@dataclass(frozen=True)
class Counts:
    """Saturated conversions of all crossbars: by slice, and of unit columns."""

    saturations: tuple[int, ...]
    unit_saturations: int


def multiply(prepared: PreparedLayer, x: Integers) -> tuple[Tensor, Counts]:
    """What the layer's crossbars make of integer vectors, before scales and bias.

    x: integers [vector, group, row] within the layer's input range. Returns [vector, group, col] and counts:

        sum_slice 2^(cell_bits slice) lsb_slice sum_plane,block,pulse sign weight_pulse code(sum_row x_pulse cells)

    plus the unit column's part; exact in integers but for the slices whose LSB is not 1, which follow in ascending
    order. float64, or float32 where a single product holds all sums exactly. Threads are torch's, and their number does
    not change a bit.
    """
    layer = prepared.layer
    inputs = torch.from_numpy(x).float()
    routed = [_route(prepared, blocks, x) for blocks in prepared.blocks]
    total = _exact_part(prepared, routed, x, inputs)
    if not any(part.may_clip or part.blocks.unit_coef is not None for part in routed) and not prepared.slots:
        return total, Counts((0,) * layer.n_slices, 0)
    total = total.double()
    width = -(-layer.cells.shape[3] // LANES) * LANES
    codes = np.zeros((*x.shape[:2], 1 + len(prepared.slots), width), np.int64)
    saturations, unit_saturations = np.zeros(layer.n_slices, np.int64), 0
    for part in routed:
        unit_saturations += _add_unit(prepared, part, total)
        if part.may_clip or prepared.slots:
            arguments = (part.words, part.send, part.routes.active, prepared.digit, part.blocks.packed)
            saturations += clip_codes(*arguments, prepared.wide, codes)
    counts = Counts(tuple(int(n) for n in saturations), unit_saturations)
    return _merged(prepared, total, torch.from_numpy(codes)), counts


@dataclass(frozen=True)
class _Routed:
    """The packed inputs of some row blocks. send: pulses that go through the kernel; may_clip: there is one;
    some_kept: other pulses go through the product with the risky cells."""

    blocks: RiskyBlocks
    words: NDArray[np.uint32]
    routes: Routes
    send: NDArray[np.uint32]
    may_clip: bool
    some_kept: bool


def _route(prepared: PreparedLayer, blocks: RiskyBlocks, x: Integers) -> _Routed:
    layer = prepared.layer
    words, n_active = pack_pulses(
        x, blocks.pair_group, blocks.pair_rows, blocks.n_words, layer.input_bits, prepared.digit
    )
    routes = route_pulses(n_active, blocks.n_safe, prepared.pulse_bits)
    n_clipping = np.bitwise_count(routes.send).sum(axis=1, dtype=np.int64)
    n_kept = np.bitwise_count(routes.active).sum(axis=1, dtype=np.int64) - n_clipping
    may_clip = bool(n_clipping.any())
    product_cost = len(x) * np.diff(blocks.pair_rows).sum() * layer.cells.shape[3]  # multiply-adds take as long
    if may_clip and n_kept @ blocks.pulse_cost < product_cost:  # a second product would cost more than it saves
        return _Routed(blocks, words, routes, routes.active, may_clip, False)
    return _Routed(blocks, words, routes, routes.send, may_clip, bool(n_kept.any()))


def _exact_part(prepared: PreparedLayer, routed: list[_Routed], x: Integers, inputs: Tensor) -> Tensor:
    """The product with the cells that cannot clip, plus that of the risky cells with the pulses that cannot."""
    if not any(part.may_clip for part in routed):
        return prepared.whole(inputs)
    total = prepared.lossless(inputs)
    if not any(part.some_kept for part in routed):
        return total
    kept = torch.zeros_like(inputs)
    for part in routed:
        if part.some_kept:
            keep_bits(x, part.blocks.pair_group, part.blocks.pair_rows, part.routes.kept, kept.numpy())
    return total.double() + prepared.risky(kept)


def _add_unit(prepared: PreparedLayer, part: _Routed, total: Tensor) -> int:
    """Add the unit columns that may clip to the float64 `total`; returns their saturations."""
    unit_coef, unit_bits = part.blocks.unit_coef, prepared.layer.adc.unit_bits
    if unit_coef is None or unit_bits is None:
        return 0
    saturated = 0
    values = np.empty(part.words.shape[:2], np.int64)
    for n_crossbars in np.unique(part.blocks.unit_crossbars):
        these = part.blocks.unit_crossbars == n_crossbars
        values[these], over = unit_codes(part.words[these], prepared.digit, (1 << unit_bits) - 1)
        saturated += over * int(n_crossbars)
    for group in np.unique(part.blocks.pair_group):
        here = part.blocks.pair_group == group
        coef = torch.from_numpy(unit_coef[here].astype(np.float64))
        total[:, group] += torch.from_numpy(values[here].T.astype(np.float64)) @ coef
    return saturated


def _merged(prepared: PreparedLayer, total: Tensor, codes: Tensor) -> Tensor:
    """The exact part plus the accumulators of the slices that are read in steps other than one cell step."""
    cols = prepared.layer.cells.shape[3]
    total += codes[:, :, 0, :cols]
    for slot, (s, lsb) in enumerate(zip(prepared.slots, prepared.lsb, strict=True), start=1):
        total += (2.0 ** (prepared.layer.cell_bits * s) * float(lsb)) * codes[:, :, slot, :cols].double()
    return total
