"""Pictures of spiking cores: who fires when, how busy cores are, and which links carry the spikes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from xbar.cost.links import link_loads
from xbar.plots.files import save
from xbar.spiking.program import SpikingProgram
from xbar.spiking.result import SpikeActivity

if TYPE_CHECKING:
    from xbar.spiking.report import SpikingReport
    from xbar.sweep.spike_outcome import SpikeOutcome

_COLORS = ("tab:blue", "tab:orange", "tab:green", "tab:purple", "tab:brown", "tab:cyan")
_MARGIN = 1  # cores around those that are used


def raster(spikes: np.ndarray, ax: Axes, groups: Sequence[tuple[str, int]] = ()) -> Axes:
    """Spikes bool [tick, neuron] as strokes, a neuron per row, the first on top.

    groups: (name, number of neurons), one after the other, with a colour each.
    """
    n_ticks, n_rows = spikes.shape
    groups = groups or (("", n_rows),)
    width = float(np.clip(160 / max(n_ticks, 1), 0.5, 8.0))
    start = 0
    for i, (_, size) in enumerate(groups):
        tick, row = np.nonzero(spikes[:, start : start + size])
        color = _COLORS[i % len(_COLORS)]
        low, high = row + start - 0.42, row + start + 0.42
        ax.vlines(tick, low, high, color=color, linewidths=width, rasterized=len(row) > 5000)
        if start:
            ax.axhline(start - 0.5, color="0.8", linewidth=0.8)
        start += size
    if any(name for name, _ in groups):
        starts = np.cumsum([0, *(size for _, size in groups)])
        ax.set_yticks((starts[:-1] + starts[1:] - 1) / 2, [f"{name}\n({size})" for name, size in groups])
        ax.tick_params(axis="y", length=0)
    else:
        ax.set_ylabel("neuron")
    ax.set_xlim(-0.5, max(n_ticks, 1) - 0.5)
    ax.set_ylim(max(n_rows, 1) - 0.5, -0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("tick")
    return ax


def core_map(program: SpikingProgram, activity: SpikeActivity, ax: Axes) -> Axes:
    """Synaptic events per tick of one input, for each core at its place on the mesh; cores without a layer are grey."""
    left, right, low, high = _window(program)
    busy = np.full((program.chip.rows, program.chip.cols), np.nan)
    x, y = program.place.T
    busy[y, x] = activity.synaptic_events / (activity.n_ticks * activity.n_batch)
    shown = np.ma.masked_invalid(busy[low : high + 1, left : right + 1])
    extent = (left - 0.5, right + 0.5, low - 0.5, high + 0.5)
    ax.set_facecolor("0.92")
    image = ax.imshow(shown, origin="lower", extent=extent, cmap="viridis", vmin=0, aspect="equal")
    _mesh(ax, program, "synaptic events per tick")
    ax.get_figure(root=True).colorbar(image, ax=ax, shrink=0.8)  # type: ignore[union-attr]
    return ax


def link_map(program: SpikingProgram, activity: SpikeActivity, ax: Axes) -> Axes:
    """Spikes per tick of one input over each link of the mesh, both directions together; cores are dots."""
    loads, each = link_loads(program, activity), activity.n_ticks * activity.n_batch
    lines, values = [], []
    for name, load in (("x", loads.along_x), ("y", loads.along_y)):
        for y, x in np.argwhere(load > 0):
            lines.append([(x, y), (x + 1, y) if name == "x" else (x, y + 1)])
            values.append(load[y, x] / each)
    used = np.zeros((program.chip.rows, program.chip.cols), np.bool_)
    used[program.place[:, 1], program.place[:, 0]] = True
    left, right, low, high = _window(program)
    y, x = np.mgrid[low : high + 1, left : right + 1]
    size = float(np.clip(600 / max(right - left + 1, high - low + 1) ** 2, 0.5, 40))
    ax.scatter(x, y, s=size, c=np.where(used[y, x], "0.35", "0.85").ravel(), linewidths=0, zorder=2)
    width = float(np.clip(60 / max(right - left + 1, high - low + 1), 1.0, 5.0))
    drawn = LineCollection(lines, array=np.array(values), cmap="plasma_r", linewidths=width, zorder=1)
    drawn.set_clim(0, max([*values, 0]) or 1)
    ax.add_collection(drawn)
    ax.set_aspect("equal")
    ax.set_xlim(left - 0.5, right + 0.5)
    ax.set_ylim(low - 0.5, high + 0.5)
    _mesh(ax, program, "spikes per tick over links")
    ax.get_figure(root=True).colorbar(drawn, ax=ax, shrink=0.8)  # type: ignore[union-attr]
    return ax


def spiking_energy(report: SpikingReport, ax: Axes) -> Axes:
    """Energy per input by part, in nJ; what cores at rest draw is split into those that are used and those idle."""
    parts = {name: cost.energy_J for name, cost in report.by("part").items() if cost.energy_J > 0}
    at_rest_J = parts.pop("cores at rest", 0.0)
    parts |= {"used cores at rest": at_rest_J - report.idle_J, "idle cores": report.idle_J}
    shown = sorted(((name, value * 1e9) for name, value in parts.items() if value > 0), key=lambda item: item[1])
    total = report.energy_J * 1e9
    ax.plot([v for _, v in shown], [name for name, _ in shown], "o", color="tab:blue")
    for name, value in shown:
        ax.annotate(f"{value / total:.2%}", (value, name), (8, 0), textcoords="offset points", va="center", fontsize=8)
    if shown:
        ax.set_xscale("log")  # from a few events to a whole chip at rest
    ax.grid(axis="x", color="0.9")
    ax.set_xlabel("energy per input (nJ)")
    ax.margins(x=0.15, y=0.2)
    return ax


def save_spikes(outcome: SpikeOutcome, file: Path) -> None:
    """One run: spikes of its first input, energy by part, the load of cores and of links."""
    figure = Figure(figsize=(11, 9.6), layout="constrained")
    axes = figure.subplot_mosaic([["raster", "raster"], ["energy", "energy"], ["cores", "links"]],
                                 height_ratios=[4.2, 1.4, 4.0])  # fmt: skip
    raster(outcome.raster.spikes, axes["raster"], outcome.raster.groups)
    axes["raster"].set_title("spikes of the first input", fontsize="medium")
    spiking_energy(outcome.report, axes["energy"])
    core_map(outcome.program, outcome.activity, axes["cores"])
    link_map(outcome.program, outcome.activity, axes["links"])
    report = outcome.report
    right = "" if outcome.accuracy is None else f": {outcome.accuracy:.2%} of {len(outcome.outputs):,} inputs right"
    figure.suptitle(f"{report.network} on {report.chip}{right}")
    save(figure, file)


def _window(program: SpikingProgram) -> tuple[int, int, int, int]:
    """A square of the mesh around the used cores, as far as the mesh goes: first and last x, first and last y."""
    (left, low), (right, high) = program.place.min(0), program.place.max(0)
    side = int(max(right - left, high - low)) + 1 + 2 * _MARGIN
    return *_around(int(left), int(right), side, program.chip.cols), *_around(
        int(low), int(high), side, program.chip.rows
    )


def _around(first: int, last: int, side: int, n: int) -> tuple[int, int]:
    """`side` places of n, with first .. last in their middle as far as that goes."""
    start = max(0, min((first + last + 1 - side) // 2, n - side))
    return start, min(start + side, n) - 1


def _mesh(ax: Axes, program: SpikingProgram, title: str) -> None:
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True, nbins=8, min_n_ticks=1))
    ax.set_xlabel(f"x of the core, 0 .. {program.chip.cols - 1}")
    ax.set_ylabel(f"y of the core, 0 .. {program.chip.rows - 1}")
    ax.set_title(title, fontsize="medium")
