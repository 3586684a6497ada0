"""A run on spiking cores as tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from xbar.spiking.report import efficiency
from xbar.tables.look import RIGHT, narrow_table, title
from xbar.units import si

if TYPE_CHECKING:
    from xbar.spiking.report import SpikingReport
    from xbar.sweep.spike_outcome import SpikeOutcome

_CORES = 16  # of the table


def print_spikes(outcome: SpikeOutcome, console: Console) -> None:
    """The whole report of one run on spiking cores."""
    console.print(Group(*_parts(outcome)))


def _parts(outcome: SpikeOutcome) -> Iterator[RenderableType]:
    report = outcome.report
    name = f"[bold]{escape(report.network)} on {escape(report.chip)}"
    yield Panel(_headline(outcome), title=name, title_align="left")
    yield title("layers, per input")
    yield _layers(report)
    yield title("energy per input and area by part; each sums to the same total as by layer")
    yield _bill(report)
    yield title("load of the cores, per tick of one input; the busiest first")
    yield _cores(outcome)
    rest = outcome.program.n_cores - _CORES
    if rest > 0:
        yield Text(f" and {rest:,} cores more; --json lists them all", style="dim")
    yield title("what this report leaves out, and what was approximated")
    for note in (*outcome.notes, *report.notes):
        yield Text(f" {note}", style="yellow")


def _headline(outcome: SpikeOutcome) -> RenderableType:
    report, activity = outcome.report, outcome.activity
    program = outcome.program
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column()
    for row in (
        *_accuracy(outcome),
        (
            "run",
            f"{outcome.n_ticks:,} ticks of {si(report.tick_s, 's')} for each of {_n(activity.n_batch, 'input')} "
            f"({escape(outcome.source)}), seed {outcome.seed}",
        ),
        ("outputs", _outputs(outcome)),
        (
            "spikes",
            f"{_figure(report.spikes)} per input   {report.rate_Hz:.4g} Hz per used neuron   "
            f"{_figure(report.input_spikes)} in   {_figure(report.output_spikes)} out   "
            f"{_figure(report.merged)} merged",
        ),
        ("synapses", f"{_figure(report.synaptic_events)} synaptic events per input   {efficiency(report)}"),
        (
            "cores",
            f"{report.n_cores_used:,} of {report.n_cores:,}   {si(report.used_area_m2, 'm2')} used of "
            f"{si(report.area_m2, 'm2')}",
        ),
        (
            "energy",
            f"{si(report.energy_J, 'J')} per input = {si(report.dynamic_J, 'J')} events + "
            f"{si(report.static_J - report.idle_J, 'J')} used cores at rest + {si(report.idle_J, 'J')} idle cores",
        ),
        *_pipelined(outcome),
        ("power", f"{si(report.power_W, 'W')} at {report.voltage_V:g} V, idle cores included"),
        ("latency", _latency(report)),
        ("chip", escape(program.chip.citation)),
    ):
        grid.add_row(*row)
    return grid


def _accuracy(outcome: SpikeOutcome) -> Iterator[tuple[str, str]]:
    if outcome.accuracy is not None:
        yield "accuracy", f"[bold green]{outcome.accuracy:.2%}[/] of {_n(len(outcome.outputs), 'input')}"


def _outputs(outcome: SpikeOutcome) -> str:
    silent = int((outcome.outputs.sum(1) == 0).sum())
    counted = f", counted from tick {outcome.read_from} on" if outcome.read_from else ""
    text = f"{_figure(outcome.outputs.sum() / len(outcome.outputs))} spikes per input{counted}"
    return text + (f"   {_n(silent, 'input')} without any" if silent else "")


def _pipelined(outcome: SpikeOutcome) -> Iterator[tuple[str, str]]:
    piped = outcome.pipelined
    if piped is not None and piped.ticks_per_input < outcome.n_ticks:
        every = "tick" if piped.ticks_per_input == 1 else f"{piped.ticks_per_input} ticks"
        yield "", f"{si(piped.energy_J, 'J')} per input in a pipeline, one every {every}: {si(piped.power_W, 'W')}"


def _latency(report: SpikingReport) -> str:
    total = f"{si(report.time_s, 's')} for an input with all its ticks"
    if not report.latency_ticks:
        return total
    return f"{si(report.latency_s, 's')} from an input spike to the output spikes that it causes   {total}"


def _layers(report: SpikingReport) -> Table:
    table = narrow_table()
    names = ("cores", "neurons", "spikes", "axon events", "synaptic events", "hops", "energy")
    for name in ("layer", *names):
        table.add_column(name, justify="left" if name == "layer" else RIGHT)
    energies = report.by("layer")
    for layer in report.layers:
        table.add_row(
            escape(layer.name),
            f"{layer.n_cores:,}",
            f"{layer.n_neurons:,}",
            *(_figure(v) for v in (layer.spikes, layer.axon_events, layer.synaptic_events, layer.hops)),
            si(energies[layer.name].energy_J, "J"),
        )
    return table


def _bill(report: SpikingReport) -> Table:
    table = narrow_table(show_footer=True)
    table.add_column("part", footer="total")
    table.add_column("energy", footer=si(report.energy_J, "J"), justify=RIGHT)
    table.add_column("", footer="100.0%", justify=RIGHT)
    table.add_column("area", footer=si(report.area_m2, "m2"), justify=RIGHT)
    for name, cost in sorted(report.by("part").items(), key=lambda item: -item[1].energy_J):
        share = cost.energy_J / report.energy_J if report.energy_J else 0.0
        table.add_row(name, si(cost.energy_J, "J"), f"{share:.2%}", si(cost.area_m2, "m2") if cost.area_m2 else "")
    return table


def _cores(outcome: SpikeOutcome) -> Table:
    table = narrow_table()
    figures = ("core", "place", "axon events", "synaptic events", "spikes", "hops")
    for name in ("layer", *figures):
        table.add_column(name, justify="left" if name == "layer" else RIGHT)
    for core in outcome.cores()[:_CORES]:
        load = (core[name] for name in ("axon_events", "synaptic_events", "spikes", "hops"))
        place = f"({core['x']}, {core['y']})"
        table.add_row(escape(core["layer"]), str(core["core"]), place, *(_figure(value) for value in load))
    return table


def _figure(value: float) -> str:
    """Four digits, and all of those before the point."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


def _n(count: int, word: str) -> str:
    return f"{count:,} {word}" + ("" if count == 1 else "s")
