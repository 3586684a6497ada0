"""Pieces and what needs them: by hand, and that no row ever waits for too little."""

from __future__ import annotations

from math import inf

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xbar.dataflow import Edge
from xbar.rows.pieces import Pieces, cut, edge, wait
from xbar.rows.places import Rows
from xbar.rows.spans import Spans, nothing, numbered, packed


def spans(first: list, last: list) -> Spans:
    return packed(torch.tensor(first, dtype=torch.float32), torch.tensor(last, dtype=torch.float32))


def rows_of(x: Spans) -> Rows:
    """The first axis holds the rows."""
    return Rows(x.shape, (0,), torch.arange(x.shape[0]), x.shape[0])


def listed(pieces: Pieces) -> list[tuple[int, int]]:
    return list(zip(pieces.first.tolist(), pieces.last.tolist(), strict=True))


def test_rows_of_one_origin_each_are_the_pieces() -> None:
    x = spans([[0, 0], [0, 0], [2, 2]], [[1, 1], [1, 1], [3, 3]])
    by_row = cut([x], 4, rows_of(x))
    assert listed(by_row) == [(0, 1), (0, 1), (2, 3)]
    assert by_row.spans[0].full[0].tolist() == [[0, 0], [1, 1], [2, 2]]
    assert listed(cut([x], 4)) == [(0, 1), (2, 3)]


def test_a_row_put_together_from_several_is_cut_by_origin() -> None:
    """A flattened map of 3 rows with 2 columns: one receiving row, a piece for each of its sources."""
    x = numbered(torch.tensor([[0, 0, 1, 1, 2, 2]]), (1, 6))
    assert listed(cut([x], 3, rows_of(x))) == [(0, 0), (1, 1), (2, 2)]


def test_what_comes_from_no_row_is_in_no_piece() -> None:
    """Like a class token before two patches."""
    x = spans([[inf], [0], [1]], [[-inf], [0], [1]])
    pieces = cut([x], 2, rows_of(x))
    assert listed(pieces) == [(0, 0), (1, 1)]
    assert pieces.spans[0].last.flatten().tolist() == [-inf, 0, 1]
    assert pieces.elements == 2
    found = edge(7, pieces, rows_of(x).gathered(pieces.spans[0]), 1)
    assert (found.source, found.n_units, found.unit_elements) == (7, 2, 1)
    assert (found.need_first.tolist(), found.need_last.tolist()) == ([0, 0, 1], [0, 0, 1])


def test_more_pieces_than_rows_are_merged_by_their_last_row() -> None:
    x = spans([0, 0, 1, 0, 1, 2], [0, 1, 1, 2, 2, 2])
    pieces = cut([x], 3)
    assert listed(pieces) == [(0, 0), (0, 1), (0, 2)]
    assert pieces.spans[0].first.tolist() == [0, 1, 1, 2, 2, 2]


def test_pieces_are_numbered_over_all_tensors_of_a_stream() -> None:
    a, b = numbered(torch.tensor([0, 2]), (2,)), numbered(torch.tensor([[1], [2]]), (2, 5))
    pieces = cut([a, b], 3)
    assert listed(pieces) == [(0, 0), (1, 1), (2, 2)]
    assert [s.first.flatten().tolist() for s in pieces.spans] == [[0, 2], [1, 2]]
    found = edge(0, pieces, (torch.tensor([0.0]), torch.tensor([2.0])), 1)
    assert found.unit_elements == 4  # 12 elements in 3 pieces


def test_pieces_that_nobody_needs_are_not_sent() -> None:
    pieces = cut([numbered(torch.arange(5), (5,))], 5)
    found = edge(0, pieces, (torch.tensor([0.0, 2, 4]), torch.tensor([0.0, 2, 4])), 1)
    assert (found.n_units, found.source_last.tolist(), found.need_last.tolist()) == (3, [0, 2, 4], [0, 1, 2])


def test_padding_alone_needs_nothing_but_a_start() -> None:
    pieces = cut([numbered(torch.arange(3), (3,))], 3)
    assert edge(2, pieces, (torch.tensor([inf, inf]), torch.tensor([-inf, -inf])), 1) == wait(2, 2)
    assert nothing((2, 3)).needed == 0


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_row_that_may_start_has_all_it_needs(data: st.DataObject) -> None:
    n_rows, rows, cols = (data.draw(st.integers(1, 5), label) for label in ("source", "receiver", "width"))
    intervals = [sorted(data.draw(st.lists(st.integers(0, n_rows - 1), min_size=2, max_size=2))) for _ in range(9)]
    chosen = [data.draw(st.sampled_from([*intervals, None])) for _ in range(rows * cols)]
    chosen[0] = intervals[0]
    ends = [(inf, -inf) if c is None else c for c in chosen]
    x = spans(*(torch.tensor([e[k] for e in ends]).reshape(rows, cols).tolist() for k in (0, 1)))
    pieces = cut([x], n_rows, data.draw(st.sampled_from([None, rows_of(x)])))
    found = edge(0, pieces, rows_of(x).gathered(pieces.spans[0]), 1)
    check(found, n_rows, rows)
    for i, c in enumerate(chosen):
        if c is not None:
            first, last = found.need_first[i // cols], found.need_last[i // cols]
            pairs = zip(found.source_first[first : last + 1], found.source_last[first : last + 1], strict=True)
            assert any(a <= c[0] and b >= c[1] for a, b in pairs)


def check(found: Edge, n_source: int, n_rows: int) -> None:
    """What holds for every edge."""
    assert found.n_units == len(found.source_first) == len(found.source_last) > 0
    assert len(found.need_first) == len(found.need_last) == n_rows
    arrays = (found.source_first, found.source_last, found.need_first, found.need_last)
    assert all(a.dtype == np.int64 and (a >= 0).all() for a in arrays)
    assert (found.source_first <= found.source_last).all()
    assert (found.source_last < n_source).all()
    assert (found.need_first <= found.need_last).all()
    assert (found.need_last < found.n_units).all()
    assert (np.diff(found.need_first) >= 0).all()
    assert (np.diff(found.need_last) >= 0).all()
    assert (np.diff(found.source_last) >= 0).all()
    assert found.unit_elements >= 0
