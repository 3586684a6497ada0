"""From a layer program to an analog layer: programme its cells, add wires and converters, put all on a grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xbar.hardware import Chip
from xbar.kernels.bit_serial import columns
from xbar.kernels.convert import Converters, converters
from xbar.kernels.pulses import digit_table
from xbar.noise import NoiseModel
from xbar.parts.base import Circuit, Floats
from xbar.program import LayerProgram
from xbar.rng import key
from xbar.sim.analog import AnalogLayer, Grid, RowBlock, StripCircuit
from xbar.sim.cells import (
    Draw,
    RealCells,
    Strip,
    attenuation,
    by_crossbar,
    physical,
    read_variance,
    realise,
    strips_of,
    wired,
)
from xbar.sim.converters import PERFECT, adc_errors, driver_gains, total_sigma
from xbar.sim.prepare import Digitiser
from xbar.sim.reads import real_lines, wired_lines


def prepare_analog(layer: LayerProgram, chip: Chip, noise: NoiseModel, draw: Draw) -> AnalogLayer:
    """Programme the devices of a layer and get it ready to run. Raises ModelError for an ADC range not calibrated."""
    strips = strips_of(layer, chip)
    cells = realise(layer, chip, noise, strips, draw)
    variance = read_variance(cells, noise)
    circuit, range_S = chip.crossbar.circuit(chip.device), chip.device.range_S
    effective, lines = cells, None
    if circuit is not None and range_S is not None:
        effective, line_rel = wired(cells, strips, range_S[1], circuit)
        lines = wired_lines((layer.groups, layer.cells.shape[2]), line_rel, strips)
    elif range_S is not None:
        lines = real_lines(cells, strips)
    gains = driver_gains(layer, noise, draw)
    blocks = []
    for first, last in zip(layer.row_edges, layer.row_edges[1:], strict=False):
        for group in range(layer.groups):
            own = [i for i, s in enumerate(strips) if s.rows == (first, last) and s.group == group]
            if not own:  # no weight in the whole row block, so no crossbar
                continue
            columns = _Columns(layer, chip, strips, own)
            circuits: tuple[StripCircuit, ...] = ()
            if circuit is not None and range_S is not None and not circuit.is_linear:
                circuits = columns.circuits(cells, circuit, range_S[1])
            drive = gains[group, first:last]
            blocks.append(columns.block(cells, effective, variance, drive, circuits, noise, draw))
    return AnalogLayer(
        layer=layer,
        digit=digit_table(layer.input_bits, layer.input_signed, layer.dac_bits),
        blocks=tuple(blocks),
        gain=1 / cells.decay,
        pulse_sigma=total_sigma([effect.sigma_rel for effect in noise.of_dacs.values()]),
        keep_silent=bool(noise.of_adcs),
        lines=lines,
    )


class _Columns:
    """The columns of one group over one row block, in the order of `RowBlock`, and where the crossbars have them.

    exists: [plane, col], whether a crossbar holds the column; at: [plane * n_cols + col] its place among those, n_main.
    """

    def __init__(self, layer: LayerProgram, chip: Chip, strips: tuple[Strip, ...], own: list[int]) -> None:
        self.layer, self.chip, self.strips, self.own = layer, chip, strips, own
        n_planes, _, _, self.n_cols = layer.cells.shape
        self.group, self.rows = strips[own[0]].group, strips[own[0]].rows
        self.row_block = layer.row_edges.index(self.rows[0])
        self.units = [i for i in own if 0 in strips[i].planes] if layer.unit_coef is not None else []
        strip_of = np.full((n_planes, self.n_cols), -1)
        for k, i in enumerate(own):
            strip_of[list(strips[i].planes), slice(*strips[i].cols)] = k
        self.exists = strip_of >= 0
        self.at, self.n_main = np.cumsum(self.exists) - 1, int(self.exists.sum())
        of_units = [own.index(i) for i in self.units]
        self.col_strip = np.append(strip_of[self.exists], of_units).astype(np.int64)
        self.step_rel = (1 - chip.device.low_rel) / ((1 << layer.cell_bits) - 1)

    def block(
        self,
        cells: RealCells,
        effective: RealCells,
        variance: RealCells | None,
        gains: Floats,
        circuits: tuple[StripCircuit, ...],
        noise: NoiseModel,
        draw: Draw,
    ) -> RowBlock:
        """The row block of cells that have these conductances, and wires that make of them these effective ones."""
        top = self.layer.top_digit
        weights = self._matrix(effective) * (gains[:, None] / self.step_rel)
        spread, common, kept = None, None, np.ones(1)
        if variance is not None:
            # A cell's noise is attenuated as its signal alone would be. With other lines driven it sees less voltage,
            # so that this is an upper estimate: 1.1 times the standard deviation where wires take a fifth of the
            # signal, 1.3 where they take half.
            row, kept, kept_of_references = self._attenuation(cells, effective)
            seen = (row * gains / self.step_rel)[:, None] ** 2
            of_cells = self._stacked(variance)
            if (of_cells == of_cells[:, :1]).all():
                of_cells = of_cells[:, :1]
            else:
                of_cells, kept = of_cells * kept**2, np.ones(1)
            spread = Grid.of(of_cells * seen, top**2)
            if variance.reference:
                common = Grid.of(self._references(variance) * kept_of_references**2 * seen, top**2)
        names = (self.layer.name, self.row_block, self.group)
        factor = self._factor()
        baseline = None
        if self.chip.encoding.baseline_removal == "digital" and self.chip.device.low_rel > 0:
            sums = (self._weights() * self.exists).sum(axis=0)
            unit = 0.0 if self.layer.unit_coef is None else self.layer.unit_coef[self.row_block, self.group]
            baseline = (sums + unit) * (self.chip.device.low_rel / self.step_rel)
        grid = Grid.of(weights, top)
        return RowBlock(
            group=self.group,
            rows=self.rows,
            weights=grid,
            circuits=circuits,
            drive=gains,
            variance=spread,
            common=common,
            serial=columns(
                grid.values,
                None if spread is None else spread.values,
                None if common is None else common.values,
                0.0 if common is None else common.step / grid.step**2,
            ),
            adc=self._adc(noise, draw, factor, grid.step, kept**2 * (1.0 if spread is None else spread.step)),
            unit_of=self._unit_of(),
            unit_coef=None if self.layer.unit_coef is None else self.layer.unit_coef[self.row_block, self.group] * 1.0,
            unit_crossbars=len(self.own) // max(1, len(self.units)),
            baseline=baseline,
            noise_key=key(draw.seed, "read", draw.run, *names),
        )

    def _stacked(self, cells: RealCells) -> Floats:
        """Main and unit columns [row, col]."""
        main = cells.main[:, self.group, slice(*self.rows)]  # [plane, row, col]
        flat = main.swapaxes(0, 1)[:, self.exists]
        return np.concatenate([flat, *(cells.unit[i][:, None] for i in self.units)], axis=1)

    def _matrix(self, cells: RealCells) -> Floats:
        """Main and unit columns, less the reference column of their strip."""
        stacked = self._stacked(cells)
        return stacked - self._references(cells)[:, self.col_strip] if cells.reference else stacked

    def _references(self, cells: RealCells) -> Floats:
        """Reference columns [row, strip]."""
        return np.stack([cells.reference[i] for i in self.own], axis=1)

    def _attenuation(self, cells: RealCells, effective: RealCells) -> tuple[Floats, Floats, Floats]:
        """What wires leave of signals: factors of the rows, of main and unit columns, and of reference columns."""
        if effective is cells:
            return np.ones(1), np.ones(1), np.ones(1)
        both = [
            np.concatenate([self._stacked(c), *([self._references(c)] if c.reference else [])], axis=1)
            for c in (cells, effective)
        ]
        row, col = attenuation(*both)
        n = len(self.col_strip)
        return row, col[:n], col[n:]

    def _unit_of(self) -> NDArray[np.int64] | None:
        if not self.units:
            return None
        unit_of = np.zeros(self.n_cols, np.int64)
        for k, i in enumerate(self.units):
            unit_of[slice(*self.strips[i].cols)] = k
        return unit_of

    def _factor(self) -> Floats:
        """What a code counts in an output, [col]; unit columns count 1, their factor follows."""
        adc = Digitiser.of(self.layer.adc, self.layer.n_slices, self.layer.name)
        lsb = adc.lsb[list(self.layer.plane_slice)]
        return np.append((self._weights() * lsb[:, None])[self.exists], np.ones(len(self.units)))

    def _weights(self) -> Floats:
        """What a cell step of a plane counts in an output, [plane, col]."""
        scale = 2.0 ** (self.layer.cell_bits * np.array(self.layer.plane_slice))
        return self.layer.plane_sign[:, self.row_block, self.group] * scale[:, None]

    def _adc(self, noise: NoiseModel, draw: Draw, factor: Floats, sum_step: float, variance_step: Floats) -> Converters:
        """How the columns are digitised, from sums and variances in grid steps."""
        layer = self.layer
        adc = Digitiser.of(layer.adc, layer.n_slices, layer.name)
        ideal = layer.adc.bits is None
        unit_code = (1 << layer.adc.unit_bits) - 1 if layer.adc.unit_bits is not None else 0
        bits = [] if layer.adc.bits is None else [layer.adc.bits[s] for s in layer.plane_slice]
        coefficients = np.tile(PERFECT, (len(factor), 1))
        if noise.of_adcs and not ideal:
            errors = {
                b: adc_errors(layer, self.chip, noise, self.strips, draw, b) for b in {*bits, layer.adc.unit_bits or 1}
            }
            for i in self.own:
                for p, plane in enumerate(self.strips[i].planes):
                    coefficients[self._places(plane, self.strips[i].cols)] = errors[bits[plane]][i][0][p]
            for k, i in enumerate(self.units):
                coefficients[self.n_main + k] = errors[layer.adc.unit_bits or 1][i][1]
        slices = np.repeat(layer.plane_slice, self.n_cols)[self.exists.ravel()]
        return converters(
            runs=self._runs(),
            factor=factor,
            max_code=None if ideal else np.append(adc.max_code[slices], [unit_code] * len(self.units)),
            errors=coefficients,
            lsb=np.append(adc.lsb[slices], np.ones(len(self.units))),
            sum_scale=sum_step,
            variance_scale=variance_step,
            sigma_lsb=0.0 if ideal else total_sigma([effect.sigma_lsb for effect in noise.of_adcs.values()]),
        )

    def _places(self, plane: int, cols: tuple[int, int]) -> NDArray[np.int64]:
        """Where the columns of a strip stand in the row block, one after another."""
        return self.at[plane * self.n_cols : (plane + 1) * self.n_cols][slice(*cols)]

    def _runs(self) -> list[tuple[int, int, int, int, int]]:
        """(first column, last + 1, slice, first output column, strip): each plane in each strip, then unit columns."""
        runs, n, start = [], self.n_cols, self.n_main
        for k, i in enumerate(self.own):
            cols = self.strips[i].cols
            for plane in self.strips[i].planes:
                at = self._places(plane, cols)
                runs.append((int(at[0]), int(at[-1]) + 1, self.layer.plane_slice[plane], cols[0], k))
        runs += [
            (start + k, start + k + 1, self.layer.n_slices, n + k, self.own.index(i)) for k, i in enumerate(self.units)
        ]
        return sorted(runs)

    def circuits(self, cells: RealCells, circuit: Circuit, g_max_S: float) -> tuple[StripCircuit, ...]:
        """The circuits of the strips, for inputs that need a solution each."""
        found = []
        for i in self.own:
            strip = self.strips[i]
            members = next(m for m in by_crossbar(self.strips) if i in m)
            chosen = [(j, self.strips[j]) for j in members]
            line, bit_line = 0, 0
            extra = bool(cells.unit) + bool(cells.reference)
            for j in members[: members.index(i)]:
                other = self.strips[j]
                line += other.rows[1] - other.rows[0]
                bit_line += (other.cols[1] - other.cols[0]) * len(other.planes) + extra
            own = np.stack(
                [self._places(p, strip.cols) for p in strip.planes], axis=1
            ).ravel()  # [col, plane], as they lie
            after = bit_line + own.size
            if i in self.units:
                own = np.append(own, self.n_main + self.units.index(i))
            found.append(
                StripCircuit(
                    circuit=circuit,
                    g_S=physical(cells, chosen) * (g_max_S / circuit.read_gain),
                    lines=slice(line, line + strip.rows[1] - strip.rows[0]),
                    bit_lines=bit_line + np.arange(own.size),
                    cols=own,
                    reference=after + bool(cells.unit) if cells.reference else None,
                    per_step=1 / (g_max_S * self.step_rel),
                )
            )
        return tuple(found)
