"""How many spikes each link of a mesh carries: routing goes along x first, then along y."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xbar.same import same_fields
from xbar.spiking.program import SpikingProgram
from xbar.spiking.result import SpikeActivity


@dataclass(frozen=True, eq=False)
class LinkLoads:
    """Spikes over the links of the mesh in both directions, over all ticks and inputs.

    along_x: int64 [row, col - 1], between the cores at x = col and col + 1; along_y: int64 [row - 1, col].
    Together they are the hops of all spikes.
    """

    along_x: np.ndarray
    along_y: np.ndarray

    @property
    def most(self) -> int:
        """Of the busiest link."""
        return int(max(self.along_x.max(initial=0), self.along_y.max(initial=0)))

    @property
    def hops(self) -> int:
        return int(self.along_x.sum() + self.along_y.sum())

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)


def link_loads(program: SpikingProgram, activity: SpikeActivity) -> LinkLoads:
    """What the spikes of `activity` mean for the links; a spike goes along x in its own row, then along y."""
    core, neuron = np.nonzero((activity.spikes > 0) & (program.targets.core >= 0))
    n_spikes = activity.spikes[core, neuron]
    (x0, y0), (x1, y1) = program.place[core].T, program.place[program.targets.core[core, neuron]].T
    cols, rows = program.chip.cols, program.chip.rows
    along_x = _carried((rows, cols), y0, x0, x1, n_spikes)
    along_y = _carried((cols, rows), x1, y0, y1, n_spikes)
    return LinkLoads(along_x, along_y.T)


def _carried(shape: tuple[int, int], line: np.ndarray, a: np.ndarray, b: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Spikes over the links between neighbours in lines [line, place - 1], where n of them go from a to b in a line."""
    steps = np.zeros(shape, np.int64)
    np.add.at(steps, (line, np.minimum(a, b)), n)
    np.add.at(steps, (line, np.maximum(a, b)), -n)
    return np.cumsum(steps, axis=1)[:, :-1]
