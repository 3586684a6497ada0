"""The families of hardware parts, abstract: what every device, array, DAC, ADC and priced component must offer.

A part is a frozen value; `kind` names its file (`adc: {kind: sar}` is xbar/parts/adc/sar.py) or, for an outsider's
class, `module:Class`. Classes are either abstract (here) or final (one per file).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PlainValidator, model_validator

from xbar.events import Event
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


class Device(Part):
    """One ReRAM cell: it holds `cell_bits` bits of a weight as one of 2^cell_bits conductances."""

    folders: ClassVar[tuple[str, ...]] = ("device",)

    cell_bits: Annotated[int, Field(strict=True, ge=1, le=8)]

    @property
    @abstractmethod
    def mean_conductance_S(self) -> float | None:
        """Conductance averaged over equally likely levels, in S; None where the device has no physics."""


class Array(Part):
    """A crossbar of rows x cols cells, read in `read_time_s`; the unit column of offset encodings comes on top."""

    folders: ClassVar[tuple[str, ...]] = ("array",)

    rows: Count
    cols: Count
    read_time_s: Second

    @property
    @abstractmethod
    def event(self) -> Event:
        """What the energy of `cost` is paid for: a read of the whole array, or one word line that carries an input."""

    @abstractmethod
    def cost(self, device: Device) -> Cost:
        """Cost of one array of such devices; raises ValueError if the array needs what the device lacks."""

    @abstractmethod
    def unused(self, device: Device) -> tuple[str, ...]:
        """Names of the device's settings that have no effect in this array (an error of the chip)."""


class Dac(Part):
    """A driver of one word line: sends `bits` input bits per pulse; one pulse lasts one read of the array."""

    folders: ClassVar[tuple[str, ...]] = ("dac",)

    bits: Annotated[int, Field(strict=True, ge=1, le=8)]

    @abstractmethod
    def cost(self, pulse_s: float) -> Cost:
        """Cost of one driver; energy per pulse of `pulse_s` seconds (event row_pulses)."""


def _read_bits(value: Any) -> int | tuple[int, ...]:
    """One resolution, or one per slice; the same strictness for both."""
    several = isinstance(value, (list, tuple))
    numbers = tuple(value) if several else (value,)
    if not numbers or any(isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= 16 for n in numbers):
        raise ValueError("must be a whole number from 1 to 16, or a list of one per slice; kind: ideal has no limit")
    return numbers if several else numbers[0]


Resolution = Annotated[int | tuple[int, ...], PlainValidator(_read_bits)]


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
    def cost(self) -> Cost:
        """Cost of one instance; `energy_J` is that of its first event."""


class Memory(Component):
    """A buffer or register file of `capacity_bytes`, `word_bits` wide."""

    capacity_bytes: Count
    word_bits: Count


class Router(Component):
    """A router with `ports` ports of `flit_bits` wires, clocked at its own rate; answers link_bits."""

    ports: Count
    flit_bits: Count
