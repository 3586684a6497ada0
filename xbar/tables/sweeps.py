"""Sweeps as tables, and their progress."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from xbar.tables.look import RIGHT, narrow_table
from xbar.units import si

if TYPE_CHECKING:
    import pandas as pd


_SWEEP_COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "accuracy": ("accuracy", lambda v: f"{v:.2%}"),
    "accuracy_ci95": ("± 95 %", lambda v: f"{v:.2%}"),
    "accuracy_worst": ("worst run", lambda v: f"{v:.2%}"),
    "accuracy_no_noise": ("no noise", lambda v: f"{v:.2%}"),
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

    table = narrow_table(caption=f"* nothing has both higher accuracy and lower {smaller}", caption_justify="left")
    figures = [name for name in _SWEEP_COLUMNS if name in frame]
    for name in [*varied, *(_SWEEP_COLUMNS[f][0] for f in figures), ""]:
        table.add_column(name, justify=RIGHT)
    front = pareto_front(frame, smaller, "accuracy") if figures else frame.problem == "no point"
    for (_, row), on_front in zip(frame.iterrows(), front, strict=True):
        values = [str(row[name]) for name in varied]
        if row.problem:
            table.add_row(*values, f"[red]{escape(str(row.problem))}[/]", *[""] * len(figures))
        else:
            shown = ("" if math.isnan(row[f]) else _SWEEP_COLUMNS[f][1](row[f]) for f in figures)
            table.add_row(*values, *shown, "*" if on_front else "")
    console.print(table)


@contextmanager
def sweep_progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A progress bar to hand to `sweep` as on_point."""
    columns = (TextColumn("points"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("points", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
