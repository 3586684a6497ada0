"""What a network costs on many chips, a few milliseconds each: `estimate_grid(EstimateJob(...), grid)`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import mapping
from mapping.levels import weighed
from mapping.signs import signed_inputs
from xbar.cost import estimate
from xbar.errors import XbarError
from xbar.hardware import crossbar_document
from xbar.sweep.estimate_job import EstimateJob, network_of, simulated
from xbar.sweep.front import pareto_front
from xbar.sweep.workers import in_processes

if TYPE_CHECKING:
    import pandas as pd

AT_ONCE = 500  # points that a process does between two reports; fewer than that take less time than starting it
_FIGURES = ("energy_J", "latency_s", "used_area_m2")  # of which less is better
_NUMERIC = ("precision", "encoding", "crossbar", "device", "dac", "adc", "noise")  # what may change a network's results
Point = Mapping[str, str]


def estimate_grid(
    job: EstimateJob,
    grid: Sequence[Point],
    n_workers: int | None = None,
    on_point: Callable[[int, int], None] = lambda done, total: None,
) -> pd.DataFrame:
    """The estimate of `job` at every point of the grid: one row per point, in the order of the grid.

    Columns: the varied settings; `xbar.result.Report.metrics`; n_chips and the bottleneck; problem, "" where all went
    well. Points without the cycle model share what they have in common and take milliseconds. A point that breaks a
    rule (a chip that is too small, say) is a row with its problem and no figures.
    n_workers: processes, None for one per core where there is work for them. on_point(done, total) hears of progress.

    Raises ModelError for the model, ConfigError where the chip cannot be read.
    """
    import pandas as pd

    network_of(job.model, job.digital)
    crossbar_document(job.chip)
    step = 1 if job.with_cycles else AT_ONCE
    parts = [(job, first, grid[first : first + step]) for first in range(0, len(grid), step)]
    rows: dict[int, list[dict[str, Any]]] = {}
    on_point(0, len(grid))
    for first, done in in_processes(_points, parts, n_workers):
        rows[first] = done
        on_point(sum(map(len, rows.values())), len(grid))
    return pd.DataFrame([row for first in sorted(rows) for row in rows[first]])


def estimate_front(frame: pd.DataFrame) -> tuple[pd.Series, list[str]]:
    """Which points of a grid no other one beats in energy, latency and used area (`pareto_front`).

    Points compete where those varied settings are the same that may change what a network computes; the second value.
    """
    same = [name for name in frame.columns[: list(frame.columns).index("problem")] if name.split(".")[0] in _NUMERIC]
    return pareto_front(frame, _FIGURES, within=same), same


def _points(job: EstimateJob, first: int, grid: Sequence[Point]) -> tuple[int, list[dict[str, Any]]]:
    """The rows of some points, of which the first has this number."""
    network, _ = network_of(job.model, job.digital)
    signed = signed_inputs(network)
    document = crossbar_document(job.chip)
    known: dict[Any, Any] = {}
    rows = []
    for point in grid:
        row: dict[str, Any] = {**point, "problem": ""}
        try:
            chip = replace(job, settings={**job.settings, **point}).chip_of(document)
            sketch = mapping.outline(network, chip, job.tile_budget, n_chips=job.n_chips, signed=signed)
            sketch = weighed(sketch, network, known=known)
            report = estimate(sketch, cycles=simulated(sketch, job.n_inputs) if job.with_cycles else None)
            row |= {**report.metrics(), "n_chips": sketch.n_chips, "bottleneck": report.bottleneck}
        except XbarError as error:
            row["problem"] = "; ".join(error.problems)
        rows.append(row)
    return first, rows
