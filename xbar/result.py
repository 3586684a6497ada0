"""What comes out: event counts (`Activity`), outputs with counts (`SimResult`), and the bill (`Report`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

from xbar.events import Event as Event

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class LayerActivity:
    """Exact event counts of one matrix layer over all simulated inputs; conversions and saturations by slice."""

    name: str
    n_vectors: int
    array_reads: int
    row_pulses: int
    active_rows: int
    conversions: tuple[int, ...]  # [slice]
    saturations: tuple[int, ...]  # [slice]
    unit_conversions: int
    unit_saturations: int
    clipped_inputs: int  # activations beyond the calibrated range
    tile_adds: int
    buffer_read_bits: int
    buffer_write_bits: int
    bus_bits: int
    link_bits: int

    def __add__(self, other: LayerActivity) -> LayerActivity:
        def both(a: object, b: object) -> object:
            return tuple(x + y for x, y in zip(a, b, strict=True)) if isinstance(a, tuple) else a + b  # type: ignore[operator,arg-type]

        return replace(
            self, **{f.name: both(getattr(self, f.name), getattr(other, f.name)) for f in fields(self) if f.name != "name"}
        )

    def count(self, event: Event) -> int:
        """Number of `event`s in this layer (events of the digital host are counted in `Activity`, here 0)."""
        if event in ("conversions", "shift_adds"):
            return sum(self.conversions) + self.unit_conversions
        return int(getattr(self, event, 0))


@dataclass(frozen=True)
class Activity:
    """Event counts of a whole simulation: `n_inputs` network inputs, by layer, and the digital host's operations."""

    n_inputs: int
    layers: tuple[LayerActivity, ...]
    host: Mapping[str, int]  # activation_ops, pooling_ops, digital_ops, offchip_bits

    def __add__(self, other: Activity) -> Activity:
        return Activity(
            self.n_inputs + other.n_inputs,
            tuple(a + b for a, b in zip(self.layers, other.layers, strict=True)),
            {k: self.host[k] + other.host[k] for k in self.host},
        )


@dataclass(frozen=True, eq=False)
class SimResult:
    """Outputs of the network as simulated, and what happened on the way."""

    outputs: torch.Tensor
    activity: Activity
