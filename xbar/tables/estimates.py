"""What a network costs on a chip, as tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table

from xbar.tables.bills import bills, energies, notes
from xbar.tables.cycles import cycle_tables
from xbar.tables.look import RIGHT, narrow_table, title
from xbar.units import duration, si

if TYPE_CHECKING:
    from xbar.cost.multiplex import Multiplexed
    from xbar.cost.programming import Programming
    from xbar.sweep.estimate_job import Estimate


def print_estimate(estimate: Estimate, console: Console) -> None:
    """The whole estimate."""
    console.print(Group(*_estimate(estimate)))


def _estimate(estimate: Estimate) -> Iterator[RenderableType]:
    report = estimate.report
    yield Panel(
        _headline(estimate), title=f"[bold]{escape(report.network)} on {escape(report.chip)}", title_align="left"
    )
    yield title("layers on crossbars")
    yield _layers(estimate)
    if report.cycles is not None:
        yield from cycle_tables(report.cycles)
    yield from bills(report)
    if estimate.programming is not None:
        yield title("writing the weights once")
        yield _programming(estimate.programming)
    if estimate.turns is not None:
        yield title("on a single chip, written anew for each part of the network")
        yield from _turns(estimate.turns)
    yield from notes(estimate.all_notes())


def _headline(estimate: Estimate) -> RenderableType:
    report, sketch = estimate.report, estimate.outline
    metrics, cycles = report.metrics(), report.cycles
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column()
    chips = "one chip" if sketch.n_chips == 1 else f"{sketch.n_chips} chips"
    period = "" if cycles is None else f", one every {si(cycles.period_s, 's')}"
    first = "of the crossbars alone, one layer after another" if cycles is None else "of the first inference"
    ratios = (("tops", "TOPS"), ("tops_per_W", "TOPS/W"), ("tops_per_used_mm2", "TOPS/mm² used"))
    rows = [
        (
            "area",
            f"{si(report.used_area_m2, 'm2')} used of {si(report.area_m2, 'm2')}   "
            f"{report.n_tiles_used} of {report.n_tiles} tiles on {chips}",
        ),
        ("energy", f"{si(report.energy_J, 'J')} per inference = {energies(report)}"),
        ("power", f"{si(report.power_W, 'W')} average   {si(report.peak_power_W, 'W')} with every part busy"),
        ("latency", f"{si(report.latency_s, 's')} {first}"),
        ("throughput", f"{report.throughput_per_s:,.4g} inferences/s{period}"),
        ("bottleneck", escape(report.bottleneck)),
        ("energy x delay", si(report.energy_delay_Js, "J·s")),
        ("efficiency", "   ".join(f"{metrics[key]:.4g} {unit}" for key, unit in ratios if key in metrics)),
        ("ADC", escape(report.adc_source)),
        ("chip", escape(sketch.chip.citation)),
    ]
    for row in rows:
        grid.add_row(*row)
    return grid


def _layers(estimate: Estimate) -> Table:
    """time: that the crossbars of a copy are taken for each inference."""
    report, table = estimate.report, narrow_table()
    table.add_column("layer", overflow="fold")
    for name in ("matrix", "crossbars", "copies", "tiles", "cells\nused", "MVMs", "time"):
        table.add_column(name, justify=RIGHT)
    times = {timing.name: timing.total_s for timing in report.timing}
    for layer in estimate.outline.layers:
        tiles = layer.tiles
        table.add_row(
            escape(layer.name),
            ("" if layer.groups == 1 else f"{layer.groups} of ") + f"{layer.shape[0]}x{layer.shape[1]}",
            f"{len(layer.pieces):,}",
            str(layer.n_replicas),
            str(tiles.start) if len(tiles) == 1 else f"{tiles.start}..{tiles.stop - 1}",
            f"{report.utilisation[layer.name]:.1%}",
            f"{layer.vectors_per_input:,}",
            si(times[layer.name], "s"),
        )
    return table


def _programming(written: Programming) -> Table:
    table = narrow_table(show_header=False)
    how, often = written.pulses, written.n_programmings
    at_a_time = {"cell": "cell by cell", "row": "row by row", "crossbar": "a whole crossbar at a time"}[how.parallel]
    verified = "verified by a read" if how.verify else "not verified"
    parts = f"{si(written.write_J, 'J')} to write + {si(written.verify_J, 'J')} to verify"
    for row in (
        ("cells", f"{written.cells:,}, {at_a_time} in all crossbars at once"),
        ("pulses", f"{how.pulses:g} per cell of {si(how.pulse_s, 's')} each, {verified}"),
        ("energy", f"{si(written.energy_J, 'J')} = {parts}"),
        ("time", duration(written.time_s)),
        ("endurance", "not known" if often is None else f"{often:,} times"),
        ("source", escape(how.source)),
    ):
        table.add_row(*row)
    return table


def _turns(turns: Multiplexed) -> Iterator[RenderableType]:
    worn = turns.inferences_until_worn
    figures = narrow_table(show_header=False)
    for row in (
        ("throughput", f"{turns.throughput_per_s:,.4g} inferences/s, {turns.batch:,} in a turn"),
        ("energy", f"{si(turns.energy_J, 'J')} per inference, and {si(turns.write_J, 'J')} to write"),
        ("writing", f"{turns.write_share:.1%} of the time"),
        ("worn out", "not known" if worn is None else f"after {worn:,.0f} inferences"),
    ):
        figures.add_row(*row)
    yield figures
    table = narrow_table()
    for name in ("turn", "layers", "writing", "first input", "further ones", "links"):
        table.add_column(name, justify="left" if name == "layers" else RIGHT)
    for k, turn in enumerate(turns.turns):
        first, last = turn.layers[0], turn.layers[-1]
        names = escape(first if first == last else f"{first} .. {last}")
        times = (duration(turn.write_s), *(si(t, "s") for t in (turn.first_s, turn.compute_s, turn.offchip_s)))
        table.add_row(str(k), names, *times)
    yield table
