"""The families of hardware parts, abstract: what every device, array, DAC, ADC and priced component must offer.

A part is a frozen value; `kind` names its file (`adc: {kind: sar}` is xbar/parts/adc/sar.py) or, for an outsider's
class, `module:Class`. Classes are either abstract (here) or final (one per file).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PlainSerializer, PlainValidator, model_validator

from xbar.events import Event
from xbar.parts.scale import Scale
from xbar.parts.wiring import Wiring
from xbar.parts.write_pulses import WritePulses
from xbar.settings import Settings, problems
from xbar.units import Count, Second


@dataclass(frozen=True)
class Cost:
    """What one instance of a part costs.

    power_W: drawn at full activity, leakage included. energy_J: per event. latency_s: of one event.
    leakage_W: drawn all the time, whatever happens.
    """

    area_m2: float
    power_W: float
    energy_J: float
    latency_s: float = 0.0
    leakage_W: float = 0.0


class Part(Settings, ABC):
    """A piece of hardware. `source` says where its numbers come from; reports print it."""

    folders: ClassVar[tuple[str, ...]]

    kind: str = ""
    source: str = ""

    @model_validator(mode="before")
    @classmethod
    def _own_kind(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        package, _, name = cls.__module__.rpartition(".")
        own = name if package.startswith("xbar.parts.") else f"{cls.__module__}:{cls.__qualname__}"
        if data.get("kind", own) != own:
            raise problems(cls.__name__, [(("kind",), f"{cls.__name__} is kind: {own}", data["kind"])])
        return {**data, "kind": own}

    def changed(self, note: str, **settings: Any) -> Self:
        """A copy with other `settings`, whose `source` ends with `note`: what was done to it, and by which law."""
        return self.model_copy(update={**settings, "source": f"{self.source}; {note}" if self.source else note})


Floats = NDArray[np.float64]


class Device(Part):
    """One ReRAM cell: it holds `cell_bits` bits of a weight as one of 2^cell_bits conductances.

    Level L of the 2^cell_bits wants the conductance g_min + L (g_max - g_min) / (2^cell_bits - 1), because column sums
    are read on a linear scale; it gets the nearest state that the device has. programming: how cells are written, where
    somebody says.
    """

    folders: ClassVar[tuple[str, ...]] = ("device",)

    cell_bits: Annotated[int, Field(strict=True, ge=1, le=8)]
    programming: WritePulses | None = None

    @model_validator(mode="after")
    def _pulses_have_an_energy(self) -> Device:
        pulses = self.programming
        if pulses is not None and pulses.voltage_V is not None and self.range_S is None:
            rule = "needs the cell's conductances, which this kind does not have; give energy_J (of a pulse)"
            raise problems(type(self).__name__, [(("programming", "voltage_V"), rule, pulses.voltage_V)])
        return self

    @property
    @abstractmethod
    def mean_conductance_S(self) -> float | None:
        """Conductance averaged over equally likely levels, in S; None where the device has no physics."""

    @property
    @abstractmethod
    def range_S(self) -> tuple[float, float] | None:
        """g_min (HRS) and g_max (LRS) in S; None where the device has no physics."""

    @abstractmethod
    def levels_rel(self) -> Floats:
        """Conductance that each level is programmed to, over g_max, float64 [level]."""

    @property
    @abstractmethod
    def curvature_V(self) -> float | None:
        """V_0 of the I-V law I ~ sinh(V / V_0), None where it is straight; conductances are at the read voltage."""

    @property
    def low_rel(self) -> float:
        """g_min over g_max; 0 where the device has no physics."""
        return self.range_S[0] / self.range_S[1] if self.range_S else 0.0


class Wired(NamedTuple):
    """What wires make of the cells of crossbars: conductances in S.

    effective_S: the operator [..., row, col], column current / read voltage = sum_row drive * it. Without wire
    resistance it is that of the cells. Where the circuit is not linear, the one with all word lines driven.
    line_S: [..., row], the power that a word line takes from its driver / (drive * read voltage)^2 where all others are
    driven alike; as much as they are below it flows in addition, from line to line.
    """

    effective_S: Floats
    line_S: Floats


class Circuit(ABC):
    """A crossbar whose wires have a resistance.

    The word lines and bit lines that are used (the shape of g_S) sit next to drivers and sense amplifiers; the others
    are switched off. All conductances in S, all voltages over the read voltage.
    """

    @property
    @abstractmethod
    def is_linear(self) -> bool:
        """Whether one operator gives the column currents of all inputs."""

    @property
    @abstractmethod
    def read_gain(self) -> float:
        """Conductance of a cell at the read voltage over that at small voltages, which g_S holds; 1 if straight."""

    @abstractmethod
    def wired(self, g_S: Floats) -> Wired:
        """What the wires make of cells g_S [..., row, col]."""

    def effective_S(self, g_S: Floats) -> Floats:
        """The operator [..., row, col] of g_S [..., row, col]; see `Wired`."""
        return self.wired(g_S).effective_S

    @abstractmethod
    def currents_S(self, g_S: Floats, drive_rel: Floats) -> Floats:
        """Column currents over the read voltage, [vector, col], for word line voltages drive_rel [vector, row].

        The result for a vector does not depend on the other vectors.
        """


class Array(Part):
    """A crossbar of rows x cols cells, read in `read_time_s`; the unit column of offset encodings comes on top."""

    folders: ClassVar[tuple[str, ...]] = ("array",)

    rows: Count
    cols: Count
    read_time_s: Second

    @property
    @abstractmethod
    def event(self) -> Event:
        """What the energy of `cost` is paid for: a read of the whole array, or of a single cell."""

    @abstractmethod
    def cost(self, device: Device) -> Cost:
        """Cost of one array of such devices; raises ValueError if the array needs what the device lacks."""

    @abstractmethod
    def unused(self, device: Device) -> tuple[str, ...]:
        """Names of the device's settings that have no effect in this array (an error of the chip)."""

    @abstractmethod
    def circuit(self, device: Device) -> Circuit | None:
        """The resistive network of word lines, cells and bit lines; None where wires are ideal."""


class Dac(Part):
    """A driver of one word line: sends `bits` input bits per pulse; one pulse lasts one read of the array."""

    folders: ClassVar[tuple[str, ...]] = ("dac",)

    bits: Annotated[int, Field(strict=True, ge=1, le=8)]

    @abstractmethod
    def cost(self, pulse_s: float) -> Cost:
        """Cost of one driver; energy per pulse of `pulse_s` seconds (event row_pulses)."""

    @abstractmethod
    def scaled(self, by: Scale) -> Self:
        """The driver in another technology; its pulses last as long as before, since the array's read does."""


def _read_bits(value: Any) -> int | tuple[int, ...]:
    """One resolution, or one per slice; the same strictness for both."""
    several = isinstance(value, (list, tuple))
    numbers = tuple(value) if several else (value,)
    if not numbers or any(isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= 16 for n in numbers):
        raise ValueError("must be a whole number from 1 to 16, or a list of one per slice; kind: ideal has no limit")
    return numbers if several else numbers[0]


def _written_bits(value: int | tuple[int, ...]) -> int | list[int]:
    return list(value) if isinstance(value, tuple) else value


Resolution = Annotated[
    int | tuple[int, ...],
    PlainValidator(_read_bits),
    PlainSerializer(_written_bits, when_used="json"),  # pydantic's own warns of lists where a validator is plain
]


class Adc(Part):
    """Digitises column sums. `mode` says how a sum becomes a code (DESIGN section 5); the engine computes the codes.

    `ideal` passes every sum, `clip` has an LSB of one cell step and saturates, `range` spreads its codes over a full
    scale that is found by the method `full_scale` names.
    """

    folders: ClassVar[tuple[str, ...]] = ("adc",)

    mode: Literal["clip", "range", "ideal"]
    full_scale: Literal["worst_case", "max", "percentile", "mse"] | None = None
    percentile: float | None = None

    @abstractmethod
    def bits_of_slices(self, n_slices: int) -> tuple[int, ...] | None:
        """Resolution per slice (0 = least significant); None if unlimited. ValueError for a list of wrong length."""

    @abstractmethod
    def cost(self, bits: int | None) -> Cost:
        """Cost of one converter used at `bits`: energy and latency per conversion, power while it converts."""

    @abstractmethod
    def scaled(self, by: Scale) -> Self:
        """The converter in another technology; at every resolution all of its cost follows `by`."""


class FiniteAdc(Adc):
    """An ADC with a resolution: the settings that all real converters share."""

    bits: Resolution
    mode: Literal["clip", "range"] = "clip"
    percentile: float | None = Field(None, gt=50, le=100)
    source: str = Field(min_length=1)

    @model_validator(mode="after")
    def _nothing_inert(self) -> FiniteAdc:
        found: list[tuple[tuple[str | int, ...], str, Any]] = []
        if self.mode == "clip" and self.full_scale is not None:
            rule = "has no effect with mode: clip; remove it, or set mode: range"
            found.append((("full_scale",), rule, self.full_scale))
        if self.mode == "range" and self.full_scale is None:
            rule = "is needed with mode: range; choose worst_case, max, percentile or mse"
            found.append((("full_scale",), rule, self.full_scale))
        if self.full_scale == "percentile" and self.percentile is None:
            found.append((("percentile",), "is needed with full_scale: percentile, for example 99.9", None))
        if self.full_scale != "percentile" and self.percentile is not None:
            rule = "has no effect without full_scale: percentile; remove it"
            found.append((("percentile",), rule, self.percentile))
        for bits in {self.bits} if isinstance(self.bits, int) else set(self.bits):
            try:
                self.cost(bits)
            except ValueError as error:
                found.append((("bits",), str(error), bits))
        if found:
            raise problems(type(self).__name__, found)
        return self

    def bits_of_slices(self, n_slices: int) -> tuple[int, ...]:
        """Resolution per slice (0 = least significant); ValueError if a list does not have one entry per slice."""
        if isinstance(self.bits, int):
            return (self.bits,) * n_slices
        if len(self.bits) != n_slices:
            raise ValueError(f"needs one entry per slice, {n_slices} in all, slice 0 (least significant) first")
        return self.bits


@dataclass(frozen=True, eq=False)
class Cells:
    """Cells to be programmed. level: uint8 [...]; low_rel: g_min / g_max; n_levels: 2^cell_bits.

    target_rel: float64 [...], the conductance each is meant to have, over g_max.
    """

    level: NDArray[np.uint8]
    target_rel: Floats
    low_rel: float
    n_levels: int


@dataclass(frozen=True)
class When:
    """The moment of reading: seconds after programming, and the temperature since then in K."""

    time_s: float = 0.0
    temperature_K: float = 300.0


class Noise(Part):
    """One way in which a real device or converter departs from the ideal one; each is one of the four kinds below.

    Conductances are relative to the device's g_max, so that a law measured on one device scales to another's g_max.
    """

    folders: ClassVar[tuple[str, ...]] = ("noise",)

    def misfits(self, device: Device) -> tuple[str, ...]:
        """Why the effect cannot happen to such devices (an error of the chip); nothing, unless a kind says so."""
        return ()


Stage = Literal["program", "age", "state", "fault"]
STAGES: tuple[Stage, ...] = ("program", "age", "state", "fault")


class CellNoise(Noise):
    """What makes the conductance of a cell, once programmed, differ from what came before it, and then stay.

    Effects follow each other in the order of STAGES, and in the order listed within one: programming, ageing since
    then, a slow state in which the cell is now, faults that override all.
    """

    stage: ClassVar[Stage]

    @property
    @abstractmethod
    def per_device(self) -> bool:
        """Drawn once in a device's life (device to device); else anew at every programming (cycle to cycle)."""

    @abstractmethod
    def sample(self, cells: Cells, g_rel: Floats, when: When, rng: np.random.Generator) -> Floats:
        """New conductances over g_max, float64 of the shape of `g_rel`, which is what the effects before it left."""

    @abstractmethod
    def moments(self, cells: Cells, g_rel: Floats, when: When) -> tuple[Floats, Floats]:
        """Mean and variance of `sample`, from the formula."""


class ReadNoise(Noise):
    """Independent zero-mean Gaussian noise of every cell at every read."""

    @abstractmethod
    def variance(self, g_rel: Floats, when: When) -> Floats:
        """Variance of one read of each cell, over g_max^2."""


class AdcNoise(Noise):
    """Errors of converters: code = round(c_0 + c_1 y + c_2 y^2 + sigma xi) for a column sum of y LSBs."""

    @property
    @abstractmethod
    def sigma_lsb(self) -> float:
        """Standard deviation of every single conversion, in LSB."""

    @abstractmethod
    def sample(self, full_scale_lsb: float, n: int, rng: np.random.Generator) -> Floats:
        """c_0, c_1, c_2 of `n` converters whose largest code is `full_scale_lsb`, float64 [n, 3]; fixed for life."""

    @abstractmethod
    def moments(self, y_lsb: Floats, full_scale_lsb: float) -> tuple[Floats, Floats]:
        """Mean and variance of c_0 + c_1 y + c_2 y^2 + sigma xi over converters and conversions."""


class DacNoise(Noise):
    """Errors of word line drivers: voltage = digit (gain + sigma xi)."""

    @property
    @abstractmethod
    def sigma_rel(self) -> float:
        """Standard deviation of every single pulse, relative to its voltage."""

    @abstractmethod
    def sample(self, n: int, rng: np.random.Generator) -> Floats:
        """Gains of `n` drivers, float64 [n]; fixed for life."""

    @abstractmethod
    def moments(self) -> tuple[float, float]:
        """Mean and variance of a pulse's voltage over its nominal one."""


class Component(Part):
    """A part that is priced by events: a register, an adder, a buffer, a bus, a router, a link.

    count: how many; a fraction where several parents share one (a router of 4 tiles is 0.25 per tile).
    per: what `count` counts by. Row and column follow the crossbar's size: sample-and-holds are 1 per column.
    """

    folders: ClassVar[tuple[str, ...]] = ("digital", "memory", "router")

    count: float = Field(1, gt=0)
    per: Literal["parent", "crossbar", "row", "column"] = "parent"

    @abstractmethod
    def energies(self) -> tuple[tuple[Event, float], ...]:
        """Energy in J of each event that the component answers; empty for one that only leaks."""

    @abstractmethod
    def events_per_s(self, event: Event) -> float:
        """How many of `event` one instance handles per second at full activity; 0 where it does not answer it."""

    @abstractmethod
    def cost(self) -> Cost:
        """Cost of one instance; `energy_J` is that of its first event."""

    @abstractmethod
    def scaled(self, by: Scale) -> Self:
        """The component in another technology; all of its cost follows `by`."""


class Memory(Component):
    """A buffer or register file of `capacity_bytes`, `word_bits` wide, with `ports` accesses at a time."""

    capacity_bytes: Count
    word_bits: Count
    ports: Count = 1


class Router(Component):
    """What joins the tiles of a chip: links that pass flits of `flit_bits`; answers link_bits."""

    flit_bits: Count

    @property
    @abstractmethod
    def link_bits_per_s(self) -> float:
        """What one link passes in one direction."""

    @property
    @abstractmethod
    def hop_time_s(self) -> float:
        """Time of a flit over one link, its router included."""

    @abstractmethod
    def wiring(self, n_tiles: int) -> Wiring:
        """The links that it makes between the tiles of a chip."""

    @abstractmethod
    def needed(self, n_tiles: int) -> tuple[float, str]:
        """How many of it a chip of so many tiles has (a fraction where tiles are left over), and why, in words."""
