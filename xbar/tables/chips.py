"""Chips as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.markup import escape

from xbar.tables.look import RIGHT, narrow_table
from xbar.units import si

if TYPE_CHECKING:
    from xbar.hardware import Chip


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
