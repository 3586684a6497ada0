"""Reads of cells: what a word line draws when it is driven, and what it drew.

The event `cell_reads` is the sum of (digit / the DAC's top digit)^2 conductance / g_max over all cells, pulses and
vectors. The cells of a word line see the same digits, so that one conductance for each word line is enough: that of its
cells in all crossbars of a layer, in main, unit and reference columns. It is rounded to whole steps, and the sum is
exact whatever its order: the same for all batches and threads. Voltages are nominal ones, without errors of drivers.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from operator import mul

import numpy as np
from numpy.typing import NDArray

from xbar.hardware import Chip
from xbar.parts.base import Floats
from xbar.program import LayerProgram, crossbars_by_rows, formed
from xbar.sim.cells import RealCells, Strip, has_reference

Lines = NDArray[np.int64]  # conductance of word lines [group, row], in steps

_STEPS = 1 << 40  # of g_max: 64 bits hold the sum of eight million cells


def nominal_lines(layer: LayerProgram, chip: Chip) -> Lines | None:
    """Word lines of cells that have the conductances of their levels; None where the device has none."""
    if chip.device.range_S is None:
        return None
    levels, n_crossbars = _whole(chip.device.levels_rel()), crossbars_by_rows(layer)
    empty = np.count_nonzero(~formed(layer), axis=(0, 3))  # [row_block, group]; no crossbar has them, they are 0
    of_block = -empty * levels[0]
    if layer.unit_coef is not None:
        of_block += n_crossbars * levels[1]
    if has_reference(chip):
        of_block += n_crossbars * levels[0]
    lines = np.repeat(of_block.T, np.diff(layer.row_edges), axis=1)
    for cells in layer.cells:
        for first, last in pairwise(layer.row_edges):  # a block at a time: eight bytes a cell
            lines[:, first:last] += levels[cells[:, first:last]].sum(axis=2)
    return lines


def real_lines(cells: RealCells, strips: tuple[Strip, ...]) -> Lines:
    """Word lines of cells that have these conductances, on ideal wires."""
    lines = np.zeros(cells.main.shape[1:3], np.int64)
    for plane in cells.main:
        lines += _whole(plane).sum(axis=2)
    for columns in (cells.unit, cells.reference):
        for strip, column in zip(strips, columns, strict=bool(columns)):
            lines[strip.group, slice(*strip.rows)] += _whole(column)
    return lines


def wired_lines(shape: tuple[int, int], line_rel: tuple[Floats, ...], strips: tuple[Strip, ...]) -> Lines:
    """Word lines [group, row] that draw this in each crossbar, wires included; line_rel: [strip] of [row]."""
    lines = np.zeros(shape, np.int64)
    for strip, line in zip(strips, line_rel, strict=True):
        lines[strip.group, slice(*strip.rows)] += _whole(line)
    return lines


def cell_reads(layer: LayerProgram, lines: Lines | None, squares: NDArray[np.int64]) -> Fraction:
    """The event, for word lines that carried these sums of squared digits [group, row]; 0 without conductances."""
    if lines is None:
        return Fraction(0)
    top = (1 << layer.dac_bits) - 1
    return Fraction(sum(map(mul, lines.ravel().tolist(), squares.ravel().tolist())), _STEPS * top**2)


def _whole(g_rel: Floats) -> NDArray[np.int64]:
    return np.rint(g_rel * _STEPS).astype(np.int64)
