"""Board > chip > core > axons x neurons: what a spiking chip is made of, and what it costs. Describes, never computes.

`load_spiking_chip("truenorth_science_2014")` reads one that comes with the package, `load_spiking_chip("mine.yaml")`
yours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from xbar.config import validate
from xbar.errors import ConfigError
from xbar.hardware import chip_document, is_spiking, list_spiking_chips
from xbar.parts.kinds import by_kind
from xbar.parts.spiking import Neuron
from xbar.settings import Settings, problems
from xbar.units import Count, Joule, Metre, Second, SquareMetre, Volt, Watt

Side = Annotated[int, Field(strict=True, ge=1, le=256)]


class SpikingCore(Settings):
    """A crossbar of axons x neurons with one bit per synapse, and its neurons."""

    axons: Annotated[int, Field(strict=True, ge=1, le=4096)]
    neurons: Annotated[int, Field(strict=True, ge=1, le=4096)]
    area_m2: SquareMetre


class Mesh(Settings):
    """The cores of a chip, cols along x and rows along y; chip_area_m2: the whole die."""

    cols: Side
    rows: Side
    chip_area_m2: SquareMetre


class Board(Settings):
    """Chips side by side, cols along x and rows along y; their meshes are one."""

    cols: Side = 1
    rows: Side = 1


class SpikingEnergy(Settings):
    """Power = cores * core_static_W + events/s * energy per event, all times (voltage_V / reference_voltage_V)^2.

    core_static_W: at rest and for its ticks. edge_bit_J: per bit between a core and the edge of the chip;
    chip_to_chip_bit_J: per bit that leaves a chip. voltages_V: the lowest and highest that the chip works at.
    """

    source: str = Field(min_length=1)
    reference_voltage_V: Volt
    voltage_V: Volt
    voltages_V: tuple[Volt, Volt]
    core_static_W: Watt
    synaptic_event_J: Joule
    hop_J: Joule
    edge_bit_J: Joule
    chip_to_chip_bit_J: Joule
    neuron_update_J: Joule = 0.0

    @property
    def scale_rel(self) -> float:
        """What every energy and power is multiplied with at `voltage_V`."""
        return (self.voltage_V / self.reference_voltage_V) ** 2

    @model_validator(mode="after")
    def _within_range(self) -> SpikingEnergy:
        low, high = self.voltages_V
        if not low <= self.voltage_V <= high:
            rule = f"must be from {low:g} V to {high:g} V (voltages_V)"
            raise problems("SpikingEnergy", [(("voltage_V",), rule, self.voltage_V)])
        return self


class SpikingChip(Settings):
    """A spiking chip, or a board of them, as its YAML file describes it: frozen, and nothing but description."""

    name: str = Field(min_length=1)
    citation: str = Field(min_length=1)
    technology_m: Metre
    hierarchy: str = Field(min_length=1)
    core: SpikingCore
    mesh: Mesh
    board: Board = Board()
    neuron: Annotated[Neuron, by_kind(Neuron)]
    max_delay: Annotated[int, Field(strict=True, ge=1, le=15)]
    packet_bits: Count
    tick_s: Second
    fastest_tick_s: Second
    energy: SpikingEnergy

    @model_validator(mode="after")
    def _consistent(self) -> SpikingChip:
        found = list(self._inconsistencies())
        if found:
            raise problems("SpikingChip", found)
        return self

    def _inconsistencies(self) -> Iterator[tuple[tuple[str, ...], str, Any]]:
        if self.tick_s < self.fastest_tick_s:
            yield ("tick_s",), f"must not be below fastest_tick_s ({self.fastest_tick_s:g} s)", self.tick_s
        cores_m2 = self.mesh.cols * self.mesh.rows * self.core.area_m2
        if self.mesh.chip_area_m2 < cores_m2:
            rule = f"must hold its {self.mesh.cols} x {self.mesh.rows} cores ({cores_m2 * 1e6:g} mm2)"
            yield ("mesh", "chip_area_m2"), rule, self.mesh.chip_area_m2

    @property
    def cols(self) -> int:
        """Cores along x, over all chips."""
        return self.mesh.cols * self.board.cols

    @property
    def rows(self) -> int:
        """Cores along y, over all chips."""
        return self.mesh.rows * self.board.rows

    @property
    def n_chips(self) -> int:
        return self.board.cols * self.board.rows

    @property
    def n_cores(self) -> int:
        """Cores of all chips."""
        return self.cols * self.rows

    @property
    def area_m2(self) -> float:
        """Area of all chips."""
        return self.n_chips * self.mesh.chip_area_m2

    @property
    def idle_power_W(self) -> float:
        """Of all chips at `voltage_V` with no spike anywhere."""
        return self.n_cores * self.energy.core_static_W * self.energy.scale_rel

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return self.model_dump(mode="json")


def load_spiking_chip(name_or_path: str | Path, overrides: Mapping[str, Any] | None = None) -> SpikingChip:
    """A spiking chip by name (`list_spiking_chips()`) or by its YAML file; overrides: {"energy.voltage_V": "0.7 V"}.

    Raises ConfigError with every problem at once, by file and line, too for a chip of crossbars.
    """
    document = chip_document(name_or_path)
    if not is_spiking(document):
        known = ", ".join(list_spiking_chips())
        raise ConfigError(f"chip: {name_or_path} is a chip of crossbars; the spiking chips are {known}, or your file")
    return validate(SpikingChip, document, overrides)
