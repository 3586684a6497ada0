"""Edges of the dataflow: into which pieces a stream's rows are cut, and which pieces each row of the receiver needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xbar.dataflow import Edge
from xbar.rows.places import Rows
from xbar.rows.spans import Spans, numbered

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Pieces:
    """What tensors need of one stream, cut into pieces: their rows, and which piece each element of a tensor is in.

    elements: how many come from a row at all.
    """

    first: Index
    last: Index
    spans: tuple[Spans, ...]
    elements: int


def cut(tensors: Sequence[Spans], n_rows: int, received: Rows | None = None) -> Pieces:
    """Pieces of what a stream of `n_rows` sends as `tensors`, in the order in which its rows complete them.

    received: the receiver's input rows in the (single) tensor: a row all of whose elements come from the same rows of
    the source is a piece, if every row is like that. Else elements from the same rows are one; more pieces than the
    source has rows are merged by their last row.
    """
    elements = sum(t.needed for t in tensors)
    keys = [torch.where(t.last >= 0, t.last.double() * n_rows + t.first, -1.0) for t in tensors]
    if received is not None and len(tensors) == 1 and (by_row := _one_key_per_row(keys[0], received)) is not None:
        order = torch.argsort(by_row, stable=True)
        order = order[by_row[order] >= 0]
        index = torch.full((received.n_rows,), -1.0)
        index[order] = torch.arange(len(order)).float()
        return Pieces(*_origins(by_row[order].numpy(), n_rows), (_masked(received.placed(index)),), elements)
    flat = torch.cat([key.flatten() for key in keys])
    found, inverse = (x.numpy() for x in torch.unique(flat, return_inverse=True))
    n_none = int(np.count_nonzero(found < 0))
    first, last = _origins(found[n_none:], n_rows)
    piece = inverse - n_none
    if len(first) > n_rows:
        starts = np.flatnonzero(np.diff(last, prepend=-1))
        merged = np.concatenate([np.full(n_none, -1), np.cumsum(np.diff(last, prepend=-1) > 0) - 1])
        first, last, piece = np.minimum.reduceat(first, starts), last[starts], merged[inverse]
    parts = torch.from_numpy(piece).float().split([key.numel() for key in keys])
    spans = [_masked(numbered(p.reshape(k.shape), t.shape)) for p, k, t in zip(parts, keys, tensors, strict=True)]
    return Pieces(first, last, tuple(spans), elements)


def _one_key_per_row(key: Tensor, rows: Rows) -> Tensor | None:
    """The key of each row; None if a row has several. Elements of no row do not count, a row of such has -1."""
    none = key < 0
    spans = Spans(key.masked_fill(none, torch.inf), key.masked_fill(none, -torch.inf), rows.shape)
    least, most = rows.gathered(spans)
    if rows.label is None or not bool(((least == most) | (most < 0)).all()):
        return None
    return most.clamp(min=-1)


def _origins(keys: NDArray[np.float64], n_rows: int) -> tuple[Index, Index]:
    last, first = np.divmod(keys.astype(np.int64), n_rows)
    return first, last


def _masked(index: Spans) -> Spans:
    """Where -1 stands for no piece."""
    none = index.last < 0
    return Spans(index.first.masked_fill(none, torch.inf), index.last.masked_fill(none, -torch.inf), index.shape)


def edge(source: int, pieces: Pieces, needs: tuple[Tensor, Tensor], batch: int) -> Edge:
    """The edge whose receiver's rows need pieces `needs[0]` to `needs[1]` ([row]; inf and -inf: none).

    Pieces that nobody needs are left out. A row that needs none goes with the row before it.
    """
    first, last = (x.double().numpy() for x in needs)
    some = last >= 0
    if not some.any():  # windows that hold nothing but padding
        return wait(source, len(first))
    n = len(pieces.first)
    steps = np.zeros(n + 1, np.int64)
    np.add.at(steps, first[some].astype(np.int64), 1)
    np.add.at(steps, last[some].astype(np.int64) + 1, -1)
    used = np.cumsum(steps[:n]) > 0
    place = np.cumsum(used) - 1
    until = np.zeros(len(first), np.int64)
    until[some] = place[last[some].astype(np.int64)]
    until = np.maximum.accumulate(until)
    start = until.copy()
    start[some] = place[first[some].astype(np.int64)]
    start = np.minimum.accumulate(start[::-1])[::-1].copy()
    elements = -(-pieces.elements // (n * batch))
    return Edge(source, int(used.sum()), elements, pieces.first[used], pieces.last[used], start, until)


def wait(source: int, n_rows: int) -> Edge:
    """The edge of rows that need no number at all (a state of zeros, padding): they start with the first row."""
    zero = np.zeros(1, np.int64)
    return Edge(source, 1, 0, zero, zero, np.zeros(n_rows, np.int64), np.zeros(n_rows, np.int64))
