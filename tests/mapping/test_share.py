"""What a replica needs of the input map: by hand, and against every window of every vector."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.share import InputMap, convolution_map
from xbar.network import ConvShape

# 6 x 4 pixels of one 8-bit channel, 3 x 3 windows, padding 1: rows of 32 bits, output rows of 4 vectors
SAME = convolution_map(ConvShape((3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)), 1, [6, 4], 1, 8)


def test_runs_are_contiguous_and_cover_the_vectors():
    runs = [SAME.run(k, 5) for k in range(5)]
    assert runs == [(0, 4), (4, 9), (9, 14), (14, 19), (19, 24)]


@pytest.mark.parametrize(
    ("first", "end", "rows"),
    [(0, 8, 3), (8, 16, 4), (16, 24, 3), (0, 24, 6), (4, 9, 4), (0, 1, 2), (5, 6, 3), (5, 5, 0)],
)
def test_share_and_halo_by_hand(first, end, rows):
    """Vectors 0-7 are output rows 0 and 1, which touch input rows 0-2; 8-15 touch 1-4, 4-8 0-3; one of row 1 0-2."""
    assert SAME.bits(first, end) == rows * 32


def test_rows_between_windows_are_not_needed():
    """9 rows, windows of 1 with stride 4: output rows 0, 1 and 2 need rows 0, 4 and 8."""
    skipping = convolution_map(ConvShape((1,), (4,), ((0, 0),), (1,)), 2, [9], 1, 4)
    assert [skipping.bits(0, n) for n in (1, 2, 3)] == [8, 16, 24]


def test_a_linear_layer_needs_its_vectors():
    vectors = InputMap(7, 1, 7, 7, 1, 40)
    assert [vectors.bits(*vectors.run(k, 3)) for k in range(3)] == [80, 80, 120]


axis = st.tuples(st.integers(1, 8), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(1, 2))


@settings(max_examples=150, deadline=None)
@given(axis, axis, st.integers(1, 3), st.integers(1, 9))
def test_as_many_rows_as_the_windows_of_the_vectors_touch(rows, columns, n_maps, n_replicas):
    """Every output row of a run is taken whole: a vector's row needs what its window's rows are."""
    (height, k, stride, pad, dilation), (width, *other) = rows, columns
    k, other[0] = (
        min(k, (height + 2 * pad - 1) // dilation + 1),
        min(other[0], (width + 2 * other[2] - 1) // other[3] + 1),
    )
    conv = ConvShape((k, other[0]), (stride, other[1]), ((pad, pad), (other[2],) * 2), (dilation, other[3]))
    out_h = len(range(0, height + 2 * pad - dilation * (k - 1), stride))
    out_w = len(range(0, width + 2 * other[2] - other[3] * (other[0] - 1), other[1]))
    vectors = [(m, y) for m in range(n_maps) for y in range(out_h) for _ in range(out_w)]
    inputs = convolution_map(conv, 3, [height, width], n_maps, 2)
    assert inputs.n_vectors == len(vectors)
    edges = [inputs.run(r, n_replicas)[0] for r in range(n_replicas)] + [len(vectors)]
    for first, end in pairwise(edges):
        touched = {
            (m, y * stride - pad + i * dilation)
            for m, y in vectors[first:end]
            for i in range(k)
            if 0 <= y * stride - pad + i * dilation < height
        }
        assert inputs.bits(first, end) == len(touched) * 3 * width * 2
