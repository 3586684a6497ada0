"""Chips as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table

from xbar.cost.spiking import operating_point
from xbar.tables.look import RIGHT, narrow_table
from xbar.units import si

if TYPE_CHECKING:
    from xbar.hardware import Chip
    from xbar.spiking.chip import SpikingChip

_BUSY = ((20.0, 0.5), (200.0, 1.0))  # Hz of every neuron, share of a neuron's axons with a synapse


def print_chips(chips: Sequence[Chip], console: Console) -> None:
    """The list of chips, and where each comes from."""
    table = narrow_table()
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


def print_chip(chip: Chip, console: Console) -> None:
    """One chip, part by part: area and power, then energies, then sources."""
    rows = chip.describe()
    console.print(f"[bold]{escape(chip.name)}[/]: {escape(chip.citation)}")
    console.print(escape(chip.hierarchy.strip()), style="dim")
    figures = ("count", "area", "peak power", "leakage")
    table, energies = narrow_table(), narrow_table()
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


def print_spiking_chips(chips: Sequence[SpikingChip], console: Console) -> None:
    """The list of chips with spiking cores, and where each comes from."""
    table = narrow_table()
    for name in ("name", "cores", "axons x neurons", "tick", "area", "at rest"):
        table.add_column(name, no_wrap=True)
    for chip in chips:
        table.add_row(
            f"[bold]{escape(chip.name)}",
            f"{chip.n_cores:,}",
            f"{chip.core.axons}x{chip.core.neurons}",
            si(chip.tick_s, "s"),
            si(chip.area_m2, "m2"),
            si(chip.idle_power_W, "W"),
        )
    console.print(table)
    for chip in chips:
        console.print(f" {chip.name}: {chip.citation}", markup=False, highlight=False, style="dim")


def print_spiking_chip(chip: SpikingChip, console: Console) -> None:
    """One chip of spiking cores: its mesh, energies at its voltage, power at some rates, its neuron, and sources."""
    console.print(f"[bold]{escape(chip.name)}[/]: {escape(chip.citation)}")
    console.print(escape(chip.hierarchy.strip()), style="dim")
    console.print(Group(_mesh(chip), _energies(chip), _powers(chip)))
    limits = ", ".join(
        f"{rule.name} {rule.low} .. {rule.high}" + (" as +-(2^n - 1)" if rule.power_of_two else "")
        for rule in chip.neuron.rules()
    )
    console.print(f"neuron {chip.neuron.kind}: {limits}", markup=False, highlight=False)
    for name, source in (("neuron", chip.neuron.source), ("energy", chip.energy.source)):
        console.print(f" {name}: {source}", markup=False, highlight=False, style="dim")


def _mesh(chip: SpikingChip) -> Table:
    table = narrow_table(show_header=False)
    core, mesh, board = chip.core, chip.mesh, chip.board
    synapses = chip.n_cores * core.axons * core.neurons
    for row in (
        ("core", f"{core.axons} axons x {core.neurons} neurons, {si(core.area_m2, 'm2')}"),
        ("chip", f"{mesh.cols} x {mesh.rows} cores, {si(mesh.chip_area_m2, 'm2')}"),
        ("board", f"{board.cols} x {board.rows} chips, {si(chip.area_m2, 'm2')}"),
        ("in all", f"{chip.n_cores:,} cores, {chip.n_cores * core.neurons:,} neurons, {synapses:,} synapses"),
        ("tick", f"{si(chip.tick_s, 's')}, at least {si(chip.fastest_tick_s, 's')}; delays 1 .. {chip.max_delay}"),
    ):
        table.add_row(*row)
    return table


def _energies(chip: SpikingChip) -> Table:
    """At the chip's voltage and at that of its figures."""
    price = chip.energy
    table = narrow_table()
    table.add_column("energy")
    scales = {price.voltage_V: price.scale_rel, price.reference_voltage_V: 1.0}
    for volt in scales:
        table.add_column(f"at {volt:g} V", justify=RIGHT)
    for name, value, unit in (
        ("core at rest, with its ticks", price.core_static_W, "W"),
        ("synaptic event", price.synaptic_event_J, "J"),
        ("hop of a spike", price.hop_J, "J"),
        ("neuron update", price.neuron_update_J, "J"),
        (f"spike to or from the host ({chip.packet_bits} bits)", chip.packet_bits * price.edge_bit_J, "J"),
        (f"spike between chips ({chip.packet_bits} bits)", chip.packet_bits * price.chip_to_chip_bit_J, "J"),
    ):
        table.add_row(name, *(si(value * scale, unit) for scale in scales.values()))
    return table


def _powers(chip: SpikingChip) -> Table:
    """Of the full chip with random targets."""
    table = narrow_table()
    for name in ("full chip, random targets", "power", "GSOPS", "GSOPS/W"):
        table.add_column(name, justify="left" if name.startswith("full") else RIGHT)
    table.add_row("at rest", si(chip.idle_power_W, "W"), "0", "")
    for rate_Hz, share in _BUSY:
        if rate_Hz * chip.tick_s <= 1:
            report = operating_point(chip, rate_Hz, share * chip.core.axons)
            figures = report.metrics()
            per_W = f"{figures['gsops_per_W']:.4g}" if "gsops_per_W" in figures else ""
            table.add_row(report.network, si(report.power_W, "W"), f"{figures['gsops']:.4g}", per_W)
    return table
