"""Sweeps as tables, and their progress."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from xbar.tables.look import RIGHT, narrow_table
from xbar.units import si

if TYPE_CHECKING:
    import pandas as pd


_COLUMNS: dict[str, tuple[str, Callable[[float], str]]] = {
    "accuracy": ("accuracy", lambda v: f"{v:.2%}"),
    "accuracy_ci95": ("± 95 %", lambda v: f"{v:.2%}"),
    "accuracy_worst": ("worst run", lambda v: f"{v:.2%}"),
    "saturated_rel": ("saturated", lambda v: f"{v:.3%}"),
    "energy_J": ("energy", lambda v: si(v, "J")),
    "latency_s": ("latency", lambda v: si(v, "s")),
    "power_W": ("power", lambda v: si(v, "W")),
    "used_area_m2": ("used area", lambda v: si(v, "m2")),
    "tops_per_W": ("TOPS/W", lambda v: f"{v:.4g}"),
}
_UNLIMITED = 10_000  # characters, wider than any table
_MANY = 40  # rows
_NO_CYCLES = (
    "latencies are those of the crossbars, one layer after another; buffers, buses and links take no time and have no "
    "limits: --cycles simulates them"
)
_FEWEST = 4  # columns of figures that are shown however narrow the console is


def print_sweep(frame: pd.DataFrame, varied: Sequence[str], smaller: str, console: Console) -> None:
    """One row per point, as many figures as the console is wide; the Pareto front of accuracy over `smaller` is marked.

    No front where noise alone was varied, which nobody chooses.
    """
    from xbar.sweep.front import pareto_front
    from xbar.sweep.grid import is_noise

    figures = sorted((f for f in _COLUMNS if f in frame), key=lambda f: f != smaller and not f.startswith("accuracy"))
    front = [False] * len(frame)
    if figures and not (varied and all(map(is_noise, varied))):
        front = list(pareto_front(frame, [smaller], ["accuracy"]))
    print_points(frame, varied, figures, front, console)
    if any(front):
        console.print(f"* nothing has both higher accuracy and lower {smaller}", highlight=False)


def print_estimates(frame: pd.DataFrame, varied: Sequence[str], with_cycles: bool, console: Console) -> None:
    """One row per point of `xbar.sweep.estimate_grid`; of many the Pareto front alone, least energy x delay first.

    with_cycles: whether the cycle model found their times.

    At least one point must be without a problem.
    """
    from xbar.sweep.estimate_grid import estimate_front

    front, same = estimate_front(frame)
    best = frame[front].sort_values("energy_delay_Js")
    shown, note = frame, ""
    if len(frame) > _MANY:
        wrong = frame[~frame.problem.duplicated() & (frame.problem != "")]
        shown = frame.loc[[*best.index[:_MANY], *wrong.index[:_MANY]]]
        kept = "the Pareto front" if len(best) <= _MANY else f"{_MANY} of {len(best):,} points on the Pareto front"
        note = f"{len(frame):,} points, {(frame.problem != '').sum():,} with a problem; {kept} by energy x delay"
    print_points(shown, varied, [name for name in _COLUMNS if name in frame], list(front[shown.index]), console)
    alike = f" of the same {', '.join(same)}" if same else ""
    text = f"* no other point{alike} is as good in energy, latency and used area, and better in one"
    times = "" if with_cycles else _NO_CYCLES
    for line in (note, text, "accuracy is not looked at: xbar sweep simulates it", times):
        if line:
            console.print(line, highlight=False)


def print_points(
    frame: pd.DataFrame, varied: Sequence[str], figures: Sequence[str], front: Sequence[bool], console: Console
) -> None:
    """A table of points, as many figures as the console is wide, and below it what is wrong with some of them."""
    table = _sweep_table(frame, varied, figures, front)
    unlimited = console.options.update(max_width=_UNLIMITED)
    while console.measure(table, options=unlimited).maximum > console.width and len(figures) > _FEWEST:
        figures = figures[:-1]
        table = _sweep_table(frame, varied, figures, front)
    console.print(table)
    for number, problem in enumerate(_problems(frame), 1):
        console.print(f"[red]problem {number}[/]: {escape(problem)}", highlight=False)


def _sweep_table(frame: pd.DataFrame, varied: Sequence[str], figures: Sequence[str], front: Sequence[bool]) -> Table:
    table = narrow_table()
    names = [path.rpartition(".")[2] for path in varied]
    unique = names if len(set(names)) == len(names) else varied
    for name in (*unique, *(_COLUMNS[f][0] for f in figures), *[""] * any(front)):
        table.add_column(name, justify=RIGHT)
    for (_, row), on_front in zip(frame.iterrows(), front, strict=True):
        values = [escape(str(row[name])) for name in varied]
        if row.problem:
            table.add_row(*values, f"[red]problem {_problems(frame).index(row.problem) + 1}[/]")
        else:
            shown = ("" if math.isnan(row[f]) else _COLUMNS[f][1](row[f]) for f in figures)
            table.add_row(*values, *shown, *["*" if on_front else ""] * any(front))
    return table


def _problems(frame: pd.DataFrame) -> list[str]:
    """What was wrong with points, each once."""
    return [str(problem) for problem in dict.fromkeys(frame.problem) if problem]


@contextmanager
def sweep_progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A progress bar to hand to `sweep` as on_point."""
    columns = (TextColumn("points"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("points", total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
