"""Real cells: the conductances that a layer's crossbars have once they are programmed, aged, faulty and wired up.

Everything is relative to the device's g_max. A *strip* is what one crossbar holds of one group: some columns of some
planes over one row block. Every strip has a unit column (offset encodings) and a reference column (baseline
`reference`) of its own. Cells off the diagonal of a crossbar that groups share are not formed and carry nothing, nor
do the cells of a layer that no crossbar holds (pieces of its matrix without a weight): there `RealCells.main` is 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from xbar.hardware import Chip
from xbar.noise import NoiseModel
from xbar.parts.base import Cells, Circuit, Floats, When, Wired
from xbar.program import Block, LayerProgram, formed
from xbar.rng import generator

Rows = tuple[int, int]

_OFF = 1e-3  # share of the mean square below which the conductances of a line say little
_TURNS = 5


@dataclass(frozen=True)
class Draw:
    """Which devices and which programming of them. same_chip: runs reprogram one chip instead of making new ones."""

    seed: int = 0
    run: int = 0
    same_chip: bool = False

    def names(self, per_device: bool, layer: str) -> tuple[str | int, ...]:
        """Names of a random stream of a layer."""
        return ("device", 0 if self.same_chip else self.run, layer) if per_device else ("cycle", self.run, layer)


@dataclass(frozen=True)
class Strip:
    """What one crossbar holds of one group. core: the core that the crossbar is in, counted over the chip."""

    block: int
    group: int
    rows: Rows
    planes: tuple[int, ...]
    cols: tuple[int, int]
    core: int
    crossbar: int


def strips_of(layer: LayerProgram, chip: Chip) -> tuple[Strip, ...]:
    """Strips of a layer, by crossbar and group; a layer that is not placed has one crossbar per row block and group."""
    found = []
    for k, block in enumerate(layer.blocks or _unplaced(layer)):
        rows = layer.row_edges[block.row_block], layer.row_edges[block.row_block + 1]
        core = block.tile * chip.tile.cores + block.core
        found += [Strip(k, g, rows, block.planes, block.cols, core, block.crossbar) for g in range(*block.groups)]
    return tuple(found)


def _unplaced(layer: LayerProgram) -> tuple[Block, ...]:
    n_planes, groups, _, cols = layer.cells.shape
    sizes = [
        (b, g, layer.row_edges[b + 1] - layer.row_edges[b])
        for b in range(len(layer.row_edges) - 1)
        for g in range(groups)
    ]
    planes = tuple(range(n_planes))
    return tuple(
        Block(planes, (g, g + 1), b, (0, cols), rows, n_planes * cols, 0, k, 0) for k, (b, g, rows) in enumerate(sizes)
    )


@dataclass(frozen=True, eq=False)
class RealCells:
    """Conductances over g_max of a layer: main [plane, group, row, col], unit and reference columns [strip] of [row].

    decay: sum over the main cells when they are read, over the same right after programming; 1 where nobody asked.
    """

    main: Floats
    unit: tuple[Floats, ...]
    reference: tuple[Floats, ...]
    decay: float = 1.0


def realise(layer: LayerProgram, chip: Chip, noise: NoiseModel, strips: tuple[Strip, ...], draw: Draw) -> RealCells:
    """Programme the cells of a layer and let them age until the moment at which the model reads them."""
    levels = chip.device.levels_rel()
    sizes = [strip.rows[1] - strip.rows[0] for strip in strips]
    ones = np.ones(sum(sizes), np.uint8)

    def real(level: NDArray[np.uint8], kind: str, when: When) -> Floats:
        cells = Cells(level, levels[level], chip.device.low_rel, len(levels))
        g = cells.target_rel
        for name, effect in noise.of_cells.items():
            rng = generator(draw.seed, *draw.names(effect.per_device, layer.name), name, kind)
            g = effect.sample(cells, g, when, rng)
        return g

    exist = np.repeat(formed(layer).swapaxes(1, 2), np.diff(layer.row_edges), axis=2)  # [plane, group, row, col]
    main, decay = real(layer.cells, "cells", noise.when) * exist, 1.0
    if noise.drift_compensation:
        fresh = (real(layer.cells, "cells", replace(noise.when, time_s=0.0)) * exist).sum()
        decay = float(main.sum() / fresh) if fresh > 0 and main.any() else 1.0
    edges = np.cumsum(sizes)[:-1]
    unit = tuple(np.split(real(ones, "unit", noise.when), edges)) if layer.unit_coef is not None else ()
    reference = tuple(np.split(real(0 * ones, "reference", noise.when), edges)) if has_reference(chip) else ()
    return RealCells(main, unit, reference, decay)


def has_reference(chip: Chip) -> bool:
    """Whether crossbars have a column of HRS cells, whose current is subtracted before the ADC."""
    return chip.encoding.baseline_removal == "reference" and chip.device.low_rel > 0


def wired(
    cells: RealCells, strips: tuple[Strip, ...], g_max_S: float, circuit: Circuit
) -> tuple[RealCells, tuple[Floats, ...]]:
    """What wires with a resistance make of the cells: effective conductances, and `Wired.line_S` [strip] of [row]."""
    main, line = np.zeros_like(cells.main), [np.zeros(0)] * len(strips)
    unit, reference = list(cells.unit), list(cells.reference)
    crossbars = [[(i, strips[i]) for i in members] for members in by_crossbar(strips)]
    arrays = [physical(cells, chosen) * (g_max_S / circuit.read_gain) for chosen in crossbars]
    for chosen, (effective_S, line_S) in zip(crossbars, _wired(arrays, circuit), strict=True):
        effective = effective_S / g_max_S
        row = col = 0
        for i, strip in chosen:
            n_rows, shape = strip.rows[1] - strip.rows[0], (strip.cols[1] - strip.cols[0], len(strip.planes))
            here, line[i] = effective[row : row + n_rows], line_S[row : row + n_rows] / g_max_S
            own = here[:, col : col + shape[0] * shape[1]].reshape(n_rows, *shape)
            for p, plane in enumerate(strip.planes):
                main[plane, strip.group, slice(*strip.rows), slice(*strip.cols)] = own[:, :, p]
            col += shape[0] * shape[1]
            for extra in (unit, reference):
                if extra:
                    extra[i] = here[:, col]
                    col += 1
            row += n_rows
    return RealCells(main, tuple(unit), tuple(reference), cells.decay), tuple(line)


def _wired(arrays: list[Floats], circuit: Circuit) -> list[Wired]:
    """What wires make of crossbars, those of one size together."""
    found: dict[int, Wired] = {}
    for shape in dict.fromkeys(a.shape for a in arrays):
        members = [i for i, a in enumerate(arrays) if a.shape == shape]
        together = circuit.wired(np.stack([arrays[i] for i in members]))
        found |= {i: Wired(*one) for i, one in zip(members, zip(*together, strict=True), strict=True)}
    return [found[i] for i in range(len(arrays))]


def by_crossbar(strips: tuple[Strip, ...]) -> list[list[int]]:
    """Strips that share a crossbar, by their index."""
    members: dict[int, list[int]] = {}
    for i, strip in enumerate(strips):
        members.setdefault(strip.block, []).append(i)
    return list(members.values())


def physical(cells: RealCells, strips: list[tuple[int, Strip]]) -> Floats:
    """One crossbar [word line, bit line] over g_max: its strips on the diagonal, all planes of a weight side by side,
    then the unit and the reference column of each."""
    parts = []
    for i, strip in strips:
        here = cells.main[list(strip.planes), strip.group, slice(*strip.rows), slice(*strip.cols)]  # [plane, row, col]
        columns = [here.transpose(1, 2, 0).reshape(here.shape[1], -1)]
        columns += [extra[i][:, None] for extra in (cells.unit, cells.reference) if extra]
        parts.append(np.concatenate(columns, axis=1))
    if len(parts) == 1:
        return parts[0]
    whole = np.zeros((sum(len(p) for p in parts), sum(p.shape[1] for p in parts)))
    row = col = 0
    for part in parts:
        whole[row : row + len(part), col : col + part.shape[1]] = part
        row, col = row + len(part), col + part.shape[1]
    return whole


def read_variance(cells: RealCells, noise: NoiseModel) -> RealCells | None:
    """Variance of one read of every cell over g_max^2, in the shape of the cells; None without read noise."""
    if not noise.of_reads:
        return None

    def variance(g: Floats) -> Floats:
        total = np.zeros_like(g)
        for effect in noise.of_reads.values():
            total += effect.variance(g, noise.when)
        return total

    return RealCells(variance(cells.main), tuple(map(variance, cells.unit)), tuple(map(variance, cells.reference)))


def attenuation(g: Floats, effective: Floats) -> tuple[Floats, Floats]:
    """What wires leave of the signal of a cell: factors of its row and of its column, effective = g row col.

    Least squares of the conductances, in turns. The ratio of a single cell would say nothing: what is seen of a cell
    that is off is mostly the current of ways around it. Lines without a conducting cell have the factor of the others.
    """

    def factors(e: Floats, g: Floats) -> Floats:
        """Of the columns."""
        product, square = (e * g).sum(axis=0), (g * g).sum(axis=0)
        if not square.any():
            return np.ones(g.shape[1])
        prior = _OFF * square.mean()
        return (product + prior * product.sum() / square.sum()) / (square + prior)

    row, col = np.ones(len(g)), np.ones(g.shape[1])
    for _ in range(_TURNS):
        col = factors(effective, g * row[:, None])
        row = factors(effective.T, (g * col).T)
    return row, col
