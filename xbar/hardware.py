"""Chip > tile > core > crossbar: what a chip is made of, and what its parts cost. Describes, never computes.

`load_chip("isaac_isca_2016")` reads one of the chips that come with the package, `load_chip("my_chip.yaml")` yours.
"""

from __future__ import annotations

import difflib
import importlib.resources
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from xbar.config import Document, from_data, load_yaml, validate
from xbar.encoding import Encoding
from xbar.errors import ConfigError
from xbar.events import Event
from xbar.network import Precision
from xbar.noise import NoiseModel, noise_document, with_paths
from xbar.parts.base import Adc, Array, Component, Cost, Dac, Device, Memory, Router
from xbar.parts.kinds import by_kind
from xbar.parts.wiring import MeshWiring, Wiring
from xbar.settings import Settings, problems
from xbar.units import Count, Metre, Second, si

Level = Literal["crossbar", "core", "tile", "chip"]
LEVELS: tuple[Level, ...] = ("crossbar", "core", "tile", "chip")
Parts = dict[str, Annotated[Component, by_kind(Component, default="priced")]]


class Core(Settings):
    """A group of crossbars that shares `adcs` converters, and the parts beside them."""

    crossbars: Count
    adcs: Count
    parts: Parts = Field(default_factory=dict)


class Tile(Settings):
    """A group of cores with a buffer, and the parts beside them."""

    cores: Count
    parts: Parts = Field(default_factory=dict)


class ChipLevel(Settings):
    """The tiles of a chip, and the parts beside them."""

    tiles: Count
    parts: Parts = Field(default_factory=dict)


def _named(value: Any) -> Any:
    """A noise model by its name or file."""
    if not isinstance(value, str):
        return value
    try:
        return dict(noise_document(value).data)
    except ConfigError as error:
        raise ValueError(error.problems[0].removeprefix("noise: ")) from error


@dataclass(frozen=True)
class LedgerRow:
    """One kind of part at one level, priced per instance.

    count_per_parent: instances in one core (levels crossbar and core), tile or chip; fractions where several parents
    share one. energies: joules per event, rates: events per second of one instance at full activity; those of the ADC
    are for its highest resolution over the slices.
    """

    level: Level
    part: str
    kind: str
    count_per_parent: float
    count_per_chip: float
    cost: Cost
    energies: tuple[tuple[Event, float], ...]
    rates: tuple[tuple[Event, float], ...]
    source: str


class Chip(Settings):
    """A chip as its YAML file describes it: frozen, comparable, and nothing but description.

    noise: a section as in hw_configs/noise, or the name or file of one; without it cells are ideal.
    cycle_s: digital stages of the pipeline take whole cycles of this length; None: as long as they need.
    idle_clock_rel: what the clocks of parts that do nothing draw, over their dynamic power at full activity; 0: gated.
    scaled_from_m: the node of the figures that `xbar.scaled` brought to technology_m; None: they are of technology_m.
    """

    name: str = Field(min_length=1)
    citation: str = Field(min_length=1)
    technology_m: Metre
    hierarchy: str = Field(min_length=1)
    precision: Precision
    encoding: Encoding
    crossbar: Annotated[Array, by_kind(Array)]
    device: Annotated[Device, by_kind(Device)]
    dac: Annotated[Dac, by_kind(Dac)]
    adc: Annotated[Adc, by_kind(Adc)]
    core: Core
    tile: Tile
    chip: ChipLevel
    noise: Annotated[NoiseModel | None, BeforeValidator(_named)] = None
    cycle_s: Second | None = None
    idle_clock_rel: float = Field(0.0, ge=0, le=1)
    scaled_from_m: Metre | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Chip:
        found = list(self._inconsistencies())
        if found:
            raise problems("Chip", found)
        return self

    def _inconsistencies(self) -> Iterator[tuple[tuple[str, ...], str, Any]]:
        try:
            self.adc.bits_of_slices(self.n_slices)
        except ValueError as error:
            yield ("adc", "bits"), str(error), None
        try:
            self.crossbar.cost(self.device)
        except ValueError as error:
            yield ("crossbar", "kind"), str(error), self.crossbar.kind
        for name in self.crossbar.unused(self.device):
            yield ("device", name), f"has no effect with crossbar kind: {self.crossbar.kind}; remove it", None
        if self.dac.bits > self.precision.input_bits:
            yield ("dac", "bits"), f"must not exceed precision.input_bits ({self.precision.input_bits})", self.dac.bits
        if self.encoding.kind == "ternary" and self.precision.weight_bits != 2:
            rule = "must be 2 with encoding kind: ternary, whose weights are -1, 0, 1"
            yield ("precision", "weight_bits"), rule, self.precision.weight_bits
        if self.encoding.kind == "ternary" and self.device.cell_bits != 1:
            rule = "must be 1 with encoding kind: ternary, which uses two levels of a cell"
            yield ("device", "cell_bits"), rule, self.device.cell_bits
        if self.columns_per_weight > self.crossbar.cols:
            rule = f"must hold all {self.columns_per_weight} cells of a weight with layout: interleaved"
            yield ("crossbar", "cols"), rule, self.crossbar.cols
        for level, parts in (("tile", self.tile.parts), ("chip", self.chip.parts)):
            for name, part in parts.items():
                if part.per != "parent":
                    rule = f"has no meaning at {level} level, where there are no rows and columns; remove it"
                    yield (level, "parts", name, "per"), rule, part.per
        for name, effect in (self.noise.effects if self.noise else {}).items():
            for rule in effect.misfits(self.device):
                yield ("noise", "effects", name), rule, None
        for name in sorted({"adc", "dac"} & set(self.core.parts)):
            yield ("core", "parts", name), f"is the name of the section `{name}:`; choose another name", name
        yield from self._router_problems()

    def _router_problems(self) -> Iterator[tuple[tuple[str, ...], str, Any]]:
        """One network joins the tiles, and it has as many routers as the tiles that share them ask for."""
        routers = self._routers()
        for level, name, _ in routers:
            if level == "core":
                yield (level, "parts", name), "joins tiles; move it to tile.parts or chip.parts", None
            if len(routers) > 1:
                listed = ", ".join(f"{where}.parts.{other}" for where, other, _ in routers)
                yield (level, "parts", name), f"is one of {len(routers)} routers ({listed}); keep one", None
        if len(routers) == 1 and routers[0][0] != "core":
            level, name, router = routers[0]
            n, reason = router.needed(self.chip.tiles)
            parents = self._parents(level)
            right = f"{n / parents:.6g}"
            if not 0.999 * n <= router.count * parents <= 1.001 * math.ceil(n):
                rule = f"must be {right} at {level} level, since {reason}; write count: {right}, or change the router"
                yield (level, "parts", name, "count"), rule, router.count

    def _routers(self) -> list[tuple[Level, str, Router]]:
        """The parts of that family: level, name and part."""
        return [
            (level, name, part)
            for level, parts in self._parts()
            for name, part in parts.items()
            if isinstance(part, Router)
        ]

    def _parts(self) -> tuple[tuple[Level, Parts], ...]:
        """The priced parts, by level."""
        return ("core", self.core.parts), ("tile", self.tile.parts), ("chip", self.chip.parts)

    @property
    def router(self) -> Router | None:
        """What joins the tiles; None where the chip says nothing of it."""
        return next((part for _, _, part in self._routers()), None)

    @property
    def wiring(self) -> Wiring:
        """The links between the tiles; a square mesh of tiles, good for distances only, where there is no router."""
        n_tiles = self.chip.tiles
        return self.router.wiring(n_tiles) if self.router else MeshWiring(n_tiles)

    @property
    def tile_buffer(self) -> Memory | None:
        """The memory of a tile that answers buffer_read_bits (of several the largest); None where none has a size."""
        parts = self.tile.parts.values()
        found = [p for p in parts if isinstance(p, Memory) and p.events_per_s("buffer_read_bits") > 0]
        return max(found, key=lambda part: part.capacity_bytes, default=None)

    @property
    def is_analog(self) -> bool:
        """Whether cells are simulated as conductances: noise is asked for, wires count, or levels are not even."""
        even = np.linspace(self.device.low_rel, 1, 1 << self.device.cell_bits)
        exact = np.allclose(self.device.levels_rel(), even, rtol=0, atol=1e-12)
        return self.noise is not None or self.crossbar.circuit(self.device) is not None or not exact

    @property
    def baseline_steps(self) -> float:
        """What an active word line at digit 1 adds to every column sum that an ADC reads, in cell steps.

        g_min over a cell step, (g_max - g_min) / (2^cell_bits - 1), where real cells are simulated and no reference
        column takes it away before the ADC.
        """
        if not self.is_analog or self.encoding.baseline_removal == "reference":
            return 0.0
        low = self.device.low_rel
        return low / (1 - low) * ((1 << self.device.cell_bits) - 1)

    @property
    def n_slices(self) -> int:
        """Bit slices of a weight: magnitude bits over cell bits, rounded up; 1 for ternary."""
        if self.encoding.kind == "ternary":
            return 1
        magnitude_bits = self.precision.weight_bits - (self.encoding.kind == "differential")
        return -(-magnitude_bits // self.device.cell_bits)

    @property
    def n_planes(self) -> int:
        """Cells of a weight: slices, twice for encodings with two polarities."""
        return self.n_slices * (1 if self.encoding.kind == "offset" else 2)

    @property
    def columns_per_weight(self) -> int:
        """Neighbouring columns that one weight takes in a crossbar."""
        return self.n_planes if self.encoding.layout == "interleaved" else 1

    @property
    def n_pulses(self) -> int:
        """Pulses of an unsigned input vector."""
        return -(-self.precision.input_bits // self.dac.bits)

    @property
    def adc_bits(self) -> tuple[int, ...] | None:
        """ADC resolution per slice (0 = least significant); None if the ADC is ideal."""
        return self.adc.bits_of_slices(self.n_slices)

    def ledger(self) -> tuple[LedgerRow, ...]:
        """Every part of the chip, priced: crossbars, DACs and ADCs, and the parts of core, tile and chip."""
        bits = max(self.adc_bits) if self.adc_bits else None
        read_s, n_crossbars, n_rows = self.crossbar.read_time_s, self.core.crossbars, self.crossbar.rows
        array, dac, adc = self.crossbar.cost(self.device), self.dac.cost(read_s), self.adc.cost(bits)
        reads = self.crossbar.event
        read_Hz = array.power_W / array.energy_J if array.energy_J else 0.0  # what draws the array's power
        convert_Hz = 1 / adc.latency_s if adc.latency_s else 0.0  # an ideal one sets no limit
        rows = [
            self._row("crossbar", "array", self.crossbar, n_crossbars, array, ((reads, array.energy_J, read_Hz),)),
            self._row("core", "dac", self.dac, n_crossbars * n_rows, dac, (("row_pulses", dac.energy_J, 1 / read_s),)),
            self._row("core", "adc", self.adc, self.core.adcs, adc, (("conversions", adc.energy_J, convert_Hz),)),
        ]
        factor = self._instances()
        for level, parts in self._parts():
            for name, part in parts.items():
                answers = tuple((event, energy_J, part.events_per_s(event)) for event, energy_J in part.energies())
                rows.append(self._row(level, name, part, part.count * factor[part.per], part.cost(), answers))
        return tuple(rows)

    def _row(
        self,
        level: Level,
        name: str,
        part: Array | Dac | Adc | Component,
        count: float,
        cost: Cost,
        answers: tuple[tuple[Event, float, float], ...],
    ) -> LedgerRow:
        """answers: each event with its energy and the rate of one instance, 0 for one without limit."""
        return LedgerRow(
            level=level,
            part=name,
            kind=part.kind,
            count_per_parent=count,
            count_per_chip=count * self._parents(level),
            cost=cost,
            energies=tuple((event, energy_J) for event, energy_J, _ in answers),
            rates=tuple((event, rate) for event, _, rate in answers if rate > 0),
            source=part.source,
        )

    def _parents(self, level: Level) -> int:
        """Cores (for crossbar and core level), tiles or chips in the chip: what `count_per_parent` counts by."""
        n_cores = self.tile.cores * self.chip.tiles
        return {"crossbar": n_cores, "core": n_cores, "tile": self.chip.tiles, "chip": 1}[level]

    def total(self, level: Level = "chip") -> Cost:
        """Area, power at full activity and leakage of one crossbar, core or tile, or of the chip, with all in it."""
        below = LEVELS[: LEVELS.index(level) + 1]
        area_m2 = power_W = leakage_W = 0.0
        for row in self.ledger():
            if row.level in below:
                n = 1 if level == "crossbar" else row.count_per_chip / self._parents(level)
                area_m2 += n * row.cost.area_m2
                power_W += n * row.cost.power_W
                leakage_W += n * row.cost.leakage_W
        return Cost(area_m2, power_W, 0.0, leakage_W=leakage_W)

    def events_per_s(self, event: Event, level: Literal["core", "tile", "chip"] = "tile") -> float | None:
        """How many of `event` one core or tile handles per second at full activity, or the chip, with all in it.

        Parts that answer the same event act in series, so that the slowest counts, with all its instances: a bit that
        the buffer reads may pass a register of a core as well. None where no part answers it: what a part of the chip
        does for all tiles (offchip_bits) has a rate at level "chip" only. Events that one part answers share its time.
        Of link_bits it is what the routers pass over all their links; `router.link_bits_per_s` is of one.
        """
        below = LEVELS[: LEVELS.index(level) + 1]
        rates = [
            row.count_per_chip / self._parents(level) * rate
            for row in self.ledger()
            if row.level in below
            for answered, rate in row.rates
            if answered == event
        ]
        return min(rates, default=None)

    def core_rate(self, *events: Event) -> float | None:
        """How many of `events` the parts beside the crossbars of a core (its `parts:`) handle per second.

        That of the slowest, with all its instances; None where no part says.
        """
        factor = self._instances()
        parts = self.core.parts.values()
        rates = [part.count * factor[part.per] * part.events_per_s(event) for part in parts for event in events]
        return min((rate for rate in rates if rate > 0), default=None)

    def _instances(self) -> dict[str, int]:
        """Parts in a core for each `per`."""
        n_crossbars = self.core.crossbars
        rows, cols = n_crossbars * self.crossbar.rows, n_crossbars * self.crossbar.cols
        return {"parent": 1, "crossbar": n_crossbars, "row": rows, "column": cols}

    @property
    def area_m2(self) -> float:
        """Area of the chip: the sum of its ledger."""
        return self.total().area_m2

    @property
    def peak_power_W(self) -> float:
        """Power of the chip with every part at full activity: the sum of its ledger."""
        return self.total().power_W

    @property
    def pulse_time_s(self) -> float:
        """Time from one input pulse to the next: the read, or the conversions that an ADC has to do meanwhile.

        max(read, ceil(crossbars * cols / adcs) * conversion), as the paper counts: without the unit column. With it a
        full ISAAC core needs 129 conversions per ADC, 100.78 ns where this is 100 ns: see `xbar.outline.pulse_time_s`.
        What works on the codes, or drives the word lines, may be slower than the ADCs (`core_rate`).
        """
        bits = max(self.adc_bits) if self.adc_bits else None
        columns, lines = self.core.crossbars * self.crossbar.cols, self.core.crossbars * self.crossbar.rows
        codes, drives = self.core_rate("conversions", "shift_adds"), self.core_rate("row_pulses")
        return max(
            self.crossbar.read_time_s,
            -(-columns // self.core.adcs) * self.adc.cost(bits).latency_s,
            columns / codes if codes else 0.0,
            lines / drives if drives else 0.0,
        )

    @property
    def peak_ops_per_s(self) -> float:
        """Multiplications and additions per second with every cell in use: 2 per weight and input vector.

        At `pulse_time_s`, so as the paper counts: without the unit column. No program of an offset encoding whose
        conversions fill the read reaches it: ISAAC's 41.3 TOPS become 41.0 with the unit column.
        """
        weights = self.crossbar.rows * self.crossbar.cols / self.n_planes
        if self.encoding.layout == "interleaved":
            weights = self.crossbar.rows * (self.crossbar.cols // self.columns_per_weight)
        n_crossbars = self.core.crossbars * self._parents("core")
        return 2 * weights * n_crossbars / (self.n_pulses * self.pulse_time_s)

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.chip.tiles} tiles x {self.tile.cores} cores x {self.core.crossbars} crossbars of "
            f"{self.crossbar.rows} x {self.crossbar.cols}, {si(self.area_m2, 'm2')}, "
            f"{si(self.peak_power_W, 'W')} at full activity ({self.citation})"
        )

    def describe(self) -> tuple[dict[str, str], ...]:
        """Rows for a table: every part with its count, area and power per parent, then the sum of each level."""
        table = []
        for level in LEVELS:
            for row in (r for r in self.ledger() if r.level == level):
                energies = ", ".join(f"{event} {si(joules, 'J')}" for event, joules in row.energies)
                table.append(
                    _described(level, row.part, row.kind, row.count_per_parent, row.cost, energies, row.source)
                )
            if level != "crossbar":
                name = {"core": f"1 core (of {self.tile.cores} per tile)", "tile": f"1 tile (of {self.chip.tiles})"}
                table.append(_described(level, f"= {name.get(level, 'chip')}", "sum", 1, self.total(level), "", ""))
        return tuple(table)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; `Chip.from_dict` reads it back equal."""
        return self.model_dump(mode="json")

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], origin: str = "chip") -> Chip:
        """The chip that `to_dict` wrote; ConfigError if the data breaks a rule.

        A part of `kind: module:Class` imports that module, so that it must be installed.
        """
        return validate(cls, from_data(data, origin))


def _described(
    level: Level, part: str, kind: str, count: float, cost: Cost, energies: str, source: str
) -> dict[str, str]:
    return {
        "level": level,
        "part": part,
        "kind": kind,
        "count": f"{count:g}",
        "area": si(count * cost.area_m2, "m2"),
        "peak power": si(count * cost.power_W, "W"),
        "leakage": si(count * cost.leakage_W, "W"),
        "energy per event": energies,
        "source": source,
    }


def list_chips() -> tuple[str, ...]:
    """Names of the chips of crossbars that come with the package."""
    return tuple(name for name, spikes in _packaged().items() if not spikes)


def list_spiking_chips() -> tuple[str, ...]:
    """Names of the spiking chips that come with the package."""
    return tuple(name for name, spikes in _packaged().items() if spikes)


@cache
def _packaged() -> dict[str, bool]:
    """The chips that come with the package, in alphabetical order, and whether they spike."""
    files = [f for f in importlib.resources.files("hw_configs").iterdir() if f.name.endswith(".yaml")]
    texts = {f.name.removesuffix(".yaml"): f.read_text(encoding="utf-8") for f in files}
    return {name: re.search(r"^neuron:", texts[name], re.MULTILINE) is not None for name in sorted(texts)}


def is_spiking(document: Document) -> bool:
    """Whether a document describes a chip of spiking cores: it has a `neuron`."""
    return "neuron" in document.data


def chip_document(name_or_path: str | Path) -> Document:
    """The YAML of a chip by name or path; ConfigError for an unknown name (with the nearest known) or a bad file."""
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or name.endswith((".yaml", ".yml")) or "/" in name or "\\" in name:
        return with_paths(load_yaml(name_or_path), ("noise",))
    known = tuple(_packaged())
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"the chips are {', '.join(known)}"
        raise ConfigError(f"chip: must be a known chip or a .yaml file, got {name}; {hint}")
    with importlib.resources.as_file(importlib.resources.files("hw_configs") / f"{name}.yaml") as path:
        document = load_yaml(path)
    return Document(f"{name}.yaml", document.data, document.lines)


def load_chip(
    name_or_path: str | Path, overrides: Mapping[str, Any] | None = None, noise: str | Path | None = None
) -> Chip:
    """A chip by name (`list_chips()`) or by the path of its YAML file, with settings overridden: {"adc.bits": 6}.

    noise: name (`list_noises()`) or file of a noise model that takes the place of the chip's own; overrides come after
    it: {"noise.time_s": 3600}. Raises ConfigError with every problem at once, by file and line.
    """
    return validate(Chip, crossbar_document(name_or_path, noise), overrides)


def crossbar_document(name_or_path: str | Path, noise: str | Path | None = None) -> Document:
    """What `load_chip` makes a chip of: `validate(Chip, document, overrides)`, for many chips of one file."""
    document = chip_document(name_or_path)
    if is_spiking(document):
        raise ConfigError(f"chip: {name_or_path} is a chip of spiking cores; use `xbar spike`, or load_spiking_chip")
    own = document.data.get("noise")
    chosen = noise if noise is not None else own if isinstance(own, str) else None
    if chosen is not None:
        model = noise_document(chosen)
        data = {**document.data, "noise": model.data}
        document = Document(document.path, data, document.lines, {("noise",): model})
    return document
