"""What it takes to write the weights into the cells: energy, time, and what it leaves of the cells' endurance."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from xbar.errors import DataError
from xbar.hardware import Chip
from xbar.parts.write_pulses import WritePulses
from xbar.program import LayerProgram, Program
from xbar.units import duration, si


@dataclass(frozen=True)
class LayerCells:
    """The cells of a layer that are written, in all its copies, unit and reference columns included.

    word_lines: those in use, over all its crossbars. largest_cells, largest_word_lines: of the fullest crossbar.
    mean_rel: the conductance that the cells get, averaged, over g_max. Of a mean level m it is
    np.interp(m, range(2^cell_bits), device.levels_rel()), exactly so where levels are evenly spaced.
    """

    name: str
    cells: int
    word_lines: int
    crossbars: int
    largest_cells: int
    largest_word_lines: int
    mean_rel: float


@dataclass(frozen=True)
class LayerProgramming:
    """What it takes to write one layer. time_s: of its fullest crossbar; all crossbars are written at the same time."""

    name: str
    cells: int
    crossbars: int
    n_pulses: float
    write_J: float
    verify_J: float
    time_s: float

    @property
    def energy_J(self) -> float:
        return self.write_J + self.verify_J


@dataclass(frozen=True)
class Programming:
    """What it takes to write all weights of a network once."""

    chip: str
    pulses: WritePulses
    layers: tuple[LayerProgramming, ...]
    notes: tuple[str, ...]

    @property
    def cells(self) -> int:
        return sum(layer.cells for layer in self.layers)

    @property
    def n_pulses(self) -> float:
        """Write pulses, all cells together."""
        return sum(layer.n_pulses for layer in self.layers)

    @property
    def write_J(self) -> float:
        return sum(layer.write_J for layer in self.layers)

    @property
    def verify_J(self) -> float:
        return sum(layer.verify_J for layer in self.layers)

    @property
    def energy_J(self) -> float:
        return self.write_J + self.verify_J

    @property
    def time_s(self) -> float:
        """Of the slowest layer: all are written at the same time."""
        return max((layer.time_s for layer in self.layers), default=0.0)

    @property
    def n_programmings(self) -> int | None:
        """How often the cells can be written before their endurance is used up; None where it is not known."""
        return None if self.pulses.endurance is None else int(self.pulses.endurance / self.pulses.pulses)

    def energy_per_inference_J(self, n_inferences: float) -> float:
        """Where the weights are written anew every `n_inferences` inferences."""
        return self.energy_J / _at_least_one("n_inferences", n_inferences)

    def inferences_until_worn(self, n_inferences: float, n_rounds: int = 1) -> float | None:
        """Inferences until the endurance is used up; None where it is not known.

        n_inferences: between two writings of the network's weights. n_rounds: how often a cell is written in one of
        them, more than once where parts of the network take turns in the same crossbars.
        """
        _at_least_one("n_rounds", n_rounds)
        n, often = _at_least_one("n_inferences", n_inferences), self.n_programmings
        return None if often is None else n * (often // n_rounds)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: the sums, by layer, and how cells are written."""
        return {
            "chip": self.chip,
            "pulses": self.pulses.model_dump(mode="json"),
            "cells": self.cells,
            "n_pulses": self.n_pulses,
            "write_J": self.write_J,
            "verify_J": self.verify_J,
            "energy_J": self.energy_J,
            "time_s": self.time_s,
            "n_programmings": self.n_programmings,
            "layers": [asdict(layer) for layer in self.layers],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return "\n".join(_text(self))


def _at_least_one(name: str, value: float) -> float:
    if not 1 <= value < float("inf"):
        raise DataError(f"{name}: must be a number from 1, got {value}; count what happens between two writings")
    return value


def why_not(chip: Chip) -> str | None:
    """Why writing the weights has no price on this chip; None where it has one."""
    if chip.device.programming is not None:
        return None
    return f"not in the bill: writing the weights, of which chip {chip.name} says nothing (device.programming)"


def programming(program: Program) -> Programming | None:
    """What it takes to write the weights of a program, from the actual levels of its cells; None as `why_not` says."""
    return price(program.chip, (cells_of(layer, program.chip) for layer in program.layers))


def price(chip: Chip, layers: Iterable[LayerCells]) -> Programming | None:
    """What it takes to write cells of a chip; None where its device does not say how (`why_not`).

    A pulse costs energy_J, or V^2 G t with the conductance halfway from g_min to the level of the cell: cells come
    from HRS and move evenly (assumed), and a curved I-V law counts for nothing. A read that verifies takes as long as
    a pulse of an input. It costs a cell its share of the array's read and of a driver's pulse, and a conversion;
    nothing behind the ADC is counted. All cells take the mean number of pulses: where a row or a crossbar has to wait
    for its slowest cell, the time is longer.

        time = units * pulses * (pulse + read)     units: cells or word lines of the fullest crossbar
        time = pulses * (pulse + word lines * read)     a whole crossbar at a time
    """
    pulses = chip.device.programming
    if pulses is None:
        return None
    notes = ["not in the energy of writing: write drivers and charge pumps"]
    if pulses.verify and chip.adc_bits is None:
        notes.append("not in the energy of verifying: conversions (an ideal ADC has no price)")
    return Programming(chip.name, pulses, tuple(_layer(chip, pulses, cells) for cells in layers), tuple(notes))


def _layer(chip: Chip, pulses: WritePulses, held: LayerCells) -> LayerProgramming:
    n_pulses = held.cells * pulses.pulses
    range_S = chip.device.range_S or (0.0, 0.0)
    halfway_S = (range_S[0] + held.mean_rel * range_S[1]) / 2
    if pulses.voltage_V is not None:
        pulse_J = pulses.voltage_V**2 * halfway_S * pulses.pulse_s
    else:
        pulse_J = pulses.energy_J or 0.0
    read_s = _read_s(chip, pulses) if pulses.verify else 0.0
    if pulses.parallel == "crossbar":
        once_s = pulses.pulse_s + held.largest_word_lines * read_s
    else:
        n_units = held.largest_cells if pulses.parallel == "cell" else held.largest_word_lines
        once_s = n_units * (pulses.pulse_s + read_s)
    return LayerProgramming(
        name=held.name,
        cells=held.cells,
        crossbars=held.crossbars,
        n_pulses=n_pulses,
        write_J=n_pulses * pulse_J,
        verify_J=pulses.pulses * _reads_J(chip, pulses, held, halfway_S) if pulses.verify else 0.0,
        time_s=pulses.pulses * once_s,
    )


def _read_s(chip: Chip, pulses: WritePulses) -> float:
    """Time of a read that verifies, while the other crossbars of the core do the same."""
    if pulses.parallel != "cell":
        return chip.pulse_time_s
    rounds = -(-chip.core.crossbars // chip.core.adcs)
    return max(chip.crossbar.read_time_s, rounds * chip.adc.cost(_bits(chip)).latency_s)


def _reads_J(chip: Chip, pulses: WritePulses, held: LayerCells, halfway_S: float) -> float:
    """Energy of reading every cell once."""
    cell_J = chip.crossbar.cost(chip.device).energy_J
    if chip.crossbar.event == "array_reads":  # a price for all cells
        cell_J /= chip.crossbar.rows * chip.crossbar.cols
    elif chip.device.range_S is not None:  # for a cell at g_max
        cell_J *= halfway_S / chip.device.range_S[1]
    n_driven = held.cells if pulses.parallel == "cell" else held.word_lines
    driver_J = chip.dac.cost(chip.crossbar.read_time_s).energy_J
    return held.cells * (cell_J + chip.adc.cost(_bits(chip)).energy_J) + n_driven * driver_J


def _bits(chip: Chip) -> int | None:
    """Resolution of a read that verifies: the ADC's highest."""
    return max(chip.adc_bits) if chip.adc_bits else None


def cells_of(layer: LayerProgram, chip: Chip) -> LayerCells:
    """The cells of a layer of a program and what they hold.

    Every crossbar has a unit column (level 1) with an offset encoding, and a column of HRS cells where that removes the
    current of g_min.
    """
    levels = chip.device.levels_rel()
    with_unit = layer.unit_coef is not None
    with_reference = chip.encoding.baseline_removal == "reference" and chip.device.low_rel > 0
    weights = [b.n_rows * b.n_cols // (b.groups[1] - b.groups[0]) for b in layer.blocks]
    cells = [w + b.n_rows * (with_unit + with_reference) for w, b in zip(weights, layer.blocks, strict=True)]
    word_lines = [b.n_rows for b in layer.blocks]
    counts = sum((np.bincount(plane.ravel(), minlength=len(levels)) for plane in layer.cells), np.zeros(1, np.int64))
    counts[0] -= layer.cells.size - sum(weights)  # cells of pieces that no crossbar holds are 0
    counts[0] += with_reference * sum(word_lines)
    counts[1] += with_unit * sum(word_lines)
    copies = layer.n_replicas
    return LayerCells(
        name=layer.name,
        cells=sum(cells) * copies,
        word_lines=sum(word_lines) * copies,
        crossbars=len(cells) * copies,
        largest_cells=max(cells),
        largest_word_lines=max(word_lines),
        mean_rel=float(counts @ levels) / sum(cells),
    )


def _text(p: Programming) -> Iterator[str]:
    """As lines of text."""
    how, often = p.pulses, p.n_programmings
    at_a_time = {"cell": "cell by cell", "row": "row by row", "crossbar": "a crossbar at a time"}[how.parallel]
    verified = "verified" if how.verify else "not verified"
    yield f"writing the weights on {p.chip}"
    yield f"  cells              {p.cells:,} in {sum(layer.crossbars for layer in p.layers):,} crossbars, {at_a_time}"
    yield f"  pulses             {how.pulses:g} per cell of {si(how.pulse_s, 's')}, {verified}"
    yield f"  energy             {si(p.energy_J, 'J')}: {si(p.write_J, 'J')} to write, {si(p.verify_J, 'J')} to verify"
    yield f"  time               {duration(p.time_s)}"
    yield f"  endurance          {'not known' if often is None else f'{often:,} programmings'}"
    if how.source:
        yield f"  source             {how.source}"
    yield f"  {'by layer':<27}{'cells':>14} {'write':>12} {'verify':>12} {'time':>12}"
    for layer in p.layers:
        energies = f"{si(layer.write_J, 'J'):>12} {si(layer.verify_J, 'J'):>12}"
        yield f"    {layer.name:<25}{layer.cells:>14,} {energies} {duration(layer.time_s):>12}"
    yield from (f"  {note}" for note in p.notes)
