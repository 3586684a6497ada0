"""Which rows of a stream the elements of a tensor are computed from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf, prod

import torch
from torch import Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Spans:
    """Rows `first` to `last` (inclusive) of a stream that each element of a tensor of this shape is computed from.

    first, last: float32 (rows are exact up to 2^24), with the axes of `shape`, of size 1 along an axis where nothing
    changes. An element that needs no row has inf and -inf. In float, since torch pads, shuffles and compares those.
    """

    first: Tensor
    last: Tensor
    shape: Shape

    @property
    def full(self) -> tuple[Tensor, Tensor]:
        """`first` and `last` as tensors of the shape itself (without the memory)."""
        return self.first.expand(self.shape), self.last.expand(self.shape)

    @property
    def needed(self) -> int:
        """Elements that are computed from a row at all."""
        n = self.first.numel()
        return int((self.last >= 0).sum()) * (prod(self.shape) // n) if n else 0

    @property
    def varying(self) -> tuple[int, ...]:
        """Axes along which the rows change, where there are any."""
        none, found = self.last < 0, []
        for axis in (axis for axis, size in enumerate(self.first.shape) if size > 1):
            same_first = self.first == self.first.amin(axis, True)
            same_last = self.last == self.last.amax(axis, True)
            if not bool(((same_first & same_last) | none).all()):
                found.append(axis)
        return tuple(found)


def spread(first: float, last: float, shape: Sequence[int]) -> Spans:
    """The same rows for every element."""
    ones = [1] * len(shape)
    return Spans(torch.full(ones, first), torch.full(ones, last), tuple(shape))


def nothing(shape: Sequence[int]) -> Spans:
    """No rows."""
    return spread(inf, -inf, shape)


def packed(first: Tensor, last: Tensor, shape: Shape | None = None) -> Spans:
    """The spans of these tensors, cut to size 1 along every axis where nothing changes."""
    shape = tuple(first.shape) if shape is None else shape
    still = [first.stride(axis) == last.stride(axis) == 0 for axis in range(first.dim())]
    for axis in sorted(range(first.dim()), key=lambda axis: not still[axis]):
        if first.shape[axis] > 1:
            heads = first.narrow(axis, 0, 1), last.narrow(axis, 0, 1)
            if still[axis] or (bool((first == heads[0]).all()) and bool((last == heads[1]).all())):
                first, last = heads
    return Spans(first, last, shape)


def numbered(index: Tensor, shape: Sequence[int]) -> Spans:
    """Elements that are computed from one row each: `index`, of a shape that expands to `shape`."""
    return packed(index.float(), index.float(), tuple(shape))


def union(spans: Sequence[Spans], shape: Shape) -> Spans:
    """The rows of all, element by element, by the rules of broadcasting."""
    first, last = spread(inf, -inf, shape).first, spread(inf, -inf, shape).last
    for s in spans:
        first, last = torch.minimum(first, s.first), torch.maximum(last, s.last)
    return Spans(first, last, shape)


def total(spans: Sequence[Spans], shape: Sequence[int]) -> Spans:
    """All rows of all, for every element."""
    firsts = [float(s.first.min()) for s in spans if s.first.numel()]
    lasts = [float(s.last.max()) for s in spans if s.last.numel()]
    return spread(min(firsts, default=inf), max(lasts, default=-inf), shape)


def mixed(spans: Spans, axes: Sequence[int]) -> Spans:
    """Along these axes every element needs the rows of all; they have size 1 afterwards."""
    if not axes or 0 in spans.first.shape:
        return spans
    shape = tuple(1 if axis in axes else size for axis, size in enumerate(spans.shape))
    return Spans(spans.first.amin(tuple(axes), True), spans.last.amax(tuple(axes), True), shape)


def moved(spans: Spans, move: Callable[[Tensor], Tensor]) -> Spans:
    """The spans of a rearranged tensor."""
    first, last = spans.full
    return packed(move(first), move(last))


def windows(spans: Spans, axis: int, taken: Tensor) -> Spans:
    """Position o of an axis becomes the union of its positions taken[o] (int64 [out, kernel]; -1: none)."""
    shape = tuple(len(taken) if a == axis else size for a, size in enumerate(spans.shape))
    if spans.first.shape[axis] <= 1:  # all positions are alike
        return Spans(spans.first, spans.last, shape)

    def gathered(x: Tensor, none: float) -> Tensor:
        picked = x.movedim(axis, -1)[..., taken.clamp(min=0)]
        return picked.masked_fill(taken < 0, none)

    first = gathered(spans.first, inf).amin(-1).movedim(-1, axis)
    last = gathered(spans.last, -inf).amax(-1).movedim(-1, axis)
    return packed(first, last, shape)


def window_positions(size: int, out: int, kernel: int, stride: int, padding: int, dilation: int) -> Tensor:
    """Positions o * stride - padding + k * dilation for k in 0 .. kernel - 1, [out, kernel]; -1 where none exists."""
    taken = torch.arange(out)[:, None] * stride - padding + torch.arange(kernel) * dilation
    return taken.masked_fill((taken < 0) | (taken >= size), -1)


def adaptive_positions(size: int, out: int) -> Tensor:
    """Positions floor(o * size / out) .. ceil((o + 1) * size / out) - 1, [out, kernel]; -1 behind the last."""
    o = torch.arange(out)[:, None]
    start, end = o * size // out, -(-(o + 1) * size // out)
    taken = start + torch.arange(int((end - start).max()) if out else 0)
    return taken.masked_fill(taken >= end, -1)
