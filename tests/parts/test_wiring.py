"""Ways between tiles: by hand, and against a breadth-first search over the links that are drawn."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from math import isqrt, sqrt

import pytest
from close import approx
from hypothesis import given, settings
from hypothesis import strategies as st

from xbar.parts.wiring import BusWiring, MeshWiring, Position, TreeWiring, Wiring

WIRINGS = st.one_of(
    st.builds(MeshWiring, st.integers(1, 40), st.integers(1, 5)), st.builds(TreeWiring, st.integers(1, 70))
)
ANY = st.one_of(WIRINGS, st.builds(BusWiring, st.integers(1, 40)))


def start(wiring: Wiring, tile: int) -> Position | None:
    """Where ways from a tile start; None where all tiles are at one place."""
    ways = [wiring.route(tile, other) for other in range(wiring.n_tiles)]
    found = {wiring.ends(way[0])[0] for way in ways if way}
    assert len(found) <= 1
    return found.pop() if found else None


def distances(wiring: Wiring, origin: Position) -> dict[Position, int]:
    """Links from a place to every other, over any links."""
    onwards: dict[Position, list[Position]] = {}
    for link in range(wiring.n_links):
        a, b = wiring.ends(link)
        onwards.setdefault(a, []).append(b)
    found, waiting = {origin: 0}, deque([origin])
    while waiting:
        here = waiting.popleft()
        for there in onwards[here]:
            if there not in found:
                found[there] = found[here] + 1
                waiting.append(there)
    return found


@settings(max_examples=60, deadline=None)
@given(WIRINGS, st.data())
def test_ways_join_end_to_end_and_none_is_shorter(wiring: Wiring, data: st.DataObject):
    source, target = (data.draw(st.integers(0, wiring.n_tiles - 1)) for _ in range(2))
    way = wiring.route(source, target)
    assert len(set(way)) == len(way)
    if not way:
        assert source == target or start(wiring, source) == start(wiring, target)
        return
    ends = [wiring.ends(link) for link in way]
    assert all(first[1] == second[0] for first, second in pairwise(ends))
    assert (ends[0][0], ends[-1][1]) == (start(wiring, source), start(wiring, target))
    assert distances(wiring, ends[0][0])[ends[-1][1]] == len(way)
    labels = [wiring.label(link).split(" -> ") for link in way]
    for (_, end), (begin, _) in pairwise(labels):  # "tile 3 -> router 0", "router 0 -> 4"
        assert end.split()[-1] == begin.split()[-1]


@settings(max_examples=60, deadline=None)
@given(ANY, st.data())
def test_the_way_back_is_as_long(wiring: Wiring, data: st.DataObject):
    source, target = (data.draw(st.integers(0, wiring.n_tiles - 1)) for _ in range(2))
    assert wiring.hops(source, target) == wiring.hops(target, source) == len(wiring.route(source, target))
    assert wiring.length(source, target) == approx(wiring.length(target, source))
    assert wiring.route(source, source) == ()
    assert set(wiring.route(source, target)) <= set(range(wiring.n_links))


@settings(max_examples=60, deadline=None)
@given(WIRINGS)
def test_every_link_is_there_once_and_has_one_back(wiring: Wiring):
    ends = [wiring.ends(link) for link in range(wiring.n_links)]
    assert len(set(ends)) == len(ends)
    assert {(b, a) for a, b in ends} == set(ends)
    assert len({wiring.label(link) for link in range(wiring.n_links)}) == wiring.n_links


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.data())
def test_a_mesh_of_single_tiles_is_as_far_as_its_rows_and_columns(n_tiles: int, data: st.DataObject):
    a, b = (data.draw(st.integers(0, n_tiles - 1)) for _ in range(2))
    side = next(n for n in range(1, 21) if n * n >= n_tiles)
    wanted = abs(a // side - b // side) + abs(a % side - b % side)
    assert MeshWiring(n_tiles).hops(a, b) == MeshWiring(n_tiles).length(a, b) == wanted


@settings(max_examples=60, deadline=None)
@given(ANY)
def test_tiles_have_places_of_their_own_at_their_routers(wiring: Wiring):
    places = [wiring.position(tile) for tile in range(wiring.n_tiles)]
    assert len(set(places)) == len(places)
    reach = sqrt(wiring.concentration) / 2 if isinstance(wiring, MeshWiring) else 0
    for tile, (x, y) in enumerate(places):
        router = start(wiring, tile) if not isinstance(wiring, BusWiring) else (tile, 0)
        if router is not None:
            assert max(abs(x - router[0]), abs(y - router[1])) <= reach


def test_four_tiles_stand_around_their_router():
    """Router 1 of 3 is at (2, 0), in the middle of tiles 4 to 7."""
    assert [MeshWiring(10, 4).position(tile) for tile in range(4, 8)] == [
        (1.5, -0.5), (2.5, -0.5), (1.5, 0.5), (2.5, 0.5),
    ]  # fmt: skip
    assert MeshWiring(9).position(5) == (2, 1)
    assert TreeWiring(21).position(3) == (1, 1)


def test_a_mesh_by_hand():
    """168 tiles lie on 13 x 13: tile 14 is one row and one column from tile 0."""
    mesh = MeshWiring(168)
    assert (mesh.side, mesh.n_links) == (13, 2 * 2 * 13 * 12)
    assert (mesh.hops(0, 14), mesh.hops(12, 0), mesh.hops(5, 5)) == (2, 12, 0)
    assert [mesh.label(link) for link in mesh.route(27, 14)] == ["tile 27 -> 14"]
    small = MeshWiring(9)
    assert [small.label(link) for link in small.route(2, 6)] == [
        "tile 2 -> 1",
        "tile 1 -> 0",
        "tile 0 -> 3",
        "tile 3 -> 6",
    ]
    assert [small.ends(link) for link in small.route(3, 5)] == [((0, 1), (1, 1)), ((1, 1), (2, 1))]


def test_tiles_that_share_a_router():
    """10 tiles at 3 routers of 4 on a mesh of 2 x 2: router 1 is at (2, 0) in tile pitches, router 2 at (0, 2).

    The fourth place holds no tile; bits from router 2 to 1 go through it, along x first.
    """
    mesh = MeshWiring(10, 4)
    assert (mesh.side, mesh.n_links) == (2, 8)
    assert mesh.route(4, 7) == ()
    assert [mesh.label(link) for link in mesh.route(8, 5)] == ["router 2 -> 3", "router 3 -> 1"]
    assert [mesh.ends(link) for link in mesh.route(8, 5)] == [((0, 2), (2, 2)), ((2, 2), (2, 0))]
    assert mesh.length(8, 5) == 4
    assert MeshWiring(5).label(MeshWiring(5).route(4, 2)[0]) == "router 4 -> 5"  # there is no tile 5


def test_a_tree_by_hand():
    """21 tiles: 6 + 2 + 1 inner nodes. Tile 3 is the last of the first four, so at (1, 1), tile 16 starts at (4, 0)."""
    tree = TreeWiring(21)
    assert (tree.n_routers, tree.n_links) == (9, 2 * (21 + 6 + 2))
    assert [tree.label(link) for link in tree.route(3, 20)] == [
        "tile 3 -> router 0",
        "router 0 -> 6",
        "router 6 -> 8",
        "router 8 -> 7",
        "router 7 -> 5",
        "router 5 -> tile 20",
    ]
    assert tree.ends(tree.route(3, 0)[0]) == ((1, 1), (0.5, 0.5))
    assert tree.ends(tree.route(16, 0)[0])[0] == (4, 0)
    assert tree.length(3, 0) == 1 + 1
    assert tree.length(0, 20) == 2 * (1 + 2 + 4)
    assert (TreeWiring(1).n_links, TreeWiring(4).n_routers, TreeWiring(5).n_routers) == (0, 1, 3)


@pytest.mark.parametrize("n_tiles", [4, 16, 64])
def test_a_full_tree_fills_the_square(n_tiles: int):
    places = {start(TreeWiring(n_tiles), tile) for tile in range(n_tiles)}
    assert places == {(x, y) for x in range(isqrt(n_tiles)) for y in range(isqrt(n_tiles))}


def test_a_bus_is_one_link_for_all():
    bus = BusWiring(5)
    assert bus.n_links == 1
    assert bus.route(0, 1) == bus.route(4, 2) == (0,)
    assert (bus.label(0), bus.ends(0), bus.length(0, 1)) == ("bus", ((0, 0), (4, 0)), 4)


@pytest.mark.parametrize("wiring", [MeshWiring(5), TreeWiring(5), BusWiring(5)])
@pytest.mark.parametrize("pair", [(0, 5), (-1, 0), (7, 7)])
def test_tiles_that_are_not_there_are_refused(wiring: Wiring, pair: tuple[int, int]):
    with pytest.raises(ValueError, match="tiles must be from 0 to 4, got"):
        wiring.route(*pair)
