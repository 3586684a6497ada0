"""Views of chips from above: the power of their tiles, and the load of the links between them."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.colors import Normalize, to_rgba
from matplotlib.patches import Rectangle
from matplotlib.ticker import EngFormatter, PercentFormatter

from xbar.cost.tiles import TilePower
from xbar.hardware import Chip
from xbar.parts.wiring import Position
from xbar.timing import Cycles
from xbar.units import si

_CHIPS_PER_ROW = 3
_NOTHING = "0.95"  # colour of a tile without any
_APART = 0.18  # tile pitches between the two directions of a link


def tile_map(tiles: TilePower, chip: Chip, ax: Axes, values: Literal["density", "power", "used"] = "density") -> Axes:
    """The tiles at their places: power over area, power, or the share of cores that hold a layer; grey: nothing.

    Several chips stand beside each other.
    """
    label, numbers, numbering = {
        "density": ("power density of the tiles, W/cm²", tiles.density_W_per_m2 * 1e-4, None),
        "power": ("power of the tiles", tiles.power_W, EngFormatter("W")),
        "used": ("cores of the tiles that hold a layer", tiles.used_rel, PercentFormatter(1)),
    }[values]
    color = ScalarMappable(Normalize(0, float(numbers.max(initial=0.0)) or 1.0), "inferno_r")
    n_chips = len(tiles.power_W) // chip.chip.tiles
    faces = np.where((numbers > 0)[:, None], color.to_rgba(numbers), to_rgba(_NOTHING))
    ax.add_collection(_squares(chip, n_chips, faces))
    _floor(ax, chip, n_chips)
    ax.set_title(label, fontsize="medium")
    total = f"{si(tiles.total_W, 'W', 3)} in all, {si(tiles.beside_W, 'W', 3)} of it beside the tiles"
    ax.set_xlabel(total, fontsize="small")
    _bar(ax, color, numbering)
    return ax


def traffic_map(cycles: Cycles, chip: Chip, ax: Axes) -> Axes:
    """Share of the run for which each link between tiles is taken, by colour and width; both directions side by side.

    Several chips stand beside each other; links that lead outside are told in words.
    """
    n_chips = 1 + max((link.chip for link in cycles.links), default=0)
    ax.add_collection(_squares(chip, n_chips, np.full((n_chips * chip.chip.tiles, 4), to_rgba(_NOTHING))))
    origins = _origins(chip, n_chips)
    loads = [load for load in sorted(cycles.links, key=lambda load: load.busy_s) if load.ends is not None]
    shares = np.array([load.busy_s / cycles.run_s for load in loads])
    top = float(shares.max(initial=0.0))
    if top > 0:
        lines = [_beside(load.ends, origins[load.chip]) for load in loads if load.ends is not None]
        drawn = LineCollection(lines, array=shares, cmap="plasma_r", linewidths=0.8 + 3.2 * shares / top)
        drawn.set_clim(0, top)
        ax.add_collection(drawn)
        _bar(ax, drawn, PercentFormatter(1))
    else:
        ax.annotate("no link between tiles is taken", (0.5, 0.5), xycoords="axes fraction", ha="center")
    _floor(ax, chip, n_chips)
    ax.set_title("links: share of the time for which they are taken", fontsize="medium")
    beyond = sorted((link for link in cycles.links if link.ends is None), key=lambda link: -link.busy_s)
    outside = [f"{link.label}: {link.busy_s / cycles.run_s:.1%}" for link in beyond]
    lines_of_text = [", ".join(outside[k : k + 2]) for k in range(0, min(len(outside), 4), 2)]
    ax.set_xlabel("\n".join(lines_of_text), fontsize="small")
    return ax


def _beside(ends: tuple[Position, Position], origin: Position) -> list[Position]:
    """A link a little to the right of its direction, so that the way back is beside it."""
    (x0, y0), (x1, y1) = ends
    length = abs(x1 - x0) + abs(y1 - y0) or 1.0
    dx, dy = origin[0] - _APART / 2 * (y1 - y0) / length, origin[1] + _APART / 2 * (x1 - x0) / length
    return [(x0 + dx, y0 + dy), (x1 + dx, y1 + dy)]


def _squares(chip: Chip, n_chips: int, faces: np.ndarray) -> PatchCollection:
    """The tiles of all chips; faces: [tile, rgba]."""
    positions = _positions(chip)
    x0, y0 = positions[0]
    apart = min((max(abs(x - x0), abs(y - y0)) for x, y in positions[1:]), default=1.0)
    side = 0.92 * min(1.0, apart)
    corners = [(x + ox - side / 2, y + oy - side / 2) for ox, oy in _origins(chip, n_chips) for x, y in positions]
    squares = [Rectangle(corner, side, side) for corner in corners]
    return PatchCollection(squares, facecolors=faces, edgecolors="0.85", linewidths=0.3, zorder=0)


def _positions(chip: Chip) -> list[Position]:
    return [chip.wiring.position(tile) for tile in range(chip.chip.tiles)]


def _origins(chip: Chip, n_chips: int) -> list[Position]:
    """Where chips start, from left to right and then down."""
    x, y = np.array(_positions(chip)).T
    width, height = float(np.ptp(x)) + 2.5, float(np.ptp(y)) + 2.5
    return [(k % _CHIPS_PER_ROW * width, k // _CHIPS_PER_ROW * height) for k in range(n_chips)]


def _floor(ax: Axes, chip: Chip, n_chips: int) -> None:
    """Axes without numbers, and the names of the chips."""
    x, y = np.array(_positions(chip)).T
    origins = _origins(chip, n_chips)
    for k, (ox, oy) in enumerate(origins if n_chips > 1 else []):
        ax.annotate(f"chip {k}", (float(x.min()) + ox - 0.45, float(y.min()) + oy - 0.7), fontsize="small")
    right, down = (max(origin[axis] for origin in origins) for axis in (0, 1))
    ax.set_xlim(float(x.min()) - 0.7, float(x.max()) + right + 0.7)
    ax.set_ylim(float(y.max()) + down + 0.7, float(y.min()) - (1.3 if n_chips > 1 else 0.7))
    ax.set_aspect("equal")
    ax.set_xticks([])
    ax.set_yticks([])
    ax.spines[:].set_visible(False)


def _bar(ax: Axes, color: ScalarMappable, numbering: EngFormatter | PercentFormatter | None) -> None:
    bar = ax.get_figure(root=True).colorbar(color, ax=ax, shrink=0.8, format=numbering)  # type: ignore[union-attr]
    bar.ax.tick_params(labelsize="small")
