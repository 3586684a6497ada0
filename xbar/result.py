"""What comes out: event counts (`Activity`), outputs with counts (`SimResult`), and the bill (`Report`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

from xbar.events import Event as Event
from xbar.spread import Spread
from xbar.timing import Cycles
from xbar.units import si

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LayerActivity:
    """Exact event counts of one matrix layer over all simulated inputs; conversions and saturations by slice.

    cell_reads: a sum of V^2 G (see xbar.events), and 0 where the chip's device has no conductances.
    """

    name: str
    n_vectors: int
    array_reads: int
    row_pulses: int
    active_rows: int
    cell_reads: Fraction
    conversions: tuple[int, ...]  # [slice]
    saturations: tuple[int, ...]  # [slice]
    unit_conversions: int
    unit_saturations: int
    clipped_inputs: int  # activations beyond the calibrated range
    tile_adds: int
    buffer_read_bits: int
    buffer_write_bits: int
    bus_bits: int
    link_bits: int

    def __add__(self, other: LayerActivity) -> LayerActivity:
        def both(a: Any, b: Any) -> Any:
            return tuple(x + y for x, y in zip(a, b, strict=True)) if isinstance(a, tuple) else a + b

        counts = [f.name for f in fields(self) if f.name != "name"]
        return replace(self, **{name: both(getattr(self, name), getattr(other, name)) for name in counts})

    def count(self, event: Event) -> float:
        """Number of `event`s in this layer (events of the digital host are counted in `Activity`, here 0)."""
        if event in ("conversions", "shift_adds"):
            return sum(self.conversions) + self.unit_conversions
        count = getattr(self, event, 0)
        return float(count) if isinstance(count, Fraction) else int(count)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {**asdict(self), "cell_reads": float(self.cell_reads)}


@dataclass(frozen=True)
class Activity:
    """Event counts of a whole simulation: `n_inputs` network inputs, by layer, and the digital host's operations."""

    n_inputs: int
    layers: tuple[LayerActivity, ...]
    host: Mapping[str, int]  # activation_ops, pooling_ops, digital_ops, offchip_bits

    @cached_property
    def counts(self) -> dict[str, dict[Event, float]]:
        """Every event of every layer, and of HOST those that only it has."""
        events: tuple[Event, ...] = get_args(Event)
        found: dict[str, dict[Event, float]] = {
            layer.name: {event: layer.count(event) for event in events} for layer in self.layers
        }
        return {**found, HOST: {event: self.host[event] for event in events if event in self.host}}

    def __add__(self, other: Activity) -> Activity:
        return Activity(
            self.n_inputs + other.n_inputs,
            tuple(a + b for a, b in zip(self.layers, other.layers, strict=True)),
            {k: self.host[k] + other.host[k] for k in self.host},
        )


@dataclass(frozen=True, eq=False)
class SimResult:
    """Outputs of the network as simulated, and what happened on the way."""

    outputs: torch.Tensor
    activity: Activity

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SimResult) and self.outputs.equal(other.outputs) and self.activity == other.activity


@dataclass(frozen=True, eq=False)
class Runs:
    """A network simulated several times, each time with other random numbers; run k depends on the seed and k alone."""

    seed: int
    results: tuple[SimResult, ...]

    def accuracy(self, labels: torch.Tensor) -> Spread:
        """Share of inputs whose largest output [input, class] is at their label [input], by run."""
        return Spread(tuple(float((r.outputs.argmax(1) == labels).double().mean()) for r in self.results))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Runs) and self.seed == other.seed and self.results == other.results


HOST = "(host)"  # what serves the whole network: chip-level parts, and the digital operations between the layers
UNUSED = "(unused)"  # hardware of the chip that no layer occupies


@dataclass(frozen=True)
class LedgerEntry:
    """What one kind of part costs one layer (or HOST, or UNUSED): its area, and its energies per inference."""

    layer: str
    level: str  # crossbar, core, tile or chip
    part: str
    area_m2: float
    dynamic_J: float
    leakage_J: float
    clock_J: float = 0.0  # of clocks that are not gated, while their parts do nothing

    @property
    def energy_J(self) -> float:
        return self.dynamic_J + self.leakage_J + self.clock_J


@dataclass(frozen=True)
class LedgerSum:
    """Sums over ledger entries; energies per inference."""

    area_m2: float
    dynamic_J: float
    leakage_J: float
    clock_J: float = 0.0  # of clocks that are not gated, while their parts do nothing

    @property
    def energy_J(self) -> float:
        return self.dynamic_J + self.leakage_J + self.clock_J


@dataclass(frozen=True)
class LayerTiming:
    """Time that a layer takes for one network input, split by what it waits for.

    n_steps: vectors that one replica computes after each other. array_read_s: crossbars being read. adc_wait_s: columns
    waiting for a converter beyond that.
    """

    name: str
    n_steps: int
    n_replicas: int
    array_read_s: float
    adc_wait_s: float

    @property
    def total_s(self) -> float:
        return self.array_read_s + self.adc_wait_s


@dataclass(frozen=True)
class Uncosted:
    """Events that no part of the chip has a price for."""

    event: Event
    count: float  # per inference
    reason: str

    def __str__(self) -> str:
        return f"not in the bill: {self.count:,.4g} {self.event} per inference ({self.reason})"


@dataclass(frozen=True)
class Report:
    """The bill of one network on one chip: area, energy, power, latency and throughput, by part, by layer and by level.

    Everything about area and energy is a sum over `ledger`, everything about time comes from `timing`, so sums close.
    Inputs follow each other through the pipeline of layers, and a chip leaks from one to the next. With `cycles`,
    latency and throughput are those of the cycle model; without, throughput = 1 / slowest layer, and the layers of one
    input run one after another: latency = sum over layers.
    """

    network: str
    chip: str
    adc_source: str
    ledger: tuple[LedgerEntry, ...]
    timing: tuple[LayerTiming, ...]
    macs: int  # per inference
    peak_power_W: float  # every part of the chip at full activity
    n_tiles_used: int
    n_tiles: int
    utilisation: Mapping[str, float]  # by layer: weight cells used / cells of the crossbars that it occupies
    utilisation_total: float
    uncosted: tuple[Uncosted, ...]
    notes: tuple[str, ...]  # what the figures leave out, in plain sentences: of the time, of leakage, of the bill
    cycles: Cycles | None = None

    def by(self, key: Literal["part", "layer", "level"]) -> dict[str, LedgerSum]:
        """Ledger sums; parts are named `level.part`, since a core and a tile may both have, say, shift-and-adds."""
        sums: dict[str, LedgerSum] = {}
        for e in self.ledger:
            name = f"{e.level}.{e.part}" if key == "part" else getattr(e, key)
            old = sums.get(name, LedgerSum(0.0, 0.0, 0.0))
            sums[name] = LedgerSum(
                old.area_m2 + e.area_m2,
                old.dynamic_J + e.dynamic_J,
                old.leakage_J + e.leakage_J,
                old.clock_J + e.clock_J,
            )
        return sums

    @property
    def area_m2(self) -> float:
        """The whole chip."""
        return sum(e.area_m2 for e in self.ledger)

    @property
    def used_area_m2(self) -> float:
        """The hardware that the network occupies, chip-level parts included."""
        return sum(e.area_m2 for e in self.ledger if e.layer != UNUSED)

    @property
    def energy_J(self) -> float:
        """Per inference, leakage of the whole chip included."""
        return sum(e.energy_J for e in self.ledger)

    @property
    def latency_s(self) -> float:
        """One input from start to end, without waiting for others."""
        return sum(t.total_s for t in self.timing) if self.cycles is None else self.cycles.latency_s

    @property
    def bottleneck(self) -> str:
        """What sets the throughput: a layer, or what the cycle model says."""
        return max(self.timing, key=lambda t: t.total_s).name if self.cycles is None else self.cycles.bottleneck

    @property
    def throughput_per_s(self) -> float:
        """Inferences per second with the pipeline full."""
        return 1 / max(t.total_s for t in self.timing) if self.cycles is None else self.cycles.throughput_per_s

    @property
    def energy_delay_Js(self) -> float:
        """Energy per inference times latency."""
        return self.energy_J * self.latency_s

    @property
    def power_W(self) -> float:
        """Average power with the pipeline full: energy per inference * throughput."""
        return self.energy_J * self.throughput_per_s

    @property
    def tops(self) -> float:
        """10^12 operations per second; a multiply-accumulate of the network counts as two."""
        return 2e-12 * self.macs * self.throughput_per_s

    def metrics(self) -> dict[str, float]:
        """The figures of a table, SI units in the names. Ratios to an area or a power of zero are left out."""
        figures = {
            "area_m2": self.area_m2,
            "used_area_m2": self.used_area_m2,
            "energy_J": self.energy_J,
            "power_W": self.power_W,
            "peak_power_W": self.peak_power_W,
            "latency_s": self.latency_s,
            "energy_delay_Js": self.energy_delay_Js,
            "throughput_per_s": self.throughput_per_s,
            "tops": self.tops,
            "utilisation_rel": self.utilisation_total,
            "n_tiles_used": float(self.n_tiles_used),
        }
        for name, amount, unit in (
            ("tops_per_W", self.power_W, 1.0),
            ("tops_per_mm2", self.area_m2, 1e-6),
            ("tops_per_used_mm2", self.used_area_m2, 1e-6),
        ):
            if amount > 0:
                figures[name] = self.tops / (amount / unit)
        return figures

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: the figures, the ledger and its sums, times by layer, what is left out."""
        keys: tuple[Literal["part", "layer", "level"], ...] = ("part", "layer", "level")
        return {
            "network": self.network,
            "chip": self.chip,
            "adc_source": self.adc_source,
            "metrics": self.metrics(),
            "macs": self.macs,
            "bottleneck": self.bottleneck,
            "utilisation": dict(self.utilisation),
            **{f"by_{key}": {name: asdict(cost) for name, cost in self.by(key).items()} for key in keys},
            "ledger": [asdict(entry) for entry in self.ledger],
            "timing": [asdict(t) for t in self.timing],
            "uncosted": [asdict(u) for u in self.uncosted],
            "notes": list(self.notes),
            "cycles": None if self.cycles is None else self.cycles.to_dict(),
        }

    def __str__(self) -> str:
        return "\n".join(_text(self))


def _text(report: Report) -> list[str]:
    """The report as lines of text."""
    figures = report.metrics()
    lines = [
        f"{report.network} on {report.chip}",
        f"  ADC                {report.adc_source}",
        f"  area               {si(report.area_m2, 'm2')} chip, {si(report.used_area_m2, 'm2')} used "
        f"({report.n_tiles_used} of {report.n_tiles} tiles; {report.utilisation_total:.1%} of their crossbars' cells)",
        f"  energy/inference   {si(report.energy_J, 'J')}",
        f"  latency            {si(report.latency_s, 's')}",
        f"  throughput         {report.throughput_per_s:,.4g} inferences/s, limited by {report.bottleneck}",
        f"  power              {si(report.power_W, 'W')} average, {si(report.peak_power_W, 'W')} with all parts busy",
        f"  speed              {report.tops:.4g} TOPS"
        + "".join(
            f", {figures[name]:.4g} {unit}"
            for name, unit in (
                ("tops_per_W", "TOPS/W"),
                ("tops_per_mm2", "TOPS/mm²"),
                ("tops_per_used_mm2", "TOPS/mm² used"),
            )
            if name in figures
        ),
    ]
    total_m2, total_J = report.area_m2 or 1.0, report.energy_J or 1.0
    for key in ("part", "layer", "level"):
        lines.append(f"  by {key:<28}{'area':>12} {'':>6} {'energy':>12}")
        lines += [
            f"    {name:<27}{si(c.area_m2, 'm2'):>12} {c.area_m2 / total_m2:>6.1%} {si(c.energy_J, 'J'):>12} "
            f"{c.energy_J / total_J:>6.1%}"
            for name, c in report.by(key).items()
        ]
    lines.append(f"  {'time by layer':<31}{'steps':>12} {'copies':>6} {'array read':>12} {'ADC wait':>10}")
    lines += [
        f"    {t.name:<27}{t.n_steps:>14} {t.n_replicas:>6} {si(t.array_read_s, 's'):>12} {si(t.adc_wait_s, 's'):>10}"
        for t in report.timing
    ]
    return [*lines, *(f"  {note}" for note in report.notes)]
