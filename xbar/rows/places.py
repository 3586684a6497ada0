"""Where the rows of a stream lie in its tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, prod

import torch
from torch import Tensor

from xbar.host import output_space
from xbar.network import MatrixLayer
from xbar.rows.spans import Shape, Spans, numbered, spread


@dataclass(frozen=True)
class Rows:
    """The rows of a tensor of this shape: along `axes`, where position i (flattened) belongs to row label[i].

    label: int64; None where only the data tell how many rows there are: every row may be everywhere.
    """

    shape: Shape
    axes: tuple[int, ...]
    label: Tensor | None
    n_rows: int

    def placed(self, index: Tensor) -> Spans:
        """The spans of elements that are made of row index[r] each, where they belong to row r."""
        if self.label is None:
            return spread(float(index.min()), float(index.max()), self.shape)
        sizes = [size if axis in self.axes else 1 for axis, size in enumerate(self.shape)]
        return numbered(index[self.label].reshape(sizes), self.shape)

    @property
    def own(self) -> Spans:
        """Every element is made of its own row."""
        return self.placed(torch.arange(self.n_rows))

    def gathered(self, spans: Spans) -> tuple[Tensor, Tensor]:
        """The union over the elements of each row, [row]: first and last; inf and -inf for none."""
        others = tuple(axis for axis in range(len(spans.shape)) if axis not in self.axes)
        first, last = spans.first, spans.last
        if others:
            first, last = first.amin(others, True), last.amax(others, True)
        if self.label is None:
            return first.min().expand(self.n_rows), last.max().expand(self.n_rows)
        sizes = [size if axis in self.axes else 1 for axis, size in enumerate(self.shape)]
        return (
            first.new_full((self.n_rows,), inf).scatter_reduce(0, self.label, first.expand(sizes).flatten(), "amin"),
            last.new_full((self.n_rows,), -inf).scatter_reduce(0, self.label, last.expand(sizes).flatten(), "amax"),
        )


def layer_rows(layer: MatrixLayer, shape: Shape, batch: int) -> tuple[Rows, Rows]:
    """The rows of a layer's input of this shape, for a batch of network inputs, and those of its result."""
    if layer.conv is not None:
        space = len(shape) - len(layer.conv.kernel)
        out = (*shape[: space - 1], layer.weight.shape[0], *output_space(shape[space:], layer.conv))
        return _map_rows(shape, space, batch), _map_rows(out, space, batch)
    lead = shape[:-1]
    axes, label, n_rows = tuple(range(len(lead))), _vector_labels(lead, batch), max(1, layer.vectors_per_input)
    # where only the data tell how many vectors there are, the sizes may say something else than the layer
    known = label if len(label) > 0 and int(label.max()) + 1 == n_rows else None
    out = (*lead, layer.weight.shape[0])
    return Rows(shape, axes, known, n_rows), Rows(out, axes, known, n_rows)


def _map_rows(shape: Shape, space: int, batch: int) -> Rows:
    """[..., channel, *space]: the positions on the first space axis of each map."""
    maps, size = prod(shape[: space - 1]), shape[space]
    n_maps = -(-maps // batch)
    label = (torch.arange(maps)[:, None] % n_maps) * size + torch.arange(size)
    return Rows(shape, (*range(space - 1), space), label.flatten(), n_maps * size)


def _vector_labels(lead: Shape, batch: int) -> Tensor:
    """The number of each vector within its network input; the first axis of the batch's size is the batch."""
    if batch > 1 and batch in lead:
        rest = [1 if axis == lead.index(batch) else size for axis, size in enumerate(lead)]
        return torch.arange(prod(rest)).reshape(rest).expand(lead).flatten()
    return _shared_out(prod(lead), batch)


def _shared_out(n: int, batch: int) -> Tensor:
    """The row of each of n positions of a whole batch in one axis, of which nothing tells where the batch is in it."""
    return torch.arange(n) * -(-n // batch) // max(n, 1)


def join_rows(spans: Sequence[Spans], shape: Shape, batch: int) -> Rows:
    """The rows of a join's result: along the axes where the rows of all change that change at all, else as usual."""
    changing = [set(s.varying) for s in spans if s.varying]
    shared = set.intersection(*changing) if changing else set()
    usual = row_axis(shape)
    axes = tuple(sorted(shared)) if shared else () if usual is None else (usual,)
    n = prod(shape[axis] for axis in axes)
    apart = any(size == batch for axis, size in enumerate(shape) if axis not in axes)
    label = _shared_out(n, 1 if apart else batch)
    return Rows(shape, axes, label, int(label.max()) + 1 if len(label) else 1)


def single(shape: Shape) -> Rows:
    """One row of everything."""
    return Rows(shape, (), torch.zeros(1, dtype=torch.int64), 1)


def input_rows(shape: Shape, axis: int | None) -> Rows:
    """The rows of an input: along one axis, or a single one."""
    return single(shape) if axis is None else Rows(shape, (axis,), torch.arange(shape[axis]), shape[axis])


def row_axis(shape: Shape) -> int | None:
    """[batch, channel, *space]: the first space axis; [batch, vector, feature]: the vectors; else a single row."""
    return None if len(shape) < 3 else min(2, len(shape) - 2)
