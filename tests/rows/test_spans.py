"""Spans: windows are those of torch's pooling, packing loses nothing."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from xbar.rows.spans import (
    adaptive_positions,
    mixed,
    moved,
    nothing,
    numbered,
    packed,
    total,
    union,
    window_positions,
    windows,
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_windows_are_those_of_pooling(data: st.DataObject) -> None:
    size, kernel, stride = (data.draw(st.integers(1, 9)) for _ in range(3))
    dilation, padding = data.draw(st.integers(1, 2)), data.draw(st.integers(0, kernel // 2))
    if size + 2 * padding < dilation * (kernel - 1) + 1:
        return
    ceil = data.draw(st.booleans())
    row = torch.arange(float(size)).reshape(1, 1, size)
    last = functional.max_pool1d(row, kernel, stride, padding, dilation, ceil)
    first = -functional.max_pool1d(-row, kernel, stride, padding, dilation, ceil)
    taken = window_positions(size, last.shape[-1], kernel, stride, padding, dilation)
    found = windows(numbered(row, row.shape), 2, taken)
    assert found.shape == last.shape
    assert torch.equal(torch.cat(found.full), torch.cat([first, last]))


@given(st.integers(1, 12), st.integers(1, 12))
def test_adaptive_windows_are_those_of_torch(size: int, out: int) -> None:
    row = torch.arange(float(size)).reshape(1, 1, size)
    found = windows(numbered(row, row.shape), 2, adaptive_positions(size, out))
    assert torch.equal(found.full[1], functional.adaptive_max_pool1d(row, out))
    assert torch.equal(found.full[0], -functional.adaptive_max_pool1d(-row, out))


@given(st.lists(st.integers(0, 2), min_size=12, max_size=12), st.lists(st.booleans(), min_size=3, max_size=3))
def test_packing_keeps_every_element(values: list[int], still: list[bool]) -> None:
    x = torch.tensor(values, dtype=torch.float32).reshape(2, 3, 2)
    for axis, hold in enumerate(still):
        x = x.narrow(axis, 0, 1).expand_as(x) if hold else x
    found = packed(x, x + 1)
    assert torch.equal(found.full[0], x)
    assert torch.equal(found.full[1], x + 1)
    assert all(size == 1 for axis, size in enumerate(found.first.shape) if still[axis])
    assert set(found.varying) <= {axis for axis, hold in enumerate(still) if not hold}


def test_moves_and_mixes_by_hand() -> None:
    x = numbered(torch.arange(3).reshape(1, 3, 1), (2, 3, 4))
    assert x.first.numel() == 3
    assert x.varying == (1,)
    turned = moved(x, lambda t: t.permute(2, 1, 0).reshape(4, 6))
    assert turned.full[0][0].tolist() == [0, 0, 1, 1, 2, 2]
    both = mixed(x, [1])
    assert (both.first.tolist(), both.last.tolist(), both.shape) == ([[[0.0]]], [[[2.0]]], (2, 1, 4))
    joined = union([x, total([x], (1,))], (2, 3, 4))
    assert joined.full[0].max() == 0
    assert joined.full[1].min() == 2


def test_rows_change_only_where_there_are_rows() -> None:
    """Channels of zeros beside a map whose rows change along one axis."""
    first, last = nothing((2, 3)).full
    x = numbered(torch.arange(3)[None], (2, 3))
    padded = packed(torch.cat([x.full[0], first]), torch.cat([x.full[1], last]))
    assert padded.varying == (1,)
    assert padded.needed == 6
