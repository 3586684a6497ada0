"""The bill of a report as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from xbar.result import UNUSED, Report
from xbar.tables.look import RIGHT, narrow_table, title
from xbar.units import si

_KEYS: tuple[Literal["part", "layer", "level"], ...] = ("part", "layer", "level")


def bills(report: Report) -> Iterator[RenderableType]:
    """Area and energy by part, by layer and by level."""
    yield title("area and energy per inference by part, by layer and by level; each sums to the same total")
    for key in _KEYS:
        yield _bill(report, key)


def notes(lines: Iterable[str]) -> Iterator[RenderableType]:
    """What a report leaves out."""
    yield title("what this report leaves out or takes for granted")
    for line in lines:
        yield Text(f" {line}", style="yellow")


def _bill(report: Report, key: Literal["part", "layer", "level"]) -> Table:
    table = narrow_table(show_footer=True)
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


def energies(report: Report) -> str:
    """Dynamic energy, leakage, and clocks where they are not gated; the whole chip leaks, idle tiles too."""
    costs = report.by("layer")
    parts = {
        "dynamic": sum(cost.dynamic_J for cost in costs.values()),
        "leakage": sum(cost.leakage_J for cost in costs.values()),
        "clocks of parts that do nothing": sum(cost.clock_J for cost in costs.values()),
    }
    idle_J = costs[UNUSED].leakage_J + costs[UNUSED].clock_J if UNUSED in costs else 0.0
    shown = [f"{si(joules, 'J')} {name}" for name, joules in parts.items() if joules > 0 or "clock" not in name]
    return " + ".join(shown) + (f" ({si(idle_J, 'J')} of idle hardware)" if idle_J > 0 else "")


def _share(part: float, whole: float) -> float:
    return part / whole if whole > 0 else 0.0
