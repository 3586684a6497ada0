"""A crossbar whose word lines and bit lines have a resistance.

The kernels are imported where they compute: describing a chip needs no compiler.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from xbar.errors import ConvergenceError, DataError
from xbar.events import Event
from xbar.kernels.wires import Wires
from xbar.parts.array.ohmic import ohmic_cost
from xbar.parts.base import Array, Circuit, Cost, Device, Floats, Wired
from xbar.same import same_fields
from xbar.units import Ohm, OhmOrZero, SquareMetre, Volt

if TYPE_CHECKING:
    from xbar.kernels.lines import Cells

Calibration = Literal["none", "column", "row_and_column"]
_MOST_CURVED = 50  # read voltages over V_0: a cell then carries e^50 times what it does at small voltages
_ROUNDS = 30  # of alternating least squares: row and column factors of nearly equal matrices settle in a few


@final
@dataclass(frozen=True, eq=False)
class Nodes:
    """What one vector of drives does inside a crossbar, all over the read voltage.

    word_rel, bit_rel: voltages [row, col] of word line and bit line at each cell. cell_S: currents through the cells
    [row, col]. word_line_S: current away from the driver in the segment before each column, [row, col + 1]; the last is
    that of the far end's driver, 0 or negative. bit_line_S: current towards ground in the segment below each cell,
    [row, col], so that its last row is what the sense amplifiers see.
    """

    word_rel: Floats
    bit_rel: Floats
    cell_S: Floats
    word_line_S: Floats
    bit_line_S: Floats

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)


@final
@dataclass(frozen=True)
class LineCircuit(Circuit):
    """Lines of resistors between drivers, cells and sense amplifiers.

    Word line i is driven at its left end (column 0), bit line j is sensed below its last row, at 0 V. The other ends
    are open, except that word lines driven from two sides have a driver at each. The wires of rows and columns that
    are not used, which lie beyond the open ends, carry nothing.

    curvature_rel: V_0 over the read voltage of the cells' law I = g_S V_0 sinh(V / V_0); None: straight.
    gated: cells of word lines whose drive is zero are switched off (1T1R).
    calibration: see IrDropArray.
    """

    wires: Wires
    gated: bool
    curvature_rel: float | None
    calibration: Calibration

    @property
    def is_linear(self) -> bool:
        """Whether cells are straight and always connected."""
        return not self.gated and self.curvature_rel is None

    @property
    def read_gain(self) -> float:
        """sinh(u) / u with u the read voltage over V_0."""
        return 1.0 if self.curvature_rel is None else math.sinh(1 / self.curvature_rel) * self.curvature_rel

    def wired(self, g_S: Floats) -> Wired:
        """The operator [..., row, col] of g_S [..., row, col], calibrated, and the power of its word lines.

        Exact to rounding; of curved cells, with the conductances that they have when all word lines are driven. Gains
        of columns come after their currents and take no power from the drivers. Raises DataError for conductances that
        are negative or not finite, ConvergenceError where curved cells have no solution.
        """
        found = self._operators(g_S)
        drive, gain = self._factors(found, g_S * self.read_gain)
        return Wired(found * drive[..., None] * gain[..., None, :], found.sum(axis=-1) * drive**2)

    def currents_S(self, g_S: Floats, drive_rel: Floats) -> Floats:
        """Column currents over the read voltage, calibrated, [vector, col]; errors as `effective_S`.

        Of circuits that are not linear, within 1e-10 of each column's current (see xbar.kernels.lines).
        """
        if self.is_linear:
            return drive_rel @ self.effective_S(g_S)
        from xbar.kernels.lines import line_currents

        drive, gain = self._factors_of(g_S)
        currents, iterations = line_currents(self._cells(g_S), drive_rel * drive)
        self._settled(iterations)
        return currents * gain

    def nodes(self, g_S: Floats, drive_rel: Floats) -> Nodes:
        """Voltages and currents everywhere for one vector drive_rel [row]; row factors of a calibration included."""
        from xbar.kernels.drops import drops
        from xbar.kernels.lines import cell_currents

        drive = drive_rel * self._factors_of(g_S)[0]
        current, iterations = cell_currents(self._cells(g_S), drive)
        self._settled(np.array([iterations]))
        fall, rise = drops(current, self.wires)
        end = -fall[:, -1:] / (self.wires.driver_Ohm + self.wires.word_Ohm) if self.wires.two_sided else 0 * fall[:, :1]
        line = np.concatenate([current, end], axis=1)[:, ::-1].cumsum(axis=1)[:, ::-1]
        return Nodes(drive[:, None] - fall, rise, current, line, current.cumsum(axis=0))

    def _cells(self, g_S: Floats) -> Cells:
        from xbar.kernels.lines import Cells

        return Cells(_checked(g_S), self.wires, self.curvature_rel or 0.0, self.gated)

    def _operators(self, g_S: Floats) -> Floats:
        """[..., row, col] without calibration."""
        from xbar.kernels.ladder import operators

        arrays = _checked(g_S).reshape(-1, *g_S.shape[-2:])
        if self.curvature_rel is not None:
            arrays = np.array([self._chords(g, self.curvature_rel) for g in arrays])
        return operators(arrays, self.wires).reshape(g_S.shape)

    def _chords(self, g_S: Floats, curvature_rel: float) -> Floats:
        """Current over voltage of each cell with all word lines driven."""
        from xbar.kernels.lines import cell_currents

        cells = self._cells(g_S)._replace(gated=False)
        current, iterations = cell_currents(cells, np.ones(len(g_S)))
        self._settled(np.array([iterations]))
        across = curvature_rel * np.arcsinh(np.divide(current, g_S * curvature_rel, where=g_S > 0, out=0 * g_S))
        return np.divide(current, across, where=across > 0, out=g_S.copy())

    def _settled(self, iterations: NDArray[np.int64]) -> None:
        failed = int((iterations < 0).sum())
        if failed:
            raise ConvergenceError(
                f"crossbar: the currents of {failed} of {len(iterations)} input vectors cannot be found within 1e-10; "
                "lower its line resistances or the conductances of the cells, or raise the device's sinh_V"
            )

    def _factors_of(self, g_S: Floats) -> tuple[Floats, Floats]:
        if self.calibration == "none":
            return np.ones(len(g_S)), np.ones(g_S.shape[1])
        return self._factors(self._operators(g_S), g_S * self.read_gain)

    def _factors(self, found_S: Floats, ideal_S: Floats) -> tuple[Floats, Floats]:
        """Factors of drives [..., row] and gains of columns [..., col] that bring the operator closest to the ideal."""
        drive, gain = np.ones(found_S.shape[:-1]), np.ones((*found_S.shape[:-2], found_S.shape[-1]))
        for _ in range({"none": 0, "column": 1, "row_and_column": _ROUNDS}[self.calibration]):
            gain = _least_squares(found_S * drive[..., None], ideal_S, axis=-2)
            if self.calibration == "row_and_column":
                drive = _least_squares(found_S * gain[..., None, :], ideal_S, axis=-1)
                drive /= drive.mean(axis=-1, keepdims=True)
        return drive, gain


def _checked(g_S: Floats) -> Floats:
    wrong = ~(np.isfinite(g_S) & (g_S >= 0))
    if wrong.any():
        raise DataError(f"g_S: conductances must be finite and not negative, got {g_S[wrong][0]:g}; clip them at 0")
    return np.ascontiguousarray(g_S, dtype=np.float64)


def _least_squares(found_S: Floats, ideal_S: Floats, axis: int) -> Floats:
    """Factors that bring `found_S` closest to `ideal_S`, one for each line along `axis`; 1 for lines without cells."""
    power = (found_S**2).sum(axis=axis)
    return np.divide((found_S * ideal_S).sum(axis=axis), power, where=power > 0, out=np.ones(power.shape))


@final
class IrDropArray(Array):
    """A crossbar of resistive cells on resistive lines; area as kind: ohmic, which has ideal ones.

    Energy: V^2 of each word line times what it takes from its driver per V^2 where all are driven (`Wired.line_S`).
    That is exact where all carry the same, and else a lower estimate: of 128 x 128 cells with half of the word lines
    driven by 2 % where wires take 6 % of the current, by 4 % where they take 14 %; with a tenth driven by 3 % and 7 %.

    word_line_Ohm, bit_line_Ohm: of one segment, from the driver (or the sense amplifier) to the first cell and from a
    cell to the next. driver_Ohm, sense_Ohm: in series with each line. drive: word lines are driven at column 0, or at
    both ends. gated: cells of word lines at 0 V are switched off (1T1R); otherwise they carry sneak currents.

    calibration: `column` multiplies each column's current by the gain that brings the effective conductances of the
    programmed array closest to its ideal ones, by least squares; `row_and_column` finds factors for the drives as well
    (mean 1), alternating. Where the circuit is not linear, factors are those of all word lines driven.
    """

    read_voltage_V: Volt
    cell_area_m2: SquareMetre = Field(gt=0)
    word_line_Ohm: Ohm
    bit_line_Ohm: Ohm
    driver_Ohm: OhmOrZero = 0.0
    sense_Ohm: OhmOrZero = 0.0
    drive: Literal["one_sided", "two_sided"] = "one_sided"
    gated: Annotated[bool, Field(strict=True)] = False
    calibration: Calibration = "none"

    @property
    def event(self) -> Event:
        """A read of a cell at g_max and the full voltage, wires included."""
        return "cell_reads"

    def cost(self, device: Device) -> Cost:
        """Cost of one array; energy of the read of a cell at g_max, power with all word lines at full voltage.

        Raises ValueError for devices without conductances, or so curved that no simulation means anything.
        """
        least_V = self.read_voltage_V / _MOST_CURVED
        if device.curvature_V is not None and device.curvature_V < least_V:
            raise ValueError(f"needs device.sinh_V to be at least {least_V:g} V, the read voltage over {_MOST_CURVED}")
        return ohmic_cost(self, self.read_voltage_V, self.cell_area_m2, device)

    def unused(self, device: Device) -> tuple[str, ...]:
        """Nothing: the cells see different voltages."""
        return ()

    def circuit(self, device: Device) -> LineCircuit:
        """The resistive network of such devices."""
        wires = Wires(self.word_line_Ohm, self.bit_line_Ohm, self.driver_Ohm, self.sense_Ohm, self.drive == "two_sided")
        curvature_V = device.curvature_V
        curvature_rel = None if curvature_V is None else curvature_V / self.read_voltage_V
        return LineCircuit(wires, self.gated, curvature_rel, self.calibration)
