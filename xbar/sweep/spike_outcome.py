"""What a spiking program gives on a batch of inputs: output spikes, accuracy, activity, the bill, and a raster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xbar.cost.links import LinkLoads, link_loads
from xbar.spiking.program import SpikingProgram
from xbar.spiking.report import SpikingReport
from xbar.spiking.result import SpikeActivity


@dataclass(frozen=True, eq=False)
class Raster:
    """Spikes of the first input: bool [tick, row], the rows of each group one after the other.

    groups: (name, rows) for the inputs, for layers of cores, for the outputs; where there are many, some of each.
    """

    spikes: np.ndarray
    groups: tuple[tuple[str, int], ...]


@dataclass(frozen=True, eq=False)
class SpikeOutcome:
    """What a run gives.

    read_from: the first tick whose output spikes count; before it none can come from an input.
    outputs: int64 [input, output], output spikes from there on. labels, accuracy: None where inputs have no labels; the
    answer is the class with the most spikes, the first of equals.
    pipelined: the bill where inputs follow each other without waiting for the one before, None where the program keeps
    something from tick to tick. notes: what of the network is approximated.
    """

    program: SpikingProgram
    source: str
    seed: int
    n_ticks: int
    read_from: int
    activity: SpikeActivity
    report: SpikingReport
    pipelined: SpikingReport | None
    outputs: np.ndarray
    labels: np.ndarray | None
    accuracy: float | None
    raster: Raster
    notes: tuple[str, ...] = ()

    @property
    def votes(self) -> np.ndarray:
        """Output spikes by class, int64 [input, class]; an output each where the program has none."""
        return votes_of(self.program, self.outputs)

    @property
    def links(self) -> LinkLoads:
        """Spikes over the links of the mesh."""
        return link_loads(self.program, self.activity)

    def cores(self) -> list[dict[str, Any]]:
        """The load of each core, the busiest first: its number, layer and place, events per tick of one input."""
        activity, program = self.activity, self.program
        each = activity.n_ticks * activity.n_batch
        hops = (activity.spikes * program.hops).sum(1)
        order = np.lexsort((-activity.spikes.sum(1), -activity.axon_events, -activity.synaptic_events))
        return [
            {
                "core": int(c),
                "layer": program.layer[c],
                "x": int(program.place[c, 0]),
                "y": int(program.place[c, 1]),
                "axon_events": float(activity.axon_events[c] / each),
                "synaptic_events": float(activity.synaptic_events[c] / each),
                "spikes": float(activity.spikes[c].sum() / each),
                "hops": float(hops[c] / each),
            }
            for c in order
        ]

    def metrics(self) -> dict[str, float]:
        """The figures of a table, SI units in the names."""
        known = {} if self.accuracy is None else {"accuracy": self.accuracy}
        return {**known, **self.report.metrics()}

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: metrics, the bill, output spikes of each input by class, the load of each core."""
        activity = self.activity
        return {
            "network": self.program.name,
            "chip": self.program.chip.to_dict(),
            "inputs": self.source,
            "n_inputs": activity.n_batch,
            "n_ticks": self.n_ticks,
            "read_from_tick": self.read_from,
            "seed": self.seed,
            "metrics": self.metrics(),
            "report": self.report.to_dict(),
            "report_pipelined": None if self.pipelined is None else self.pipelined.to_dict(),
            "busiest_link_spikes": self.links.most,
            "votes": self.votes.tolist(),
            "labels": None if self.labels is None else self.labels.tolist(),
            "cores": self.cores(),
            "notes": list(self.notes),
        }


def votes_of(program: SpikingProgram, outputs: np.ndarray) -> np.ndarray:
    """Output spikes [input, output] by class, int64 [input, class]."""
    if program.classes is None:
        return outputs
    votes = np.zeros((int(program.classes.max()) + 1, len(outputs)), np.int64)
    np.add.at(votes, program.classes, outputs.T)
    return votes.T
