"""Pictures of reports and sweeps. Every function takes axes and returns them; `save_...` writes a whole figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter

from xbar.errors import OutputError
from xbar.result import Report

if TYPE_CHECKING:
    import pandas as pd

    from xbar.sim import AdcResolution
    from xbar.sweep.job import Outcome


def area(report: Report, ax: Axes) -> Axes:
    """Area by part, in mm²."""
    return _bars({k: c.area_m2 * 1e6 for k, c in report.by("part").items()}, "area of the chip (mm²)", ax)


def energy(report: Report, ax: Axes) -> Axes:
    """Energy per inference by part, in nJ."""
    return _bars({k: c.energy_J * 1e9 for k, c in report.by("part").items()}, "energy per inference (nJ)", ax)


def _bars(values: Mapping[str, float], label: str, ax: Axes) -> Axes:
    """Horizontal bars, the largest on top; parts without a value are left out."""
    shown = sorted(((name, v) for name, v in values.items() if v > 0), key=lambda item: item[1])
    total = sum(v for _, v in shown)
    bars = ax.barh([name for name, _ in shown], [v for _, v in shown], color="tab:blue")
    ax.bar_label(bars, [f" {v / total:.1%}" for _, v in shown], fontsize="small")
    ax.set_xlabel(label)
    ax.margins(x=0.15)
    return ax


def adc_bits(adc: AdcResolution, ax: Axes) -> Axes:
    """ADC bits by layer and slice: lossless, seen in the data (maximum, 99.9th percentile), smallest that was found."""
    rows = adc.rows()
    places = np.arange(len(rows))
    looks = (
        ("lossless_bits", "lossless for these weights", "0.85"),
        ("max_bits", "seen in the data", "0.65"),
        ("p999_bits", "99.9 % of the data", "tab:blue"),
        ("smallest_bits", f"smallest for at most {adc.max_loss:.1%} loss", "tab:orange"),
    )
    for i, (key, label, color) in enumerate(looks):
        ax.bar(places + (i - 1.5) * 0.21, [row[key] for row in rows], 0.2, label=label, color=color)
    ax.set_xticks(places, [str(row["slice"]) for row in rows], fontsize="small")
    ax.set_ylabel("ADC bits")
    ax.set_xlabel("slice (0 = least significant), by layer")
    starts = [i for i, row in enumerate(rows) if i == 0 or row["layer"] != rows[i - 1]["layer"]]
    for start, end in zip(starts, [*starts[1:], len(rows)], strict=True):
        ax.annotate(
            str(rows[start]["layer"]),
            ((start + end - 1) / 2, 1.01),
            xycoords=("data", "axes fraction"),
            ha="center",
            fontsize="small",
        )
        if start:
            ax.axvline(start - 0.5, color="0.8", linewidth=0.8)
    ax.set_xlim(-0.6, len(rows) - 0.4)
    ax.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=4, frameon=False)
    return ax


def pareto(frame: pd.DataFrame, smaller: str, ax: Axes, larger: str = "accuracy") -> Axes:
    """All points of a sweep, and the front that none of them beats; labels are the varied settings."""
    from xbar.sweep.pool import pareto_front

    done = frame.dropna(subset=[smaller, larger])
    front = done[pareto_front(done, smaller, larger)].sort_values(smaller)
    ax.scatter(done[smaller], done[larger], color="0.7", zorder=2, label="all points")
    ax.plot(front[smaller], front[larger], "o-", color="tab:orange", zorder=3, label="Pareto front")
    varied = list(frame.columns[: list(frame.columns).index("accuracy_float")])
    for _, row in front.iterrows():
        text = ", ".join(f"{name.rsplit('.', 1)[-1]} {row[name]}" for name in varied)
        ax.annotate(
            text,
            (row[smaller], row[larger]),
            xytext=(-6, 4),
            textcoords="offset points",
            fontsize="x-small",
            ha="right",
        )
    name, _, unit = smaller.rpartition("_")
    ax.set_xlabel(name.replace("_", " ") or smaller)
    if unit in ("J", "W", "s"):
        ax.xaxis.set_major_formatter(EngFormatter(unit))
    else:
        ax.set_xlabel(smaller)
    ax.set_ylabel(larger)
    ax.margins(x=0.2, y=0.1)
    ax.grid(color="0.92")
    ax.legend(loc="lower right")
    return ax


def save_outcome(outcome: Outcome, file: Path) -> None:
    """Area, energy and, where it was searched, the ADC resolution of one design point."""
    n_rows = 1 if outcome.adc is None else 2
    figure = Figure(figsize=(11, 4.2 * n_rows), layout="constrained")
    grid = figure.add_gridspec(n_rows, 2)
    area(outcome.report, figure.add_subplot(grid[0, 0]))
    energy(outcome.report, figure.add_subplot(grid[0, 1]))
    if outcome.adc is not None:
        adc_bits(outcome.adc, figure.add_subplot(grid[1, :]))
    report = outcome.report
    figure.suptitle(
        f"{report.network} on {report.chip}: {outcome.accuracy_hardware:.2%} of {outcome.n_inputs:,} images right"
    )
    _save(figure, file)


def save_pareto(frame: pd.DataFrame, smaller: str, file: Path) -> None:
    """The Pareto plot of a sweep."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    pareto(frame, smaller, figure.add_subplot())
    _save(figure, file)


def _save(figure: Figure, file: Path) -> None:
    try:
        with matplotlib.rc_context({"svg.hashsalt": "xbar"}):
            figure.savefig(file, dpi=150)
    except (OSError, ValueError) as error:
        raise OutputError(f"{file}: cannot be written ({error}); end its name in .png, .svg or .pdf") from error
