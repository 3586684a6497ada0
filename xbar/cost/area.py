"""Who occupies what: the share of the chip's parts that each layer holds, level by level."""

from __future__ import annotations

from xbar.hardware import Level
from xbar.outline import Outline
from xbar.result import HOST, UNUSED


def shares(outline: Outline) -> dict[Level, dict[str, float]]:
    """Fractions of the hardware of all chips, {level: {layer: fraction}}; those of a level sum to 1.

    Crossbars and cores belong to the layer that is in them. Layers share tiles, so the used tiles are split in
    proportion to their cores. Chip-level parts serve the whole network (HOST). The rest is UNUSED.
    """
    chip = outline.chip
    n_tiles = chip.chip.tiles * outline.n_chips
    n_cores = n_tiles * chip.tile.cores
    cores = {layer.name: layer.cores * layer.n_replicas for layer in outline.layers}
    crossbars = {layer.name: len(layer.pieces) * layer.n_replicas for layer in outline.layers}
    tiles_per_core = outline.n_tiles_used / sum(cores.values())
    found: dict[Level, dict[str, float]] = {
        "crossbar": {name: n / (n_cores * chip.core.crossbars) for name, n in crossbars.items()},
        "core": {name: n / n_cores for name, n in cores.items()},
        "tile": {name: n * tiles_per_core / n_tiles for name, n in cores.items()},
        "chip": {HOST: 1.0},
    }
    for level, by_layer in found.items():
        rest = 1.0 - sum(by_layer.values())
        # a full chip leaves rounding noise, not hardware
        found[level] = {**by_layer, UNUSED: rest} if rest > 1e-12 else by_layer
    return found
