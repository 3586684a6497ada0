"""Small networks on small chips as tables of the cycle model, and random changes of their numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from models import Sequence1d
from small import small_chip
from torch import Tensor, nn

import mapping
import xbar
from xbar.cost.stations import Stations, stations
from xbar.kernels.cycle_tables import NO_LIMIT, T
from xbar.kernels.packed import Packed


class Plain(nn.Module):
    """A strided, a padded and pooled convolution, then linear layers; input [2, 9, 9]."""

    def __init__(self) -> None:
        super().__init__()
        self.strided, self.padded = nn.Conv2d(2, 6, 3, 2), nn.Conv2d(6, 5, 3, padding=1)
        self.hidden, self.out = nn.Linear(20, 12), nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.padded(torch.relu(self.strided(x))))
        return self.out(torch.relu(self.hidden(nn.functional.max_pool2d(x, 2).flatten(1))))


class Residual(nn.Module):
    """Two joins, one with a projection and a stride; input [2, 8, 6]."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.third, self.fourth = nn.Conv2d(4, 4, 5, padding=2), nn.Conv2d(4, 8, 3, 2, 1)
        self.down, self.out = nn.Conv2d(4, 8, 1, 2), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        x = torch.relu(x + self.third(torch.relu(self.second(x))))
        x = torch.relu(self.down(x) + self.fourth(x))
        return self.out(x.mean((2, 3)))


class TwoEnds(nn.Module):
    """Two inputs, two results, and an input that goes to two layers; inputs [6, 5] and [6, 9]."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c, self.d = nn.Linear(5, 8), nn.Linear(9, 8), nn.Linear(8, 4), nn.Linear(9, 12)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.c(torch.relu(self.a(x) + self.b(y))), torch.sigmoid(self.d(y))


class Gated(nn.Module):
    """A map times one number for each image: a join some of whose tiles need nothing of an edge; input [3, 4, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.gate, self.out = nn.Conv2d(3, 96, 1), nn.Linear(3, 1), nn.Conv2d(96, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = torch.sigmoid(self.gate(x.mean((2, 3))))[:, :, None, None]
        return self.out(gate * self.body(x))


class Attention(nn.Module):
    """Whole maps are needed at once; input [5, 8]."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(8, n) for n in (6, 6, 8, 4))

    def forward(self, x: Tensor) -> Tensor:
        shares = torch.softmax(self.query(x) @ self.key(x).transpose(1, 2), -1)
        return self.out(x + shares @ self.value(x))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]] = {
    "tokens": (lambda: nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 10)), ((9, 12),)),
    "plain": (Plain, ((2, 9, 9),)),
    "residual": (Residual, ((2, 8, 6),)),
    "two ends": (TwoEnds, ((6, 5), (6, 9))),
    "gated": (Gated, ((3, 4, 4),)),
    "attention": (Attention, ((5, 8),)),
    "sequence": (Sequence1d, ((3, 12),)),
}


def _part(event: str, rate_Hz: float, **settings: Any) -> dict[str, Any]:
    return {"event": event, "area_m2": 0, "energy_J": 0, "rate_Hz": rate_Hz, **settings}


def _router(kind: str, tiles: int, **settings: Any) -> dict[str, Any]:
    ports = {"bus": {}, "htree": {"ports": 5}, "mesh": {"ports": 5}}[kind]
    price = {"area_m2": 0, "power_W": 0}
    return {"kind": kind, "count": tiles, "flit_bits": 8, "clock_Hz": 50e6, **ports, **price, **settings}


def _chip(tiles: int, router: dict[str, Any] | None, ports: int = 1, capacity_bytes: int = 4096, **changes: Any) -> Any:
    """A chip where everything takes its time."""
    buffer = _part("", 1e9, kind="buffer", word_bits=16, ports=ports, capacity_bytes=capacity_bytes)
    del buffer["event"]
    parts = {
        "buffer": buffer,
        "bus": _part("bus_bits", 5e8),
        "adder": _part("tile_adds", 1e9),
        "activation": _part("activation_ops", 3e8),
        "pooling": _part("pooling_ops", 3e8),
        "ALU": _part("digital_ops", 2e8),
    }
    outside = {"link": _part("offchip_bits", 1e9)}
    return small_chip(
        tile__parts=parts, chip__tiles=tiles, chip__parts=outside | ({"router": router} if router else {}), **changes
    )


CHIPS: dict[str, Callable[[], Any]] = {
    "no time but reads": lambda: small_chip(chip__tiles=64),
    "no router": lambda: _chip(64, None, ports=2),
    "mesh": lambda: _chip(64, _router("mesh", 64), cycle_s=100e-9),
    "shared mesh": lambda: _chip(64, _router("mesh", 16, concentration=4, ports=8), ports=3, capacity_bytes=512),
    "htree": lambda: _chip(64, _router("htree", 21), capacity_bytes=1024, cycle_s=20e-9),
    "bus": lambda: _chip(64, _router("bus", 1), ports=2),
    "chips of six tiles": lambda: _chip(6, _router("mesh", 6), capacity_bytes=512),
}


@cache
def network(name: str) -> Any:
    kind, shapes = NETWORKS[name]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return xbar.from_torch(kind().eval(), tuple(torch.rand(2, *shape) for shape in shapes))


@cache
def made(name: str, chip: str, copies: bool = False) -> Stations:
    """The tables of a network on a chip; `copies`: of its layers, as many as find a place."""
    built, net = CHIPS[chip](), network(name)
    cores = mapping.outline(net, built, n_chips=None).n_tiles_used
    return stations(mapping.outline(net, built, 3 * cores if copies else None, n_chips=None))


TIMES = (
    T.lane_port_fs,
    T.lane_bus_fs,
    T.lane_read_fs,
    T.lane_convert_fs,
    T.lane_add_fs,
    T.lane_sums_fs,
    T.home_fs,
    T.site_fs,
    T.link_flit_fs,
    T.tile_word_fs,
)
_TOPS = (0, 1, 3, 50, 10_000)  # small times bring events that are at the same time


def changed(tables: Packed, rng: np.random.Generator, slots: bool = True) -> Packed:
    """Other times, pulses, flits, words, ports, units that are one part, room for rows, and (`slots`) room for units,
    from a window on."""

    def ints(name: T, low: int, high: int) -> Any:
        return rng.integers(low, high + 1, tables[name].shape)

    changes: dict[T, Any] = {}
    for name in TIMES:
        some = rng.random(tables[name].shape) < rng.choice([0.2, 0.9, 1])
        changes[name] = ints(name, 0, int(rng.choice(_TOPS))) * some
    changes[T.cycle_fs] = int(rng.choice([0, 0, 1, 7, 1000]))
    changes[T.unit_server] = np.array([(0, 1, 2, 3), (0, 1, 0, 0), (0, 1, 2, 1), (0, 0, 0, 0)][rng.integers(4)])
    changes[T.lane_pulses] = ints(T.lane_pulses, 1, int(rng.choice([1, 4])))
    changes[T.link_flit_bits] = ints(T.link_flit_bits, 1, int(rng.choice([1, 8, 64])))
    changes[T.tile_word_bits] = ints(T.tile_word_bits, 1, int(rng.choice([1, 32])))
    changes[T.tile_ports] = ints(T.tile_ports, 1, int(rng.choice([1, 3])))
    changes[T.stream_staging] = tables[T.stream_staging] + ints(T.stream_staging, 0, int(rng.choice([0, 3])))
    if slots:
        most = windows(tables) + ints(T.inbox_slots, 0, int(rng.choice([0, 1, 5])))
        never_full = rng.random(most.shape) < rng.choice([0, 0.5, 1])
        changes[T.inbox_slots] = np.where(never_full | (tables[T.inbox_slots] == NO_LIMIT), NO_LIMIT, most)
    return tables.replaced(changes)


def windows(tables: Packed) -> Any:
    """The most units that each inbox has to hold for a row of its site."""
    ptr = tables[T.need_ptr]
    spans = tables[T.need_last] - tables[T.need_first] + 1
    return np.array([max(1, *spans[a:b]) for a, b in pairwise(ptr.tolist())])
