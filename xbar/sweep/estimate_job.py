"""What a network costs on a chip, from its shapes and weights alone: `run_estimate(EstimateJob(...))`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

import mapping
from mapping.levels import weighed
from xbar.config import Document, validate
from xbar.cost import estimate
from xbar.cost.cycles import cycles
from xbar.cost.multiplex import Multiplexed, cells_of, multiplexed
from xbar.cost.programming import Programming, price, why_not
from xbar.cost.tiles import TilePower, tile_power
from xbar.errors import CapacityError, ModelError
from xbar.frontends.torch_module import from_torch
from xbar.hardware import Chip, crossbar_document
from xbar.network import Network
from xbar.outline import Outline
from xbar.result import Report
from xbar.scaling import scaled
from xbar.sweep.job import Stage, traced
from xbar.timing import Cycles

# the networks of xbar.demo.imagenet, and the shape of their inputs
BUILT_IN: dict[str, tuple[int, int, int]] = {
    "vgg16": (3, 224, 224),
    "resnet18": (3, 224, 224),
    "resnet50": (3, 224, 224),
    "vit_b": (3, 224, 224),
    "vgg8": (3, 32, 32),
}
_UNTRAINED = "taken for granted: cells of {} hold the weights with which its training would start"


@dataclass(frozen=True)
class EstimateJob:
    """Everything that shapes an estimate, as plain text and numbers.

    model: `demo`, one of BUILT_IN, or the path of a `.pt2` archive; settings: chip paths and their values, as in
    `--set`. technology: the node to scale the chip to, None for its own. n_chips: that the layers may be spread over,
    None for as many as they need. n_inputs: batch of the cycle model; with_cycles: whether it runs; max_trace:
    intervals of its trace to keep. turn_inputs: inputs that go through one chip between two writings of its crossbars,
    for networks that need several chips, None to leave that out.
    """

    model: str = "demo"
    chip: str = "isaac_isca_2016"
    settings: Mapping[str, str] = field(default_factory=dict)
    digital: tuple[str, ...] = ()
    technology: str | None = None
    tile_budget: int | None = None
    n_chips: int | None = None
    n_inputs: int = 4
    with_cycles: bool = True
    max_trace: int = 0
    turn_inputs: int | None = None

    def load_chip(self) -> Chip:
        """The chip with its settings, in its technology. Raises ConfigError."""
        return self.chip_of(crossbar_document(self.chip))

    def chip_of(self, document: Document) -> Chip:
        """The same, of the chip's file as it was read before."""
        chip = validate(Chip, document, dict(self.settings))
        return chip if self.technology is None else scaled(chip, self.technology)


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a network costs on a chip.

    outline: what is where; report: the bill, with the cycle model's run in it. programming: of the weights, None where
    the chip does not say how they are written. turns: the same network on one chip. notes: beside those of the report.
    """

    outline: Outline
    report: Report
    programming: Programming | None
    turns: Multiplexed | None
    notes: tuple[str, ...]

    @property
    def tiles(self) -> TilePower:
        """The power of each tile."""
        return tile_power(self.report, self.outline)

    def all_notes(self) -> tuple[str, ...]:
        """Everything that the figures leave out or take for granted."""
        written = (why_not(self.outline.chip),) if self.programming is None else self.programming.notes
        turns = () if self.turns is None else self.turns.notes
        notes = (*self.notes, *self.report.notes, *written, *turns)
        return tuple(dict.fromkeys(note for note in notes if note is not None))

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: the report with all its tables, the layers, tiles, programming, turns, the chip, notes."""
        return {
            **self.report.to_dict(),
            "n_chips": self.outline.n_chips,
            "layers": [
                {
                    "name": layer.name,
                    "groups": layer.groups,
                    "rows": layer.shape[0],
                    "cols": layer.shape[1],
                    "vectors_per_input": layer.vectors_per_input,
                    "crossbars": len(layer.pieces),
                    "copies": layer.n_replicas,
                    "first_core": layer.first_core,
                    "cores_of_a_copy": layer.cores,
                    "mean_rel": layer.mean_rel,
                }
                for layer in self.outline.layers
            ],
            "tiles": self.tiles.to_dict(),
            "programming": None if self.programming is None else self.programming.to_dict(),
            "turns": None if self.turns is None else self.turns.to_dict(),
            "chip_settings": self.outline.chip.to_dict(),
            "notes": list(self.all_notes()),
        }

    def __str__(self) -> str:
        parts = [self.report, self.report.cycles, self.programming, self.turns]
        return "\n".join([*(str(part) for part in parts if part is not None), *self.notes])


def run_estimate(job: EstimateJob, stage: Stage = lambda name: None) -> Estimate:
    """The estimate of a job; `stage` hears what is being done. Raises XbarError for anything wrong in its inputs."""
    chip = job.load_chip()
    stage("tracing the model")
    network, notes = network_of(job.model, job.digital)
    return estimate_network(
        network,
        chip,
        job.tile_budget,
        job.n_chips,
        n_inputs=job.n_inputs if job.with_cycles else None,
        max_trace=job.max_trace,
        turn_inputs=job.turn_inputs,
        stage=stage,
        notes=notes,
    )


def estimate_network(
    network: Network,
    chip: Chip,
    tile_budget: int | None = None,
    n_chips: int | None = None,
    *,
    n_inputs: int | None = 4,
    max_trace: int = 0,
    turn_inputs: int | None = None,
    stage: Stage = lambda name: None,
    notes: tuple[str, ...] = (),
) -> Estimate:
    """The cost of a network on a chip, as if half of the bits of its inputs were set; no data are needed.

    tile_budget, n_chips: see `mapping.outline`, here with as many chips as needed by default. n_inputs: batch of the
    cycle model, None to leave it out; max_trace: see `xbar.cycles`. turn_inputs: batch of `xbar.cost.multiplex`, None
    to leave it out. What cells hold comes from all weights.

    Raises CapacityError where the network does not fit, or the cycle model cannot run (see `xbar.cycles`).
    """
    stage("mapping")
    sketch = mapping.outline(network, chip, tile_budget, n_chips=n_chips)
    sketch = weighed(sketch, network, lambda name: stage(f"looking at the weights: {name}"))
    found = None
    if n_inputs is not None:
        stage("simulating cycles")
        found = simulated(sketch, n_inputs, max_trace)
    stage("estimating")
    return Estimate(
        outline=sketch,
        report=estimate(sketch, cycles=found),
        programming=price(chip, (cells_of(layer, sketch) for layer in sketch.layers)),
        turns=None if turn_inputs is None else multiplexed(sketch, turn_inputs),
        notes=(*notes, *_empty_notes(network)),
    )


def simulated(sketch: Outline, n_inputs: int, max_trace: int = 0) -> Cycles:
    """The cycle model's run of an estimate; CapacityError says how to do without."""
    try:
        return cycles(sketch, n_inputs, max_trace)
    except CapacityError as error:
        raise CapacityError(
            [f"{text}; or leave the cycle model out (--no-cycles)" for text in error.problems]
        ) from error


def network_of(model: str, digital: tuple[str, ...]) -> tuple[Network, tuple[str, ...]]:
    """The network that a job names, and what to know about it. Raises ModelError."""
    if model in BUILT_IN:
        return _built_in(model, digital), (_UNTRAINED.format(model),)
    if model != "demo" and not model.endswith(".pt2") and not Path(model).exists():
        known = ("demo", *BUILT_IN)
        near = difflib.get_close_matches(model, known, 1)
        hint = f"did you mean {near[0]}?" if near else f"the networks are {', '.join(known)}"
        raise ModelError(f"model: must be a .pt2 archive or a known network, got {model}; {hint}")
    return traced(model, digital), ()


@lru_cache(maxsize=1)
def _built_in(model: str, digital: tuple[str, ...]) -> Network:
    from xbar.demo import imagenet

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = getattr(imagenet, model)()
    return from_torch(module, torch.zeros(2, *BUILT_IN[model]), digital=digital, name=model)


def _empty_notes(network: Network) -> tuple[str, ...]:
    """Lines of the layers' matrices that hold nothing, and that `mapping.compile` would leave out."""
    rows = cols = 0
    for layer in network.layers:
        held = layer.weight.reshape(layer.groups, layer.n_cols, layer.n_rows)
        rows += int((~held.any(axis=1)).sum())
        cols += int((~held.any(axis=2)).sum())
    if not rows + cols:
        return ()
    return (f"counted as if they held weights: {rows:,} rows and {cols:,} columns of zeros, which a run leaves out",)
