"""What goes from tile to tile: hand-sized networks, and what holds for all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from flow_networks import SHAPES, flow_network
from hypothesis import given, settings
from hypothesis import strategies as st
from small import CHIP, random_weights, small_chip, small_network
from torch import nn

import mapping
import xbar
from xbar.hardware import Chip
from xbar.outline import Outline, outline
from xbar.parts.wiring import TreeWiring
from xbar.traffic import OUTSIDE, Flow, Links, connections, edge_flows, link_bits, makers, split, takers, unit_bits

LINK = CHIP["chip"]["parts"]["link"]
ROUTER = {"flit_bits": 8, "clock_Hz": 1e9, "area_m2": 0, "power_W": 0}


def one_crossbar_tiles(tiles: int, router: dict[str, Any] | None = None) -> Chip:
    """A crossbar to a core, a core to a tile."""
    parts = {"link": LINK, **({"router": {**ROUTER, **router}} if router else {})}
    return small_chip(core__crossbars=1, tile__cores=1, chip__tiles=tiles, chip__parts=parts)


def residual() -> Outline:
    """8 -> 8 -> 8 (+ 8) -> 3 on a mesh of 3 x 3 tiles: fc1 in tiles 0 and 1 (4 columns each), fc2 in 2 and 3, fc3 in
    4."""
    return mapping.outline(flow_network("vectors"), one_crossbar_tiles(9))


def test_who_has_and_who_needs():
    made = residual()
    x, fc1, fc2, add, fc3 = made.flow.streams
    assert makers(made, x) == {OUTSIDE: 1}
    assert (makers(made, fc1), takers(made, fc1)) == ({0: 4, 1: 4}, (0, 1))
    assert (makers(made, add), takers(made, add)) == ({2: 4, 3: 4}, (2, 3)) == (makers(made, fc2), takers(made, fc2))
    assert (makers(made, fc3), takers(made, fc3)) == ({4: 3}, (4,))


def test_messages_of_a_residual_network_by_hand():
    """Rows of 8 numbers of 4 bits. Both tiles of fc2 get all of it from both tiles of fc1, one after the other; the
    skip goes to the tiles of fc2 half by half, what fc2 makes is there already; results leave from tile 4."""
    made = residual()
    _, fc1, fc2, add, fc3 = made.flow.streams
    assert edge_flows(made, fc1.edges[0], fc1) == (Flow(OUTSIDE, (0, 1), 32),)
    assert edge_flows(made, fc2.edges[0], fc2) == (Flow(0, (2, 3), 16), Flow(1, (2, 3), 16))
    assert edge_flows(made, add.edges[0], add) == (Flow(0, (2,), 16), Flow(1, (3,), 16))
    assert edge_flows(made, add.edges[1], add) == (Flow(2, (2,), 16), Flow(3, (3,), 16))
    assert edge_flows(made, fc3.edges[0], fc3) == (Flow(2, (4,), 16), Flow(3, (4,), 16))
    assert edge_flows(made, made.flow.outputs[0], None) == (Flow(4, (OUTSIDE,), 12),)


def test_link_bits_of_a_residual_network_by_hand():
    """Tiles 0 1 2 / 3 4 5 / 6 7 8, inputs arrive at tile 0.

    fc1: 32 bits 0 -> 1. fc2: 16 bits 0 -> 2 -> 3, two links and three, and 16 bits 1 -> 2 -> 3, one and three; it pays
    for the join too, 16 bits 0 -> 2 and 16 bits 1 -> 3, two links each. fc3: 16 bits 2 -> 4, two links, 16 bits 3 -> 4,
    one; and 12 bits 4 -> 0, two. 32 bits enter the chip, 12 leave it.
    """
    assert link_bits(residual()) == ((32, 16 * (5 + 4) + 16 * (2 + 2), 16 * (2 + 1) + 12 * 2), (32 + 12,))


def test_other_wirings_cross_other_links():
    """As above. A bus is one link whoever sends to whom; all tiles at one router cross none."""
    network = flow_network("vectors")
    bus = mapping.outline(network, one_crossbar_tiles(9, {"kind": "bus"}))
    assert link_bits(bus) == ((32, 16 * 4 + 16 * 2, 16 * 2 + 12), (32 + 12,))
    shared = one_crossbar_tiles(9, {"kind": "mesh", "ports": 20, "concentration": 9})
    assert link_bits(mapping.outline(network, shared)) == ((0, 0, 0), (32 + 12,))


def test_copies_get_all_vectors_and_send_their_own_results():
    """9 x 2 weights in row blocks of 8 and 1: tiles 0 and 1, the copy in tiles 2 and 3, of a mesh of 2 x 2; 2 vectors.

    Each vector of 9 x 4 bits goes 0 -> 1 -> 2 -> 3, links 0 + 1 + 2 + 1. Each copy takes one vector, for which its
    second tile sends 2 sums of 4 + 4 + 4 bits to its first, one link. Of each vector's 2 x 4 bits half is taken to lie
    in each copy: 4 of them go 2 -> 0, one link.
    """
    program = mapping.compile(small_network([np.full((2, 9), 3, np.int32)], vectors=2), one_crossbar_tiles(4), 4)
    assert program.layers[0].n_replicas == 2
    made = outline(program)
    assert program.layers[0].link_bits_per_input == 2 * 36 * 4 + 2 * 24 + 2 * 4
    assert link_bits(made) == ((program.layers[0].link_bits_per_input,), (2 * 36 + 2 * 8,))
    assert sorted(connections(made, 0)) == [(OUTSIDE, 0), (0, 1), (1, 0), (1, 2), (2, 3), (3, 2)]


def test_between_chips_both_ends_count():
    """10 -> 6 -> 3, four crossbars in tile 0, one in tile 1, a tile to a chip: 6 x 4 bits leave one, enter another."""
    program = mapping.compile(small_network(random_weights([(6, 10), (3, 6)])), small_chip(chip__tiles=1), n_chips=2)
    assert program.n_chips == 2
    assert link_bits(outline(program)) == ((0, 0), (10 * 4 + 24, 24 + 3 * 4))
    assert program.host_ops["offchip_bits"] == (10 + 3) * 4 + 2 * 24


def test_inputs_that_two_layers_need_enter_the_chip_twice():
    """8 numbers of 4 bits to each of two layers; their sum of 8 leaves."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.a(x) + self.b(x)

    made = mapping.outline(xbar.from_torch(Twice().eval(), torch.rand(2, 8)), small_chip(chip__tiles=9))
    assert made.host_ops["offchip_bits"] == (2 * 8 + 8) * 4


def test_links_of_two_chips_by_hand():
    """Meshes of 2 x 2: 8 links each, then out of and into chip 0, out of and into chip 1. Tile 5 is the second of chip
    1."""
    links = Links(small_chip(), 2)
    assert (links.n_inner, links.n) == (16, 20)
    assert (links.chip_of(3), links.chip_of(4)) == (0, 1)
    way = links.route(1, 5)
    assert [links.label(link) for link in way] == [
        "tile 1 -> 0 on chip 0",
        "link out of chip 0",
        "link into chip 1",
        "tile 0 -> 1 on chip 1",
    ]
    assert [links.ends(link) for link in way] == [((1, 0), (0, 0)), None, None, ((0, 0), (1, 0))]
    assert (links.hops(1, 5), links.length(1, 5)) == ((2, 2), 2)
    assert [links.label(link) for link in links.route(OUTSIDE, 6)] == ["link into chip 1", "tile 0 -> 2 on chip 1"]
    assert [links.label(link) for link in links.route(3, OUTSIDE)][-1] == "link out of chip 0"
    assert (links.route(2, 2), Links(small_chip(), 1).label(8)) == ((), "link out of the chip")


@given(st.integers(-1, 11), st.integers(-1, 11))
def test_hops_count_the_links_of_the_way(source, target):
    links = Links(small_chip(), 3)
    way = links.route(source, target)
    inner = sum(link < links.n_inner for link in way)
    assert links.hops(source, target) == (inner, len(way) - inner)


@given(st.integers(0, 999), st.dictionaries(st.integers(0, 9), st.integers(1, 50), min_size=1))
def test_shares_add_up_and_none_is_off_by_a_bit(bits, shares):
    parts, total = split(bits, shares), sum(shares.values())
    assert sum(parts.values()) == bits
    assert all(abs(part - bits * shares[name] / total) < 1 for name, part in parts.items())


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(list(SHAPES)),
    crossbars=st.integers(1, 3),
    cores=st.integers(1, 4),
    tiles=st.integers(2, 12),
    budget=st.one_of(st.none(), st.integers(1, 100)),
    router=st.sampled_from(["mesh", "htree", "bus"]),
)
def test_every_piece_arrives_whole_wherever_it_is_needed(name, crossbars, cores, tiles, budget, router):
    """A layer's tiles each get every bit; the tiles of a join, or the outside, get each bit once; ways join tiles."""
    counts = {"mesh": tiles, "htree": TreeWiring(tiles).n_routers, "bus": 1}
    ports = {} if router == "bus" else {"ports": 8}
    parts = {"router": {**ROUTER, **ports, "kind": router, "count": counts[router]}}
    chip = small_chip(core__crossbars=crossbars, tile__cores=cores, chip__tiles=tiles, chip__parts=parts)
    least = mapping.outline(flow_network(name), chip, n_chips=None)
    total = None if budget is None else least.n_tiles_used + budget
    made = mapping.outline(flow_network(name), chip, total, n_chips=None)
    links = Links(chip, made.n_chips)
    for stream in [*made.flow.streams, None]:
        for edge in made.flow.outputs if stream is None else stream.edges:
            arrived: dict[int, int] = {}
            for flow in edge_flows(made, edge, stream):
                assert flow.source in makers(made, made.flow.streams[edge.source])
                for source, target in zip((flow.source, *flow.targets[:-1]), flow.targets, strict=True):
                    arrived[target] = arrived.get(target, 0) + flow.bits
                    assert all(0 <= link < links.n for link in links.route(source, target))
            bits = unit_bits(made, edge, stream)
            if stream is not None and stream.kind == "layer":
                assert arrived == dict.fromkeys(takers(made, stream), bits)
            else:
                assert sum(arrived.values()) == bits
                assert set(arrived) <= ({OUTSIDE} if stream is None else set(takers(made, stream)))


@pytest.mark.parametrize("kept", [1, 2])
def test_inputs_without_a_weight_are_not_sent(kept):
    """Of 10 inputs of 4 bits the layer takes 1 or 2."""
    weights = np.zeros((3, 10), np.int32)
    weights[:, :kept] = 5
    made = outline(mapping.compile(small_network([weights]), small_chip()))
    (stream,) = (s for s in made.flow.streams if s.kind == "layer")
    assert unit_bits(made, stream.edges[0], stream) == 4 * kept
