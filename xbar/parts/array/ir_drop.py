"""A crossbar whose word lines and bit lines have a resistance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, final

import numpy as np
from pydantic import Field

from xbar.events import Event
from xbar.kernels.ladder import operators
from xbar.kernels.nodal import Wires, nodes_plain
from xbar.parts.array.ohmic import ohmic_cost
from xbar.parts.base import Array, Circuit, Cost, Device, Floats
from xbar.units import Ohm, SquareMetre, Volt


@final
@dataclass(frozen=True)
class LineCircuit(Circuit):
    """Word line i is driven at its left end by its voltage, bit line j is sensed at its last row; far ends are open.

    curvature_rel: V_0 over the read voltage of the cells' law I = g V_0 sinh(V / V_0); None: straight.
    gated: cells of word lines whose drive is zero are switched off.
    """

    wires: Wires
    gated: bool
    curvature_rel: float | None
    calibration: Literal["none", "column", "row_and_column"]

    @property
    def is_linear(self) -> bool:
        """Whether cells are straight and always connected."""
        return not self.gated and self.curvature_rel is None

    def effective_S(self, g_S: Floats) -> Floats:
        """The operator [..., row, col] for g_S [..., row, col], calibration applied."""
        found = self._operators(g_S.reshape(-1, *g_S.shape[-2:])).reshape(g_S.shape)
        drive, gain = self._factors(found, g_S)
        return found * drive[..., None] * gain[..., None, :]

    def currents_S(self, g_S: Floats, drive_rel: Floats) -> Floats:
        """Column currents over the read voltage, [vector, col]."""
        if self.is_linear:
            return drive_rel @ self.effective_S(g_S)
        drive, gain = self._factors(self._operators(g_S[None])[0], g_S)
        found = np.zeros((len(drive_rel), g_S.shape[1]))
        for vector, voltage in enumerate(drive_rel * drive):
            g = g_S * (voltage != 0)[:, None] if self.gated else g_S
            _, bit = nodes_plain(g, self.wires, voltage, self.curvature_rel)
            found[vector] = bit[-1] / (self.wires.bit_Ohm + self.wires.sense_Ohm) * gain
        return found

    def _operators(self, g_S: Floats) -> Floats:
        """Without calibration; of curved cells, with the chord conductances that they have with all lines driven."""
        if self.curvature_rel is not None:
            chords = np.empty(g_S.shape)
            for chord, g in zip(chords, g_S, strict=True):
                word, bit = nodes_plain(g, self.wires, np.ones(len(g)), self.curvature_rel)
                across = (word - bit) / self.curvature_rel
                chord[:] = g * np.where(across == 0, 1, np.sinh(across) / np.where(across == 0, 1, across))
            g_S = chords
        return operators(g_S, self.wires)

    def _factors(self, found_S: Floats, ideal_S: Floats) -> tuple[Floats, Floats]:
        drive, gain = np.ones(found_S.shape[:-1]), np.ones((*found_S.shape[:-2], found_S.shape[-1]))
        for _ in range({"none": 0, "column": 1, "row_and_column": 30}[self.calibration]):
            gain = _least_squares(found_S * drive[..., None], ideal_S, axis=-2)
            if self.calibration == "row_and_column":
                drive = _least_squares(found_S * gain[..., None, :], ideal_S, axis=-1)
                drive /= drive.mean(axis=-1, keepdims=True)
        return drive, gain


def _least_squares(found_S: Floats, ideal_S: Floats, axis: int) -> Floats:
    """Factors that bring `found_S` closest to `ideal_S`, one for each line along `axis`."""
    power = (found_S**2).sum(axis=axis)
    return np.where(power > 0, (found_S * ideal_S).sum(axis=axis) / np.where(power > 0, power, 1), 1.0)


@final
class IrDropArray(Array):
    """A crossbar of resistive cells on resistive wires; area and energy as kind: ohmic."""

    read_voltage_V: Volt
    cell_area_m2: SquareMetre = Field(gt=0)
    word_line_Ohm: Annotated[Ohm, Field(gt=0)]
    bit_line_Ohm: Annotated[Ohm, Field(gt=0)]
    driver_Ohm: Ohm = 0.0
    sense_Ohm: Ohm = 0.0
    drive: Literal["one_sided", "two_sided"] = "one_sided"
    gated: Annotated[bool, Field(strict=True)] = False
    calibration: Literal["none", "column", "row_and_column"] = "none"

    @property
    def event(self) -> Event:
        """A word line that carries a non-zero input."""
        return "active_rows"

    def cost(self, device: Device) -> Cost:
        """Cost of one array; energy per active word line, power with all word lines active."""
        return ohmic_cost(self, self.read_voltage_V, self.cell_area_m2, device)

    def unused(self, device: Device) -> tuple[str, ...]:
        """Nothing: the cells see different voltages."""
        return ()

    def circuit(self, device: Device) -> LineCircuit:
        """The resistive network of one array of such devices."""
        curvature_V = device.curvature_V
        return LineCircuit(
            Wires(self.word_line_Ohm, self.bit_line_Ohm, self.driver_Ohm, self.sense_Ohm, self.drive == "two_sided"),
            self.gated,
            None if curvature_V is None else curvature_V / self.read_voltage_V,
            self.calibration,
        )
