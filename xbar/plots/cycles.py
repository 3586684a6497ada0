"""Pictures of the cycle model: who works when, and how time is spent."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import EngFormatter, PercentFormatter
from numpy.typing import NDArray

from xbar.plots.files import save
from xbar.plots.floor import tile_map, traffic_map
from xbar.plots.report import area, energy
from xbar.timing import KINDS, WAYS, Cycles, Trace
from xbar.units import si

if TYPE_CHECKING:
    from xbar.sweep.estimate_job import Estimate

Floats = NDArray[np.float64]
Chosen = NDArray[np.bool_]

# what is drawn together: name, kinds, colour, and where in its row, from the top (0) to the bottom (1)
_BANDS = (
    ("reads", ("reads",), "#1565c0", 0.0, 0.5),
    ("joins", ("join",), "#00897b", 0.0, 0.5),
    ("fetches inputs", ("fetch",), "#ff8f00", 0.5, 0.66),
    ("converts, adds, activates", ("convert", "shift-and-add", "sums", "digital"), "#d81b60", 0.66, 0.82),
    ("rows arrive", ("message", "write"), "#689f38", 0.82, 1.0),
)
_WORK = ("reads", "join", "fetch")  # that makes a row of the picture
_WAYS = dict(
    zip(WAYS, ("#1565c0", "#64b5f6", "#bdbdbd", "#d32f2f", "#8e24aa", "#6d4c41", "#ff8f00", "#f2f2f2"), strict=True)
)
_MOMENTS = 700  # that are told apart across a picture
_FAINTEST = 0.35  # what is hardly ever done in a moment is seen all the same
_MOST_NAMES = 80  # of rows


def gantt(
    trace: Trace,
    ax: Axes,
    by: Literal["layer", "tile"] = "layer",
    n_input: int | None = None,
    span_s: tuple[float, float] | None = None,
) -> Axes:
    """What each layer and join (or each tile) does over time: reads, joins, fetches, what follows reads, and arrivals.

    The stronger a colour, the more of a moment (1/700 of the picture) is spent so, in at least one tile. n_input: only
    what is done for this input of the batch, its rows dark and light in turns; what is not known by its input (digital
    units, messages and writes) is left out. span_s: begin and end of the picture.
    """
    chosen = np.ones(len(trace), np.bool_) if n_input is None else trace.n_input == n_input
    begin_s, end_s = trace.begin_s[chosen], trace.end_s[chosen]
    first_s, last_s = span_s or ((float(begin_s.min()), float(end_s.max())) if len(end_s) else (0.0, 1.0))
    chosen &= (trace.begin_s < last_s) & (trace.end_s > first_s)
    place, names = (trace.stream, trace.streams) if by == "layer" else (trace.process, trace.processes)
    rows = np.unique(place[chosen & _any_of(trace, _WORK)]).tolist()
    moments = np.linspace(first_s, last_s, _MOMENTS + 1)
    patches = []
    for name, kinds, color, top, bottom in _BANDS:
        own = chosen & _any_of(trace, kinds) & np.isin(place, rows)
        if not own.any():
            continue
        patches.append(Patch(color=color, label=name))
        parts = [(own, 1.0)]
        if n_input is not None:
            parts = [(own & (trace.row % 2 == 0), 1.0), (own & (trace.row % 2 == 1), 0.5)]
        for (part, shade), (y, row) in product(parts, enumerate(rows)):
            busy = _busy(trace, part & (place == row), moments)
            if busy.any():
                _band(ax, (y - 0.45 + 0.9 * bottom, y - 0.45 + 0.9 * top), color, shade, busy, moments)
    _rows(ax, [names[row] for row in rows])
    ax.set_xlim(first_s, last_s)
    ax.xaxis.set_major_formatter(EngFormatter("s"))
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)
    _legend(ax, 5, patches)
    of = "" if n_input is None else f" for input {n_input}, its rows dark and light"
    lost = f"\n({trace.n_lost:,} later intervals were not kept)" if trace.n_lost else ""
    ax.set_title(f"what each {by} does{of}{lost}", fontsize="medium")
    return ax


def _any_of(trace: Trace, kinds: tuple[str, ...]) -> Chosen:
    return np.isin(trace.kind, [KINDS.index(kind) for kind in kinds])


def _busy(trace: Trace, part: Chosen, moments: Floats) -> Floats:
    """Share of each moment in which at least one of the intervals goes on, float64 [moment]."""
    if not part.any():
        return np.zeros(len(moments) - 1)
    begin, end = trace.begin_s[part], np.maximum.accumulate(trace.end_s[part])  # traces are in the order of begin
    new = np.maximum(begin[1:], end[:-1])  # what one interval adds to those before it
    begin = np.concatenate([begin[:1], np.minimum(new, end[1:])])
    times = np.stack([begin, end], axis=1).ravel()
    spent = np.cumsum(np.stack([np.zeros(len(begin)), end - begin], axis=1).ravel())
    return np.diff(np.interp(moments, times, spent)) / (moments[1] - moments[0])


def _band(ax: Axes, heights: tuple[float, float], color: str, shade: float, busy: Floats, moments: Floats) -> None:
    pixels = np.ones((1, len(busy), 4))
    pixels[0, :, :3] = 1 - shade * (1 - np.array(to_rgb(color)))
    pixels[0, :, 3] = np.where(busy > 1e-6, _FAINTEST + (1 - _FAINTEST) * np.clip(busy, 0, 1), 0)
    ax.imshow(
        pixels,
        extent=(float(moments[0]), float(moments[-1]), *heights),
        aspect="auto",
        interpolation="nearest",
        zorder=2,
    )


def _rows(ax: Axes, names: list[str]) -> None:
    """Named rows from the top down."""
    places = range(0, len(names), -(-len(names) // _MOST_NAMES) or 1)
    many = len(names) > 14
    ax.set_yticks(list(places), [names[p] for p in places], fontsize="xx-small" if many else "small")
    ax.set_ylim(max(len(names), 1) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)


def _legend(ax: Axes, n_cols: int, patches: list[Patch] | None = None) -> None:
    """Below the numbers of the axis, however tall the picture is."""
    shown = ax.get_legend_handles_labels()[0] if patches is None else patches
    ax.legend(
        handles=shown,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        borderaxespad=3.0,
        fontsize="small",
        ncols=n_cols,
        frameon=False,
    )


def time_shares(cycles: Cycles, ax: Axes) -> Axes:
    """How the crossbars of each layer spend the run, in shares of it."""
    places = np.arange(len(cycles.layers))
    left = np.zeros(len(places))
    for way, color in _WAYS.items():
        shares = np.array([layer.seconds[way] for layer in cycles.layers]) / cycles.run_s
        if shares.max() > 0.0005:
            ax.barh(places, shares, 0.85, left=left, color=color, label=way)
        left += shares
    _rows(ax, [layer.name for layer in cycles.layers])
    ax.set_xlim(0, 1)
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    inputs = f"{cycles.n_inputs} inputs" if cycles.n_inputs > 1 else "one input"
    ax.set_title(f"how the crossbars spend the {si(cycles.run_s, 's', 3)} of {inputs}", fontsize="medium")
    _legend(ax, 4)
    return ax


def save_estimate(estimate: Estimate, file: Path) -> None:
    """How crossbars spend their time and when, the power of the tiles, and the load of the links.

    Without the cycle model, area and energy by part in place of the first two, and the used tiles in that of the last.
    """
    report, chip = estimate.report, estimate.outline.chip
    upper = float(np.clip(0.17 * len(estimate.outline.layers), 4.4, 11))
    lower = 3.6 if estimate.outline.n_chips in (2, 3) else 4.8
    figure = Figure(figsize=(13, upper + lower), layout="constrained")
    above, under = figure.subfigures(2, 1, height_ratios=[upper, lower], squeeze=False)[:, 0]
    left, right = above.subplots(1, 2)
    below = under.subplots(1, 2)
    cycles = report.cycles
    if cycles is None:
        area(report, left)
        energy(report, right)
        tile_map(estimate.tiles, chip, below[1], "used")
    else:
        time_shares(cycles, left)
        if cycles.trace is None:
            energy(report, right)
        else:
            gantt(cycles.trace, right)
        traffic_map(cycles, chip, below[1])
    tile_map(estimate.tiles, chip, below[0])
    speed = f"{si(report.latency_s, 's', 3)}, {report.throughput_per_s:,.4g} inferences/s"
    spent = f"{si(report.energy_J, 'J', 3)} each, {si(report.power_W, 'W', 3)}"
    figure.suptitle(f"{report.network} on {report.chip}: {speed}, {spent}")
    save(figure, file)
