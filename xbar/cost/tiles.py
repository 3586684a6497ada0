"""Where the power of a chip goes: tile by tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbar.errors import DataError
from xbar.hardware import LedgerRow
from xbar.outline import Outline
from xbar.result import HOST, UNUSED, Report
from xbar.same import same_fields
from xbar.traffic import OUTSIDE, makers

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class TilePower:
    """Average power of each tile with the pipeline full; chips one after another.

    power_W: float64 [tile]; used_rel: float64 [tile], cores that hold a layer / cores; tile_area_m2: of one tile, all
    are alike; beside_W: of parts that belong to no tile (links off the chip), and of digital work at its edge.
    """

    power_W: Floats
    used_rel: Floats
    tile_area_m2: float
    beside_W: float

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)

    @property
    def density_W_per_m2(self) -> Floats:
        """float64 [tile]; 0 where the chip says nothing of areas."""
        return self.power_W / self.tile_area_m2 if self.tile_area_m2 > 0 else np.zeros_like(self.power_W)

    @property
    def total_W(self) -> float:
        """`Report.power_W`."""
        return float(self.power_W.sum()) + self.beside_W

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "power_W": self.power_W.tolist(),
            "used_rel": self.used_rel.tolist(),
            "density_W_per_m2": self.density_W_per_m2.tolist(),
            "tile_area_m2": self.tile_area_m2,
            "beside_W": self.beside_W,
        }


def tile_power(report: Report, outline: Outline) -> TilePower:
    """Each tile's share of the energy per inference, over the time from one inference to the next.

    Tiles leak alike. What a layer's events cost goes to its tiles by the cores that it has there, copies alike; that of
    digital work between layers to the tiles where the rows are made that it is done on; clocks of parts that nobody
    uses by the free cores. Powers add up to `Report.power_W`. Raises DataError for the report of another network.
    """
    names, found = {layer.name for layer in outline.layers}, {e.layer for e in report.ledger} - {HOST, UNUSED}
    if not found <= names:
        raise DataError(f"report: must be of {outline.network}, got one with layers {', '.join(sorted(found - names))}")
    n_tiles = outline.n_chips * outline.chip.chip.tiles
    cores = _cores(outline, n_tiles)
    rows: dict[tuple[str, str], LedgerRow] = {(row.level, row.part): row for row in outline.chip.ledger()}
    power_W, beside_W, rate = np.zeros(n_tiles), 0.0, report.throughput_per_s
    for entry in report.ledger:
        if entry.level == "chip":
            beside_W += entry.energy_J * rate
            continue
        if entry.layer == HOST:
            share = _digital_share(rows[entry.level, entry.part], outline, n_tiles)
        else:
            share = cores[entry.layer] / max(1, cores[entry.layer].sum())
        spent_W = (entry.dynamic_J + entry.clock_J) * rate
        power_W += entry.leakage_J * rate / n_tiles + spent_W * share
        beside_W += spent_W * (1 - share.sum())
    used = sum(cores[name] for name in names)
    return TilePower(
        power_W, np.asarray(used) / outline.chip.tile.cores, outline.chip.total("tile").area_m2, float(beside_W)
    )


def _cores(outline: Outline, n_tiles: int) -> dict[str, Floats]:
    """{layer, or UNUSED: cores in each tile, [tile]}."""
    per_tile = outline.chip.tile.cores
    found = {}
    for layer in outline.layers:
        held = np.arange(layer.first_core, layer.first_core + layer.n_replicas * layer.cores) // per_tile
        found[layer.name] = np.bincount(held, minlength=n_tiles).astype(np.float64)
    return {**found, UNUSED: per_tile - np.sum(list(found.values()), axis=0)}


def _digital_share(row: LedgerRow, outline: Outline, n_tiles: int) -> Floats:
    """What each tile has of the digital work that a part does between the layers, [tile]; the rest is done at the edge
    of the chip."""
    prices: dict[str, float] = dict(row.energies)
    share, total = np.zeros(n_tiles), 0.0
    for stream in outline.flow.streams:
        work = sum(n * prices.get(event, 0.0) for event, n in stream.ops.items())
        made = makers(outline, stream)
        total += work
        for tile, n in made.items():
            if tile != OUTSIDE:
                share[tile] += work * n / sum(made.values())
    return share / total if total > 0 else share
