"""Pictures of many design points: the Pareto front, and accuracy over a varied number with its band."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, LogLocator, NullLocator, PercentFormatter

from xbar.plots.files import save
from xbar.spread import Spread
from xbar.sweep.grid import is_noise
from xbar.units import duration, parse, unit_of

if TYPE_CHECKING:
    import pandas as pd

_TIMES_s = (1e-6, 1e-3, 1.0, 60.0, 3600.0, 86400.0, 30 * 86400.0, 31536000.0, 10 * 31536000.0)
_LOG_FROM = 50.0  # ratio of the largest to the smallest value from which an axis is logarithmic


def accuracy_band(
    values: Sequence[float], spreads: Sequence[Spread], ax: Axes, label: str = "", setting: str = ""
) -> Axes:
    """Accuracy over a number: the mean of the runs as a line, its 95 % confidence band, the worst run as triangles.

    values: what the runs were made at; spreads: `Runs.accuracy` for each. setting: the number's name with its unit,
    such as noise.time_s, for the axis; times are shown on a logarithmic one.
    """
    rows = [(s.mean, s.ci95, s.worst) if len(s.values) > 1 else (s.mean, np.nan, np.nan) for s in spreads]
    return _band(np.array(values, float), np.array(rows).reshape(-1, 3), ax, label, setting)


def sweep_bands(frame: pd.DataFrame, ax: Axes, over: str | None = None) -> Axes:
    """A band as `accuracy_band` over the varied number `over`, for each combination of the other varied settings.

    frame: of `xbar.sweep.pool.sweep`, of a chip with noise; over: by default the first varied setting that is a number.
    """
    done = frame.dropna(subset=["accuracy"])
    varied = _varied(frame)
    chosen = over or number_axis(frame)
    if chosen is None:
        raise ValueError(f"frame: needs a varied setting that is a number, got {', '.join(varied) or 'none'}")
    others = [name for name in varied if name != chosen]
    groups = done.groupby(others, sort=False) if others else [((), done)]
    for key, group in groups:
        values = key if isinstance(key, tuple) else (key,)
        label = ", ".join(f"{name.rpartition('.')[2]} {value}" for name, value in zip(others, values, strict=True))
        x = np.array([_number(chosen, value) for value in group[chosen]], float)
        rows = group.reindex(columns=["accuracy", "accuracy_ci95", "accuracy_worst"]).to_numpy(float)
        order = np.argsort(x)
        _band(x[order], rows[order], ax, label, chosen)
    quiet = done.get("accuracy_no_noise")
    if quiet is not None and quiet.nunique() == 1:
        ax.axhline(quiet.iloc[0], color="0.5", linestyle=":", linewidth=1, label="without noise")
    ax.legend(fontsize="small")
    return ax


def number_axis(frame: pd.DataFrame) -> str | None:
    """The first varied setting whose values are different numbers; None where there is none, or all cells are ideal."""
    if "accuracy_no_noise" not in frame:
        return None
    for name in _varied(frame):
        numbers = [_number(name, value) for value in frame[name]]
        if None not in numbers and len(set(numbers)) > 1:
            return name
    return None


def _varied(frame: pd.DataFrame) -> list[str]:
    columns = list(frame.columns)
    return columns[: columns.index("accuracy_float")] if "accuracy_float" in columns else []


def _number(name: str, value: object) -> float | None:
    """The number that a setting's text stands for, in SI; None where it is none."""
    unit = unit_of(name)
    try:
        return parse(value, unit) if unit is not None else float(str(value))
    except ValueError:
        return None


def _band(x: np.ndarray, rows: np.ndarray, ax: Axes, label: str, setting: str) -> Axes:
    """rows: mean, half of the confidence interval, worst [value, 3]; the latter two NaN for single runs."""
    mean, half, worst = rows.T
    (line,) = ax.plot(x, mean, "o-", markersize=4, label=label or "mean of the runs")
    color = line.get_color()
    if np.isfinite(half).any():
        ax.fill_between(x, mean - half, np.minimum(mean + half, 1.0), color=color, alpha=0.2, linewidth=0)
        ax.plot(x, worst, "v", markersize=4, color=color, markerfacecolor="none")
    name = setting.removeprefix("noise.").removeprefix("effects.")
    ax.set_xlabel(name)
    if unit_of(setting) == "s":
        _time_axis(x, ax)
        ax.set_xlabel("time after programming" if setting.endswith("time_s") else name.removesuffix("_s"))
    elif x.min() > 0 and x.max() / x.min() >= _LOG_FROM:
        ax.set_xscale("log")
    ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    ax.set_ylabel("accuracy: mean, 95 % band, worst run (▽)")
    ax.grid(color="0.92")
    return ax


def _time_axis(x: np.ndarray, ax: Axes) -> None:
    """A logarithmic axis in words; right after programming (0 s) is at its left end."""
    positive = x[x > 0]
    if len(positive) == 0:
        return
    if len(positive) < len(x):
        ax.set_xscale("symlog", linthresh=float(positive.min()), linscale=0.5)
    else:
        ax.set_xscale("log")
    inside = [t for t in _TIMES_s if positive.min() / 1.01 <= t <= positive.max() * 1.01]
    ticks = inside if len(inside) > 1 else sorted(set(positive.tolist()))
    ax.xaxis.set_major_locator(FixedLocator([0.0, *ticks] if len(positive) < len(x) else ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))


def pareto(frame: pd.DataFrame, smaller: str, ax: Axes, larger: str = "accuracy") -> Axes:
    """All points of a sweep, and the front that none of them beats; labels are the varied settings."""
    from xbar.sweep.front import pareto_front

    done = frame.dropna(subset=[smaller, larger])
    front = done[pareto_front(done, [smaller], [larger])].sort_values(smaller)
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


def save_estimates(frame: pd.DataFrame, title: str, file: Path) -> None:
    """Energy, latency and used area (the colour) of many design points, and the front that none of them beats."""
    figure = Figure(figsize=(8, 5.5), layout="constrained")
    figure.suptitle(title, fontsize="medium")
    estimates(frame, figure.subplots())
    save(figure, file)


def estimates(frame: pd.DataFrame, ax: Axes) -> Axes:
    """The points of `xbar.sweep.estimate_grid`; those of the Pareto front have an edge. Wide ranges are logarithmic."""
    from xbar.sweep.estimate_grid import estimate_front

    done = frame[frame.problem == ""]
    front, same = estimate_front(done)
    area_mm2 = 1e6 * done.used_area_m2
    scale = {name: _is_wide(done[name]) for name in ("energy_J", "latency_s", "used_area_m2")}
    colors = (LogNorm if scale["used_area_m2"] else Normalize)(area_mm2.min(), area_mm2.max())
    alike = f", each for the same {', '.join(same)}" if same else ""
    for rows, edge, label in ((~front, "none", "all points"), (front, "black", f"Pareto front{alike}")):
        x, y, area = done.energy_J[rows], done.latency_s[rows], area_mm2[rows]
        dots = ax.scatter(x, y, s=18, c=area, norm=colors, edgecolors=edge, label=label)
    figure = ax.get_figure()
    assert figure is not None
    figure.colorbar(dots, ax=ax, label="used area (mm²)")
    ax.set(xlabel="energy per inference", ylabel="latency")
    if scale["energy_J"]:
        ax.set_xscale("log")
    if scale["latency_s"]:
        ax.set_yscale("log")
    for axis, name in ((ax.xaxis, "energy_J"), (ax.yaxis, "latency_s")):
        if scale[name]:
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(EngFormatter(name[-1]))
    ax.grid(color="0.92")
    ax.set_axisbelow(True)
    ax.legend(fontsize="small", loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def _is_wide(values: pd.Series) -> bool:
    return bool(values.max() > 10 * values.min())


def save_sweep(frame: pd.DataFrame, smaller: str, file: Path) -> None:
    """The Pareto plot of a sweep; beside it, where a number was varied under noise, the accuracy over it.

    Where noise alone was varied there is no Pareto plot, because nobody chooses the noise that a chip has.
    """
    over = number_axis(frame)
    with_front = over is None or any(not is_noise(name) for name in _varied(frame))
    n = (over is not None) + with_front
    figure = Figure(figsize=(1 + 6 * n, 4.5), layout="constrained")
    axes = figure.subplots(1, n, squeeze=False)[0]
    if with_front:
        pareto(frame, smaller, axes[-1])
    if over is not None:
        sweep_bands(frame, axes[0], over)
    save(figure, file)
