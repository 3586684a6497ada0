"""Pictures of crossbars with line resistance: maps of voltages and currents, and of what the wires take."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.ticker import PercentFormatter

from xbar.parts.array.ir_drop import Nodes
from xbar.parts.base import Floats


def node_voltages(nodes: Nodes, line: Literal["word", "bit"], ax: Axes) -> Axes:
    """Voltage of the word line or the bit line at every cell, over the read voltage."""
    values = nodes.word_rel if line == "word" else nodes.bit_rel
    return _map(values, f"voltage of the {line} lines / read voltage", ax)


def effective_conductances(effective_S: Floats, ideal_S: Floats, ax: Axes) -> Axes:
    """Effective over ideal conductance of every cell [row, col]; cells that do not conduct are left white."""
    ratio = np.divide(effective_S, ideal_S, where=ideal_S > 0, out=np.full(ideal_S.shape, np.nan))
    return _map(ratio, "effective / ideal conductance", ax, PercentFormatter(1))


def branch_currents(nodes: Nodes, ax: Axes) -> Axes:
    """Current in every segment of the word lines (horizontal) and bit lines (vertical), over the largest."""
    rows, cols = nodes.cell_S.shape
    across = [((j - 1, i), (j, i)) for i in range(rows) for j in range(cols)]
    down = [((j + 0.3, i + 0.3), (j + 0.3, i + 1.3)) for i in range(rows) for j in range(cols)]
    current = np.abs(np.concatenate([nodes.word_line_S[:, :-1].ravel(), nodes.bit_line_S.ravel()]))
    far = nodes.word_line_S[:, -1]
    if np.any(far):
        across += [((cols - 1, i), (cols, i)) for i in range(rows)]
        current = np.concatenate([current[: rows * cols], np.abs(far), current[rows * cols :]])
    largest = current.max() or 1.0
    lines = LineCollection(
        [*across, *down], array=current / largest, cmap="viridis", linewidths=200 / max(rows, cols, 50)
    )
    ax.add_collection(lines)
    ax.set_xlim(-1.2, cols + 0.2)
    ax.set_ylim(rows + 0.5, -0.7)
    ax.set_aspect("equal")
    ax.figure.colorbar(lines, ax=ax, label="current of the segment / largest")
    return _labelled(ax)


def _map(values: Floats, label: str, ax: Axes, numbers: PercentFormatter | None = None) -> Axes:
    image = ax.imshow(values, cmap="viridis", interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, label=label, format=numbers)
    return _labelled(ax)


def _labelled(ax: Axes) -> Axes:
    ax.set_xlabel("column (drivers on the left)")
    ax.set_ylabel("row (sense amplifiers below)")
    return ax
