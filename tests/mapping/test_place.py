from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.partition import partition
from mapping.place import cores_needed, hops, place


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 30), st.integers(0, 20), st.integers(1, 4), st.integers(1, 8), st.integers(1, 5))
def test_no_two_blocks_share_a_crossbar_and_replicas_follow(n, first_core, replicas, crossbars, cores):
    pieces = partition(1, 1, n, 1, 1, 8, interleaved=True, shared_rows=False)
    blocks, others = place(pieces, first_core, replicas, crossbars, cores)
    places = {(b.tile, b.core, b.crossbar) for b in blocks}
    assert len(places) == len(blocks) == n
    assert all(b.core < cores and b.crossbar < crossbars for b in blocks)
    assert (blocks[0].tile * cores + blocks[0].core, blocks[0].crossbar) == (first_core, 0)
    size = cores_needed(n, crossbars)
    for r, tiles in enumerate(others, start=1):
        expected = {(first_core + r * size + k) // cores for k in range(size)}
        assert set(tiles) == expected
    assert len(others) == replicas - 1


def test_hops_on_a_square_mesh():
    """168 tiles lie on 13 x 13: tile 14 is one row and one column from tile 0."""
    assert hops(0, 14, 168) == 2
    assert hops(12, 0, 168) == 12
    assert hops(5, 5, 168) == 0
    assert hops(0, 3, 4) == 2
    assert hops(0, 0, 1) == 0
