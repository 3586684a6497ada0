from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.partition import partition
from mapping.place import cores_needed, place


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
