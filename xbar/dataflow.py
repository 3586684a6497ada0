"""The dataflow of a network at the grain of rows: who makes rows, who needs which. Describes, never computes.

A row is the smallest part of a result that moves by itself: in a convolution's result [batch, channel, *space] a
position on the first space axis (of each map, where one network input is several maps), in a linear layer's
[batch, ..., feature] a vector. `xbar.rows.dataflow` finds the dataflow of a network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from xbar.same import same_fields


@dataclass(frozen=True, eq=False)
class Edge:
    """What one stream sends to a receiver for one network input: pieces, made of its rows, in the order of sending.

    A piece is what one row of the receiver's input is computed from (a row of a pooled map), sent once; where a row is
    only put together from rows of the source (a flattened map), it is one of those. Pieces that no row needs (of a 1x1
    convolution with stride 2) are not sent, and rows of the source that no piece is made of block nobody.

    source: index of the stream that sends.
    unit_elements: numbers in a piece, rounded up; 0 where the receiver only waits for the source.
    source_first, source_last: int64 [unit], the rows of the source that a piece is made of, both inclusive.
    need_first, need_last: int64 [row], the pieces that each row of the receiver needs, both inclusive; neither ever
        falls, since rows are made in order.
    """

    source: int
    n_units: int
    unit_elements: int
    source_first: np.ndarray
    source_last: np.ndarray
    need_first: np.ndarray
    need_last: np.ndarray

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)


@dataclass(frozen=True, eq=False)
class Stream:
    """Rows that are made one after another: an input of the network, a layer's result, or a join of several streams.

    name: of the layer, of the node that joins, or of the input.
    layer: index in the network's layers, None for inputs and joins.
    at: the stream whose tiles compute it: a layer itself, for a join the latest layer that it is made of, None for
        inputs and for joins of nothing else.
    rows: for one network input.
    edges: what it is made of: nothing for an input, one edge for a layer, two or more for a join.
    ops: `activation_ops`, `pooling_ops` and `digital_ops` for one network input, done on its rows before they are sent.
    """

    name: str
    kind: Literal["input", "layer", "join"]
    layer: int | None
    at: int | None
    rows: int
    edges: tuple[Edge, ...]
    ops: dict[str, int]

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)

    def __str__(self) -> str:
        return f"{self.kind} of {self.rows:,} row{'s' if self.rows > 1 else ''}"


@dataclass(frozen=True, eq=False, repr=False)
class Dataflow:
    """Streams in the order of the graph (sources before receivers), and what leaves the chip: an edge per result.

    The single row that `need_first` and `need_last` of an output speak of is the whole result.
    """

    streams: tuple[Stream, ...]
    outputs: tuple[Edge, ...]

    def __eq__(self, other: object) -> bool:
        return same_fields(self, other)

    def _headline(self) -> str:
        kinds = [stream.kind for stream in self.streams]
        counts = ((k, kinds.count(k)) for k in ("input", "layer", "join"))
        return f"{len(kinds)} streams: {', '.join(f'{n} {k}' + 's' * (n != 1) for k, n in counts)}"

    def __str__(self) -> str:
        lines = [self._headline()]
        for i, stream in enumerate(self.streams):
            sources = ", ".join(f"{e.source} in {e.n_units} piece{'s' * (e.n_units > 1)}" for e in stream.edges)
            lines.append(f"  {i:3}  {stream.name}: {stream}" + (f" from {sources}" if sources else ""))
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Dataflow {self._headline()}>"
