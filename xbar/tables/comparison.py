"""Networks side by side as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from xbar.tables.look import RIGHT, narrow_table

if TYPE_CHECKING:
    from xbar.sweep.comparison import Comparison


def print_comparison(comparison: Comparison, console: Console) -> None:
    """One column for each network; behind the figures of the later ones, how they compare with those of the first."""
    console.print(comparison.title, highlight=False, markup=False)
    console.print(_table(comparison))


def _table(comparison: Comparison) -> Table:
    table = narrow_table()
    table.add_column("")
    for i, name in enumerate(comparison.outcomes):
        table.add_column(escape(name), justify=RIGHT, overflow="fold")
        if i:
            table.add_column("", justify=RIGHT, style="dim")
    for row in comparison.rows():
        pairs = (cell for pair in zip(row.values[1:], row.compared, strict=True) for cell in pair)
        table.add_row(row.title, row.values[0], *pairs)
    return table
