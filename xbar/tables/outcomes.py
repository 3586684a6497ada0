"""The report of one design point as tables."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from xbar.tables.bills import bills, energies, notes
from xbar.tables.cycles import cycle_tables
from xbar.tables.errors import ErrorTable
from xbar.tables.look import RIGHT, narrow_table, title
from xbar.units import duration, si

if TYPE_CHECKING:
    from xbar.network import Network
    from xbar.sim import AdcResolution
    from xbar.sweep.outcome import Outcome


def print_outcome(outcome: Outcome, console: Console) -> None:
    """The whole report of one design point."""
    console.print(Group(*_outcome(outcome)))


def _outcome(outcome: Outcome) -> Iterator[RenderableType]:
    chip, report = outcome.program.chip, outcome.report
    yield Panel(_headline(outcome), title=f"[bold]{escape(report.network)} on {escape(chip.name)}", title_align="left")
    yield title("layers on crossbars")
    yield _layers(outcome)
    if report.cycles is not None:
        yield from cycle_tables(report.cycles)
    if outcome.adc is not None:
        of = "" if outcome.accuracy_ideal_cells is None else " of ideal cells"
        yield title(
            f"ADC bits{of}: lossless for these weights / seen / 99.9 % of the data → smallest; by slice, 0 = lowest"
        )
        yield _adc(outcome.adc)
        yield Text(outcome.adc.summary(), style="dim")
    if outcome.errors is not None:
        yield ErrorTable(outcome.errors)
    yield from bills(report)
    yield from _digital(outcome.program.network)
    yield from notes(report.notes)


def _headline(outcome: Outcome) -> RenderableType:
    report, chip = outcome.report, outcome.program.chip
    metrics = outcome.metrics()
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column()
    per_W, per_mm2 = metrics.get("tops_per_W"), metrics.get("tops_per_used_mm2")
    rows = [
        *_accuracies(outcome),
        (
            "saturated",
            f"{metrics['saturated_rel']:.4%} of the ADC conversions   "
            f"{metrics['clipped_inputs_rel']:.4%} of the activations (beyond their calibrated range)",
        ),
        (
            "area",
            f"{si(report.used_area_m2, 'm2')} used of {si(report.area_m2, 'm2')}   "
            f"{report.n_tiles_used} of {report.n_tiles} tiles",
        ),
        ("energy", f"{si(report.energy_J, 'J')} per inference = {energies(report)}"),
        (
            "power",
            f"{si(report.power_W, 'W')} average   {si(report.peak_power_W, 'W')} with every part of the chip busy",
        ),
        ("latency", f"{si(report.latency_s, 's')} of the first inference"),
        ("throughput", f"{report.throughput_per_s:,.4g} inferences/s"),
        ("bottleneck", escape(report.bottleneck)),
        ("energy x delay", si(report.energy_delay_Js, "J·s")),
        (
            "efficiency",
            "   ".join(f"{v:.4g} {u}" for v, u in ((per_W, "TOPS/W"), (per_mm2, "TOPS/mm² used")) if v is not None),
        ),
        ("ADC", escape(report.adc_source)),
        ("chip", escape(chip.citation)),
    ]
    for row in rows:
        grid.add_row(*row)
    return grid


def _accuracies(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """On one line for ideal cells; for real ones a line for each step from float32 to hardware, and the noise."""
    if outcome.accuracy_ideal_cells is None:
        yield (
            "accuracy",
            f"[bold green]{outcome.accuracy_hardware:.2%}[/] on hardware   "
            f"{outcome.accuracy_quantized:.2%} integer network   "
            f"{outcome.accuracy_float:.2%} float32   ({outcome.n_inputs:,} images)",
        )
        return
    *steps, (_, mean) = outcome.chain()
    for i, (name, value) in enumerate(steps):
        yield "" if i else "accuracy", f"{value:>7.2%} {name}" + ("" if i else f"   ({outcome.n_inputs:,} images)")
    yield "", f"[bold green]{mean:>7.2%}[/] on hardware" + _over_runs(outcome)
    if (noise := outcome.program.chip.noise) is not None and noise.effects:
        compensated = ", drift compensated" if noise.drift_compensation else ""
        yield (
            "noise",
            f"{escape(noise.name)}: {escape(', '.join(noise.effects))}; "
            f"read {duration(noise.time_s)} after programming at {noise.temperature_K:g} K{compensated}",
        )


def _over_runs(outcome: Outcome) -> str:
    spread, noise = outcome.accuracy, outcome.program.chip.noise
    if noise is None or not noise.effects:
        return " (nothing is random)"
    if len(spread.values) == 1:
        return f" (one run, seed {outcome.seed})"
    return (
        f" ± {spread.ci95:.2%} (95 % confidence, {len(spread.values)} runs, seed {outcome.seed})\n"
        f"{'':8}standard deviation {spread.std:.2%}   worst {spread.worst:.2%} in run {spread.worst_run}"
    )


def _layers(outcome: Outcome) -> Table:
    table = narrow_table()
    for name in ("layer", "matrix", "crossbars", "copies", "cells used", "MVMs", "time", "saturated"):
        table.add_column(name, justify="left" if name == "layer" else RIGHT)
    times = {t.name: t.total_s for t in outcome.report.timing}
    for layer, counts in zip(outcome.program.layers, outcome.activity.layers, strict=True):
        conversions = counts.count("conversions")
        saturated = (sum(counts.saturations) + counts.unit_saturations) / conversions if conversions else 0.0
        table.add_row(
            escape(layer.name),
            ("" if layer.groups == 1 else f"{layer.groups} of ") + f"{layer.cells.shape[2]}x{layer.cells.shape[3]}",
            str(len(layer.blocks)),
            str(layer.n_replicas),
            f"{outcome.report.utilisation[layer.name]:.1%}",
            f"{layer.vectors_per_input:,}",
            si(times[layer.name], "s"),
            f"{saturated:.4%}",
        )
    return table


def _adc(adc: AdcResolution) -> Table:
    rows = adc.rows()
    table = narrow_table()
    table.add_column("layer")
    n_slices = 1 + max(int(row["slice"]) for row in rows)
    for s in range(n_slices):
        table.add_column(str(s), justify=RIGHT, no_wrap=True)
    for name, group in groupby(rows, key=lambda row: row["layer"]):
        cells = [""] * n_slices
        for row in group:
            text = f"{row['lossless_bits']}/{row['max_bits']}/{row['p999_bits']}"
            cells[int(row["slice"])] = text + f"→[bold]{row['smallest_bits']}[/]"
        table.add_row(escape(str(name)), *cells)
    return table


def _digital(network: Network) -> Iterator[RenderableType]:
    nodes = sorted(network.digital, key=lambda node: node.reason)
    if not nodes:
        return
    yield title("what stays digital, and why")
    table = narrow_table()
    for name in ("reason", "operations", "per inference"):
        table.add_column(name, justify=RIGHT if name == "per inference" else "left")
    for reason, group in groupby(nodes, key=lambda node: node.reason):
        same = list(group)
        names = [f"{node.name} ({node.op})" if node.op not in node.name else node.name for node in same]
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        table.add_row(escape(reason), escape(shown), f"{sum(node.ops_per_input for node in same):,}")
    yield table
