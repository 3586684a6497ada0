"""Pictures of devices: the conductances that the cells of a layer were programmed to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes

from xbar.errors import DataError
from xbar.noise import NoiseModel, load_noise
from xbar.parts.base import Cells
from xbar.program import Program, formed
from xbar.sim.cells import Draw, realise, strips_of
from xbar.sim.simulate import physics_of
from xbar.units import duration

_BINS = 120


def conductances(
    program: Program, ax: Axes, layer: str | None = None, noise: NoiseModel | str | Path | None = None, seed: int = 0
) -> Axes:
    """Histogram of the conductances of a layer's cells by level, over g_max, at the moment of reading.

    layer: by name, the first by default; noise, seed: as in `xbar.simulate`, run 0. Where a single effect acts on
    cells, the normal law with its mean and variance (from the effect's formula) is drawn over each level. Faults put
    cells at the ends of the range, and may stand above the picture. Raises DataError for an unknown layer.
    """
    model = load_noise(noise) if isinstance(noise, (str, Path)) else noise
    physics = physics_of(program, model) or NoiseModel()
    known = {p.name: p for p in program.layers}
    if layer is not None and layer not in known:
        raise DataError(f"layer: must be a layer on crossbars, got {layer}; the layers are {', '.join(known)}")
    chosen = program.layers[0] if layer is None else known[layer]
    chip = program.chip
    g = realise(chosen, chip, physics, strips_of(chosen, chip), Draw(seed)).main
    exist = np.repeat(formed(chosen).swapaxes(1, 2), np.diff(chosen.row_edges), axis=2)
    levels = chip.device.levels_rel()
    edges = np.linspace(min(0.0, float(g.min())), max(1.0, float(g.max())), _BINS + 1)
    middle, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    effects = list(physics.of_cells.values())
    top = 0.0
    for level, target in enumerate(levels):
        own = g[exist & (chosen.cells == level)]
        color = colormaps["viridis"](0.9 * level / max(1, len(levels) - 1))
        counts = np.histogram(own, edges)[0] / max(1, own.size) / width
        ax.stairs(counts, edges, fill=True, color=color, alpha=0.5, label=f"level {level}: {own.size:,} cells")
        ax.axvline(target, color=color, linestyle=":", linewidth=1)
        if len(effects) == 1:
            cells = Cells(np.array([level], np.uint8), np.array([target]), chip.device.low_rel, len(levels))
            mean, variance = effects[0].moments(cells, cells.target_rel, physics.when)
            if variance[0] > 0:
                density = np.exp(-((middle - mean[0]) ** 2) / (2 * variance[0])) / np.sqrt(2 * np.pi * variance[0])
                ax.plot(middle, density, color=color, linewidth=1.5)
                top = max(top, float(density.max()))
    ax.set_ylim(0, 1.3 * top if top else None)
    ax.set_xlabel("conductance / g_max (dotted: target; line: law)" if top else "conductance / g_max (dotted: target)")
    ax.set_ylabel("density of cells")
    ax.legend(fontsize="small")
    moment = f", {duration(physics.time_s)} after programming" if effects else ""
    ax.set_title(f"{chosen.name}: {physics.name or 'no noise'}{moment}", fontsize="medium")
    return ax
