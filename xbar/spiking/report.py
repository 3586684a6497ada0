"""The bill of a spiking program: energy, power, area and rates, by layer and by part; sums over one ledger."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from xbar.units import si

AT_REST = "cores at rest"


@dataclass(frozen=True)
class SpikeEntry:
    """What one part costs one layer (or "(host)", or "(unused)"): per input its events and energy, and its area."""

    layer: str
    part: str  # synaptic events, hops, chip crossings, neuron updates, edge, AT_REST, die around the cores
    count: float
    energy_J: float
    area_m2: float = 0.0


@dataclass(frozen=True)
class SpikeSum:
    """Sums over entries, per input."""

    energy_J: float
    area_m2: float


@dataclass(frozen=True)
class LayerLoad:
    """What the cores of one layer do for one input; n_neurons: those that have a target or a synapse."""

    name: str
    n_cores: int
    n_neurons: int
    spikes: float
    axon_events: float
    synaptic_events: float
    hops: float


@dataclass(frozen=True)
class SpikingReport:
    """The bill of one spiking program on one chip; everything per input, sums over `ledger` and `layers`.

    Inputs follow each other every `ticks_per_input` ticks of tick_s. latency_ticks: from an input spike to the output
    spikes that it causes, 0 where the program knows none. The whole chip draws power, idle cores too.
    """

    network: str
    chip: str
    voltage_V: float
    ledger: tuple[SpikeEntry, ...]
    layers: tuple[LayerLoad, ...]
    n_inputs: int
    ticks_per_input: int
    tick_s: float
    latency_ticks: int
    n_cores_used: int
    n_cores: int
    input_spikes: float
    output_spikes: float
    merged: float
    notes: tuple[str, ...]  # what the figures leave out, in plain sentences

    def by(self, key: Literal["part", "layer"]) -> dict[str, SpikeSum]:
        """Ledger sums by part or by layer."""
        sums: dict[str, SpikeSum] = {}
        for e in self.ledger:
            name = getattr(e, key)
            old = sums.get(name, SpikeSum(0.0, 0.0))
            sums[name] = SpikeSum(old.energy_J + e.energy_J, old.area_m2 + e.area_m2)
        return sums

    @property
    def energy_J(self) -> float:
        """Per input, with what the whole chip draws at rest."""
        return sum(e.energy_J for e in self.ledger)

    @property
    def static_J(self) -> float:
        """Per input, what all cores draw at rest and for their ticks."""
        return sum(e.energy_J for e in self.ledger if e.part == AT_REST)

    @property
    def idle_J(self) -> float:
        """The share of `static_J` that cores without a layer draw."""
        return self.static_J * (self.n_cores - self.n_cores_used) / self.n_cores

    @property
    def dynamic_J(self) -> float:
        """Per input, all that comes with events."""
        return sum(e.energy_J for e in self.ledger if e.part != AT_REST)

    @property
    def area_m2(self) -> float:
        """All chips."""
        return sum(e.area_m2 for e in self.ledger)

    @property
    def used_area_m2(self) -> float:
        """The cores that the program uses."""
        return sum(e.area_m2 for e in self.ledger if e.part == AT_REST) * self.n_cores_used / self.n_cores

    @property
    def time_s(self) -> float:
        """From one input to the next."""
        return self.ticks_per_input * self.tick_s

    @property
    def latency_s(self) -> float:
        """From an input spike to the output spikes that it causes; 0 within a tick, or where the program tells none."""
        return self.latency_ticks * self.tick_s

    @property
    def power_W(self) -> float:
        """Average of the whole board."""
        return self.energy_J / self.time_s

    @property
    def spikes(self) -> float:
        """Of all neurons, per input."""
        return sum(layer.spikes for layer in self.layers)

    @property
    def synaptic_events(self) -> float:
        """Per input."""
        return sum(layer.synaptic_events for layer in self.layers)

    @property
    def rate_Hz(self) -> float:
        """Spikes per second of a used neuron, on average."""
        n_neurons = sum(layer.n_neurons for layer in self.layers)
        return self.spikes / n_neurons / self.time_s if n_neurons else 0.0

    @property
    def sops(self) -> float:
        """Synaptic events (operations) per second."""
        return self.synaptic_events / self.time_s

    def metrics(self) -> dict[str, float]:
        """The figures of a table, SI units in the names. Ratios to a power of zero are left out."""
        figures = {
            "energy_J": self.energy_J,
            "dynamic_J": self.dynamic_J,
            "static_J": self.static_J,
            "idle_J": self.idle_J,
            "power_W": self.power_W,
            "area_m2": self.area_m2,
            "used_area_m2": self.used_area_m2,
            "time_s": self.time_s,
            "latency_s": self.latency_s,
            "spikes": self.spikes,
            "synaptic_events": self.synaptic_events,
            "input_spikes": self.input_spikes,
            "output_spikes": self.output_spikes,
            "merged": self.merged,
            "rate_Hz": self.rate_Hz,
            "gsops": self.sops / 1e9,
            "n_cores_used": float(self.n_cores_used),
        }
        if self.power_W > 0:
            figures["gsops_per_W"] = self.sops / 1e9 / self.power_W
        return figures

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: the figures, the ledger and its sums, the load of the layers, what is left out."""
        keys: tuple[Literal["part", "layer"], ...] = ("part", "layer")
        return {
            "network": self.network,
            "chip": self.chip,
            "voltage_V": self.voltage_V,
            "n_inputs": self.n_inputs,
            "ticks_per_input": self.ticks_per_input,
            "tick_s": self.tick_s,
            "metrics": self.metrics(),
            **{f"by_{key}": {name: asdict(cost) for name, cost in self.by(key).items()} for key in keys},
            "ledger": [asdict(entry) for entry in self.ledger],
            "layers": [asdict(layer) for layer in self.layers],
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return "\n".join(_text(self))


def efficiency(report: SpikingReport) -> str:
    """Synaptic events per second (SOPS), and per watt where there is power."""
    text = si(report.sops, "SOPS")
    return f"{text}, {si(report.sops / report.power_W, 'SOPS/W')}" if report.power_W > 0 else text


def _text(report: SpikingReport) -> list[str]:
    """The report as lines of text."""
    latency = si(report.latency_s, "s") if report.latency_ticks else "within a tick, or not told by the program"
    lines = [
        f"{report.network} on {report.chip} at {report.voltage_V:g} V",
        f"  cores              {report.n_cores_used:,} of {report.n_cores:,}",
        f"  area               {si(report.area_m2, 'm2')} chip, {si(report.used_area_m2, 'm2')} used",
        f"  spikes/input       {report.spikes:,.5g} ({report.rate_Hz:.4g} Hz per used neuron)",
        f"  energy/input       {si(report.energy_J, 'J')} = {si(report.dynamic_J, 'J')} events + "
        f"{si(report.static_J - report.idle_J, 'J')} used cores at rest + {si(report.idle_J, 'J')} idle cores",
        f"  power              {si(report.power_W, 'W')} with an input every {si(report.time_s, 's')}",
        f"  latency            {latency}",
        f"  speed              {efficiency(report)}",
    ]
    total_m2, total_J = report.area_m2 or 1.0, report.energy_J or 1.0
    for key in ("part", "layer"):
        lines.append(f"  by {key:<28}{'area':>12} {'':>6} {'energy':>12}")
        lines += [
            f"    {name:<27}{si(c.area_m2, 'm2'):>12} {c.area_m2 / total_m2:>6.1%} {si(c.energy_J, 'J'):>12} "
            f"{c.energy_J / total_J:>6.1%}"
            for name, c in report.by(key).items()
        ]
    return [*lines, *(f"  {note}" for note in report.notes)]
