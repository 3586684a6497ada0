"""Pictures of one design point: its bill and its ADC bits."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from xbar.plots.errors import error_maps, error_shares, saturation
from xbar.plots.files import save
from xbar.result import Report

if TYPE_CHECKING:
    from xbar.sim import AdcResolution
    from xbar.sweep.outcome import Outcome

_MAPS_PER_ROW = 4


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


def save_outcome(outcome: Outcome, file: Path) -> None:
    """Area and energy of one design point; ADC resolution, and where errors come from, if these were looked for."""
    maps = () if outcome.errors is None else outcome.errors.layers
    map_rows = -(-len(maps) // _MAPS_PER_ROW)
    heights = [4.2] * (1 + (outcome.adc is not None) + (outcome.errors is not None)) + [2.0 * map_rows] * bool(maps)
    figure = Figure(figsize=(11, sum(heights)), layout="constrained")
    parts = iter(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    left, right = next(parts).subplots(1, 2)
    area(outcome.report, left)
    energy(outcome.report, right)
    if outcome.adc is not None:
        adc_bits(outcome.adc, next(parts).subplots())
    if outcome.errors is not None:
        left, right = next(parts).subplots(1, 2)
        error_shares(outcome.errors, left)
        saturation(outcome.activity, right)
        axes = next(parts).subplots(map_rows, _MAPS_PER_ROW, squeeze=False).ravel()
        for spare in axes[len(maps) :]:
            spare.set_axis_off()
        error_maps(outcome.errors, axes[: len(maps)])
    report, spread = outcome.report, outcome.accuracy
    over = f" ± {spread.ci95:.2%} ({len(spread.values)} runs)" if len(spread.values) > 1 else ""
    figure.suptitle(f"{report.network} on {report.chip}: {spread.mean:.2%}{over} of {outcome.n_inputs:,} images right")
    save(figure, file)
