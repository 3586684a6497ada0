"""Outcomes, chips and sweeps as tables of rich, for the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from xbar.result import UNUSED
from xbar.units import si

if TYPE_CHECKING:
    import pandas as pd

    from xbar.hardware import Chip
    from xbar.network import Network
    from xbar.result import Report
    from xbar.sim import AdcResolution
    from xbar.sweep.job import Outcome

RIGHT: Literal["right"] = "right"


def print_outcome(outcome: Outcome, console: Console) -> None:
    """The whole report of one design point."""
    console.print(Group(*_outcome(outcome)))


def _table(**options: Any) -> Table:
    """Narrow enough that a report fits 80 columns."""
    return Table(box=SIMPLE_HEAD, padding=(0, 0, 0, 1), pad_edge=False, **options)


def _title(text: str) -> Text:
    """A line of its own: a table's title would wrap at the table's width."""
    return Text(f"\n{text}", style="italic")


def _outcome(outcome: Outcome) -> Iterator[RenderableType]:
    chip, report = outcome.program.chip, outcome.report
    yield Panel(_headline(outcome), title=f"[bold]{escape(report.network)} on {escape(chip.name)}", title_align="left")
    yield _title("layers on crossbars")
    yield _layers(outcome)
    if outcome.adc is not None:
        yield _title(
            "ADC bits: lossless for these weights / seen / 99.9 % of the data → smallest; by slice, 0 = lowest"
        )
        yield _adc(outcome.adc)
        yield Text(outcome.adc.summary(), style="dim")
    yield _title("area and energy per inference by part, by layer and by level; each sums to the same total")
    for key in ("part", "layer", "level"):
        yield _bill(report, key)
    yield from _digital(outcome.program.network)
    yield _title("what this report leaves out")
    for note in report.notes:
        yield Text(f" {note}", style="yellow")


def _headline(outcome: Outcome) -> RenderableType:
    report, chip = outcome.report, outcome.program.chip
    metrics = outcome.metrics()
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column()
    accuracy = (
        f"[bold green]{outcome.accuracy_hardware:.2%}[/] on hardware   "
        f"{outcome.accuracy_quantized:.2%} integer network   "
        f"{outcome.accuracy_float:.2%} float32   ({outcome.n_inputs:,} images)"
    )
    per_W, per_mm2 = metrics.get("tops_per_W"), metrics.get("tops_per_used_mm2")
    rows = [
        ("accuracy", accuracy),
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
        ("energy", f"{si(report.energy_J, 'J')} per inference = {_energies(report)}"),
        (
            "power",
            f"{si(report.power_W, 'W')} average   {si(report.peak_power_W, 'W')} with every part of the chip busy",
        ),
        ("latency", f"{si(report.latency_s, 's')}   bottleneck: {escape(report.bottleneck)}"),
        ("throughput", f"{report.throughput_per_s:,.0f} inferences/s"),
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


def _layers(outcome: Outcome) -> Table:
    table = _table()
    for name in ("layer", "matrix", "crossbars", "copies", "cells used", "MVMs", "time", "saturated"):
        table.add_column(name, justify="left" if name == "layer" else RIGHT)
    times = {t.name: t.total_s for t in outcome.report.timing}
    for layer, counts in zip(outcome.program.layers, outcome.result.activity.layers, strict=True):
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
    table = _table()
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


def _bill(report: Report, key: Literal["part", "layer", "level"]) -> Table:
    table = _table(show_footer=True)
    table.add_column(key, footer="total")
    table.add_column("area", footer=si(report.area_m2, "m2"), justify=RIGHT)
    table.add_column("", footer="100.0%", justify=RIGHT)
    table.add_column("energy", footer=si(report.energy_J, "J"), justify=RIGHT)
    table.add_column("", footer="100.0%", justify=RIGHT)
    for name, cost in sorted(report.by(key).items(), key=lambda item: -item[1].energy_J):
        table.add_row(
            escape(name),
            si(cost.area_m2, "m2"),
            f"{_share(cost.area_m2, report.area_m2):.1%}",
            si(cost.energy_J, "J"),
            f"{_share(cost.energy_J, report.energy_J):.1%}",
        )
    return table


def _energies(report: Report) -> str:
    """Dynamic energy and leakage; the whole chip leaks, idle tiles too."""
    costs = report.by("layer")
    leakage_J = sum(cost.leakage_J for cost in costs.values())
    idle = costs.get(UNUSED)
    text = f"{si(sum(cost.dynamic_J for cost in costs.values()), 'J')} dynamic + {si(leakage_J, 'J')} leakage"
    return text + (f" ({si(idle.leakage_J, 'J')} of idle hardware)" if idle is not None and idle.leakage_J > 0 else "")


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0


def _digital(network: Network) -> Iterator[RenderableType]:
    nodes = sorted(network.digital, key=lambda node: node.reason)
    if not nodes:
        return
    yield _title("what stays digital, and why")
    table = _table()
    for name in ("reason", "operations", "per inference"):
        table.add_column(name, justify=RIGHT if name == "per inference" else "left")
    for reason, group in groupby(nodes, key=lambda node: node.reason):
        same = list(group)
        names = [f"{node.name} ({node.op})" if node.op not in node.name else node.name for node in same]
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        table.add_row(escape(reason), escape(shown), f"{sum(node.ops_per_input for node in same):,}")
    yield table


def print_chips(chips: Sequence[Chip], console: Console) -> None:
    """The list of chips, and where each comes from."""
    table = _table()
    for name in ("name", "crossbar", "cell", "weights", "ADC", "area", "peak power"):
        table.add_column(name)
    for chip in chips:
        table.add_row(
            f"[bold]{escape(chip.name)}",
            f"{chip.crossbar.rows}x{chip.crossbar.cols}",
            f"{chip.device.cell_bits} bit",
            f"{chip.precision.weight_bits} bit",
            "ideal" if chip.adc_bits is None else f"{max(chip.adc_bits)} bit",
            si(chip.area_m2, "m2"),
            si(chip.peak_power_W, "W"),
        )
    console.print(table)
    for chip in chips:
        console.print(f" {chip.name}: {chip.citation}", markup=False, highlight=False, style="dim")
    console.print("xbar show NAME lists the parts of one")


def print_chip(chip: Chip, console: Console) -> None:
    """One chip, part by part: area and power, then energies, then sources."""
    rows = chip.describe()
    console.print(f"[bold]{escape(chip.name)}[/]: {escape(chip.citation)}")
    console.print(escape(chip.hierarchy.strip()), style="dim")
    figures = ("count", "area", "peak power", "leakage")
    table, energies = _table(), _table()
    for name in ("level", "part", *figures):
        table.add_column(name, justify=RIGHT if name in figures else "left")
    for name in ("part", "kind", "energy per event"):
        energies.add_column(name)
    for row in rows:
        total = row["kind"] == "sum"
        values = [escape(row[name]) for name in ("level", "part", *figures)]
        table.add_row(*values, style="bold" if total else "", end_section=total)
        if not total:
            energies.add_row(*(escape(row[name]) for name in ("part", "kind", "energy per event")))
    console.print(Group(table, energies))
    for row in rows:
        if row["source"]:
            console.print(f" {row['part']}: {row['source']}", markup=False, highlight=False, style="dim")
    peak = chip.peak_ops_per_s
    line = f"peak: {peak / 1e12:.4g} TOPS"
    if chip.area_m2 > 0 and chip.peak_power_W > 0:
        line += f", {peak / 1e9 / (chip.area_m2 * 1e6):.4g} GOPS/mm², {peak / 1e9 / chip.peak_power_W:.4g} GOPS/W"
    console.print(f"{line}   (weights {chip.precision.weight_bits} bit, inputs {chip.precision.input_bits} bit)")


_SWEEP_COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "accuracy": ("accuracy", lambda v: f"{v:.2%}"),
    "saturated_rel": ("saturated", lambda v: f"{v:.3%}"),
    "energy_J": ("energy", lambda v: si(v, "J")),
    "latency_s": ("latency", lambda v: si(v, "s")),
    "power_W": ("power", lambda v: si(v, "W")),
    "used_area_m2": ("used area", lambda v: si(v, "m2")),
    "tops_per_W": ("TOPS/W", lambda v: f"{v:.4g}"),
}


def print_sweep(frame: pd.DataFrame, varied: Sequence[str], smaller: str, console: Console) -> None:
    """One row per point; the Pareto front of accuracy over `smaller` is marked."""
    from xbar.sweep.pool import pareto_front

    table = _table(caption=f"* nothing has both higher accuracy and lower {smaller}", caption_justify="left")
    figures = [name for name in _SWEEP_COLUMNS if name in frame]
    for name in [*varied, *(_SWEEP_COLUMNS[f][0] for f in figures), ""]:
        table.add_column(name, justify=RIGHT)
    front = pareto_front(frame, smaller, "accuracy") if figures else frame.problem == "no point"
    for (_, row), on_front in zip(frame.iterrows(), front, strict=True):
        values = [str(row[name]) for name in varied]
        if row.problem:
            table.add_row(*values, f"[red]{escape(str(row.problem))}[/]", *[""] * len(figures))
        else:
            table.add_row(*values, *(_SWEEP_COLUMNS[f][1](row[f]) for f in figures), "*" if on_front else "")
    console.print(table)


@contextmanager
def sweep_progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A progress bar to hand to `sweep` as on_point."""
    columns = (TextColumn("points"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("points", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
