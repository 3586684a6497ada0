"""The chip of tests/small.py with a buffer, wires and digital units whose times are whole cycles of 100 ns."""

from __future__ import annotations

from typing import Any

from flow_networks import SHAPES, flow_network
from hypothesis import strategies as st
from small import CHIP, small_chip

import mapping
from xbar.cost.buffers import smallest_bytes
from xbar.cost.stations import stations
from xbar.hardware import Chip
from xbar.outline import Outline
from xbar.parts.wiring import TreeWiring

CYCLE_S = 100e-9
assert CHIP["crossbar"]["read_time_s"] == CYCLE_S


def part(kind: str, per_cycle: float, **settings: Any) -> dict[str, Any]:
    """A part that handles so many events, or bits, in a cycle."""
    named = {"kind": "buffer"} if kind == "buffer" else {"event": kind}
    return {**named, "area_m2": 0, "energy_J": 0, "rate_Hz": per_cycle / CYCLE_S, **settings}


def timed_chip(capacity_bytes: int, tiles: int, parts: dict[str, Any], **changes: Any) -> Chip:
    """A crossbar read takes a cycle, so does a shift-and-add; a core has 4 converters of half a cycle; one core a tile.

    Links pass a flit of 4 bits per cycle, those to the outside 64 bits; the buffer has one port for a word of 16 bits
    per cycle. parts: of a tile, beside its buffer. changes: as of `small_chip`.
    """
    router = {"kind": "mesh", "ports": 5, "count": tiles, "flit_bits": 4, "clock_Hz": 10e6, "area_m2": 0, "power_W": 0}
    buffer = part("buffer", 16, word_bits=16, ports=1, capacity_bytes=capacity_bytes)
    sections = {
        "cycle_s": CYCLE_S,
        "tile__cores": 1,
        "chip__tiles": tiles,
        "tile__parts": {"buffer": buffer, **parts},
        "chip__parts": {"router": router, "link": part("offchip_bits", 64)},
    }
    return small_chip(**sections | changes)


def _tiles_with(router: str, tiles: int, clock_Hz: float, flit_bits: int) -> dict[str, Any]:
    counts = {"mesh": tiles, "htree": max(1, TreeWiring(tiles).n_routers), "bus": 1}
    ports = {} if router == "bus" else {"ports": 8}
    made = {"kind": router, "count": counts[router], "flit_bits": flit_bits, "clock_Hz": clock_Hz, **ports}
    return {**made, "area_m2": 1e-8, "power_W": 1e-3}


@st.composite
def outlines(draw: st.DrawFn, limited: bool = True) -> Outline:
    """A network of tests/flow_networks.py on a chip of random sizes, rates and wires, often with copies and over
    several chips. limited: buffers have a size, enough for the network and not much more."""
    name, tiles = draw(st.sampled_from(list(SHAPES))), draw(st.integers(1, 12))
    clock_Hz, flit_bits = draw(st.sampled_from([1e7, 1e8, 1e9])), draw(st.sampled_from([1, 4, 32]))
    parts = {
        event: part(event, draw(st.sampled_from([1, 4, 50])), leakage_W=1e-3)
        for event in ("bus_bits", "tile_adds", "activation_ops", "pooling_ops", "digital_ops")
        if draw(st.booleans())
    }
    buffer = part("buffer", draw(st.sampled_from([8, 64])), word_bits=1, ports=draw(st.integers(1, 3)))
    link = part("offchip_bits", draw(st.sampled_from([16, 1000])))
    routers = draw(st.sampled_from(["mesh", "htree", "bus", ""]))
    changes = {
        "crossbar__rows": draw(st.sampled_from([4, 8, 20])),
        "crossbar__cols": draw(st.sampled_from([8, 12])),
        "core__crossbars": draw(st.integers(1, 4)),
        "core__adcs": draw(st.integers(1, 4)),
        "tile__cores": draw(st.integers(1, 4)),
        "chip__tiles": tiles,
        "dac__bits": draw(st.sampled_from([1, 2])),
        "chip__parts": {
            "link": link,
            **({"router": _tiles_with(routers, tiles, clock_Hz, flit_bits)} if routers else {}),
        },
    }
    if draw(st.booleans()):
        changes["cycle_s"] = draw(st.sampled_from([30e-9, 100e-9]))

    def made(capacity_bytes: int, budget: int | None) -> Outline:
        sized = {"buffer": {**buffer, "capacity_bytes": capacity_bytes}}
        chip = small_chip(**changes, tile__parts={**parts, **sized})
        return mapping.outline(flow_network(name), chip, budget, n_chips=None)

    budget = made(10**9, None).n_tiles_used + draw(st.integers(0, 40)) if draw(st.booleans()) else None
    roomy = made(10**9, budget)
    if not limited:
        return roomy
    found = stations(roomy)
    return made(smallest_bytes(roomy, found.inboxes, found.streams) + draw(st.sampled_from([0, 1, 5, 100])), budget)
