"""How the tiles of a chip are joined: the directed links that bits cross on their way from tile to tile.

Links are numbered from 0. Positions are (x, y) in tile pitches, the side of a square tile; y grows with the row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain
from math import isqrt, sqrt
from typing import final

Position = tuple[float, float]


@dataclass(frozen=True)
class Wiring(ABC):
    """The links between `n_tiles` tiles, and the one way over them from any tile to any other."""

    n_tiles: int

    @property
    @abstractmethod
    def n_links(self) -> int:
        """Links of the chip, those that no route takes included."""

    @abstractmethod
    def label(self, link: int) -> str:
        """From where to where a link leads, in words: "tile 3 -> 4"."""

    @abstractmethod
    def ends(self, link: int) -> tuple[Position, Position]:
        """Where a link starts and where it ends."""

    @abstractmethod
    def position(self, tile: int) -> Position:
        """The middle of a tile."""

    @abstractmethod
    def way(self, source: int, target: int) -> tuple[int, ...]:
        """The links between two tiles of the chip that differ, in order: what `route` gives for them."""

    @abstractmethod
    def hops(self, source: int, target: int) -> int:
        """Links between two tiles of the chip: how many `route` gives."""

    def route(self, source: int, target: int) -> tuple[int, ...]:
        """The links that bits from tile `source` to tile `target` cross, in order; () within a tile.

        Raises ValueError for a tile that the chip does not have.
        """
        if not (0 <= source < self.n_tiles and 0 <= target < self.n_tiles):
            raise ValueError(f"tiles must be from 0 to {self.n_tiles - 1}, got {source} and {target}")
        return self.way(source, target) if source != target else ()

    def length(self, source: int, target: int) -> float:
        """Wire between two tiles in tile pitches: its links, each along x and then along y."""
        ends = map(self.ends, self.route(source, target))
        return sum(abs(x1 - x0) + abs(y1 - y0) for (x0, y0), (x1, y1) in ends)


@final
@dataclass(frozen=True)
class MeshWiring(Wiring):
    """The smallest square mesh of routers that holds the tiles, `concentration` of them at each, numbered row by row.

    Bits go along x first, then along y (XY routing: shortest, and free of deadlock), through places of the square
    that hold no tile as well. Tiles of one router reach each other inside it, without a link.
    """

    concentration: int = 1

    @cached_property
    def side(self) -> int:
        """Routers in a row, and rows."""
        return _root(-(-self.n_tiles // self.concentration))

    @property
    def n_links(self) -> int:
        return 4 * self.side * (self.side - 1)

    def label(self, link: int) -> str:
        a, b = _neighbours(self.side, link)
        name = "tile" if self.concentration == 1 and max(a, b) < self.n_tiles else "router"
        return f"{name} {a} -> {b}"

    def ends(self, link: int) -> tuple[Position, Position]:
        pitch, side = sqrt(self.concentration), self.side
        (row_a, col_a), (row_b, col_b) = (divmod(router, side) for router in _neighbours(side, link))
        return (col_a * pitch, row_a * pitch), (col_b * pitch, row_b * pitch)

    def position(self, tile: int) -> Position:
        """Tiles of a router stand around it, row by row."""
        router, place = divmod(tile, self.concentration)
        (row, col), (own_row, own_col) = divmod(router, self.side), divmod(place, per_row := _root(self.concentration))
        pitch = sqrt(self.concentration)
        x, y = (pitch * ((own + 0.5) / per_row - 0.5) for own in (own_col, own_row))
        return col * pitch + x, row * pitch + y

    def way(self, source: int, target: int) -> tuple[int, ...]:
        return _x_then_y(self.side, source // self.concentration, target // self.concentration)

    def hops(self, source: int, target: int) -> int:
        side = self.side
        row, col = divmod(source // self.concentration, side)
        last_row, last_col = divmod(target // self.concentration, side)
        return abs(row - last_row) + abs(col - last_col)


def _root(n: int) -> int:
    """The side of the smallest square that holds n."""
    return isqrt(n - 1) + 1


def _neighbours(side: int, link: int) -> tuple[int, int]:
    """The routers that a link of a mesh joins: first all links to higher columns, then to lower, higher rows, lower."""
    direction, place = divmod(link, side * (side - 1))
    if direction < 2:
        row, col = divmod(place, side - 1)
        low, high = row * side + col, row * side + col + 1
    else:
        low, high = place, place + side
    return (low, high) if direction % 2 == 0 else (high, low)


@lru_cache(maxsize=1 << 16)
def _x_then_y(side: int, source: int, target: int) -> tuple[int, ...]:
    """Links between two routers of a mesh; numbered as in `_neighbours`."""
    (row, col), (last_row, last_col) = divmod(source, side), divmod(target, side)
    n = side * (side - 1)  # links of one direction
    along_x = (n * (last_col < col) + row * (side - 1) + c for c in _steps(col, last_col))
    along_y = (n * (2 + (last_row < row)) + r * side + last_col for r in _steps(row, last_row))
    return tuple(chain(along_x, along_y))


def _steps(first: int, last: int) -> range:
    """The lower of each pair of neighbours between two places in a line, in the order of the way."""
    return range(first, last) if first <= last else range(first - 1, last - 1, -1)


@final
@dataclass(frozen=True)
class TreeWiring(Wiring):
    """An H-tree: tiles are leaves, up to four nodes share a parent, and bits go up to the first one that is common.

    Tiles follow each other along the curve that an H-tree draws (Z-order), so that tiles 4n to 4n + 3 are neighbours.
    Routers are the inner nodes, numbered from below, the root last; each but the root has a link up and a link down.
    """

    @property
    def n_routers(self) -> int:
        """Inner nodes."""
        return _first_nodes(self.n_tiles)[-1] + 1 - self.n_tiles

    @property
    def n_links(self) -> int:
        return 2 * _first_nodes(self.n_tiles)[-1]

    def label(self, link: int) -> str:
        n, (a, b) = self.n_tiles, _child_and_parent(self.n_tiles, link)
        if min(a, b) >= n:
            return f"router {a - n} -> {b - n}"
        return f"tile {a} -> router {b - n}" if a < n else f"router {a - n} -> tile {b}"

    def ends(self, link: int) -> tuple[Position, Position]:
        a, b = _child_and_parent(self.n_tiles, link)
        return _node_position(self.n_tiles, a), _node_position(self.n_tiles, b)

    def position(self, tile: int) -> Position:
        return _node_position(self.n_tiles, tile)

    def way(self, source: int, target: int) -> tuple[int, ...]:
        return _up_then_down(self.n_tiles, source, target)

    def hops(self, source: int, target: int) -> int:
        return 2 * -(-(source ^ target).bit_length() // 2)  # up to the highest digit (two bits) that differs


@lru_cache(maxsize=1 << 10)
def _first_nodes(n_tiles: int) -> tuple[int, ...]:
    """The first node of each level of a tree, tiles (level 0) first; the last is the root."""
    first, width = [0], n_tiles
    while width > 1:
        first.append(first[-1] + width)
        width = -(-width // 4)
    return tuple(first)


def _child_and_parent(n_tiles: int, link: int) -> tuple[int, int]:
    """The nodes that a link of a tree joins, in its direction: link n leads up from node n, those after all so down."""
    first = _first_nodes(n_tiles)
    down, child = divmod(link, first[-1])
    level = bisect_right(first, child) - 1
    parent = first[level + 1] + (child - first[level]) // 4
    return (parent, child) if down else (child, parent)


def _node_position(n_tiles: int, node: int) -> Position:
    """Centre of the square of tiles below a node; x and y are the even and odd bits of its number in its level."""
    first = _first_nodes(n_tiles)
    level = bisect_right(first, node) - 1
    bits = f"{node - first[level]:b}"[::-1]
    x, y = (int(bits[axis::2][::-1] or "0", 2) for axis in (0, 1))
    size = 1 << level
    return (x + 0.5) * size - 0.5, (y + 0.5) * size - 0.5


@lru_cache(maxsize=1 << 16)
def _up_then_down(n_tiles: int, source: int, target: int) -> tuple[int, ...]:
    """Links between two tiles of a tree; numbered as in `_child_and_parent`."""
    first = _first_nodes(n_tiles)
    level, up, down = 0, [], []
    while source != target:
        up.append(first[level] + source)
        down.append(first[-1] + first[level] + target)
        level, source, target = level + 1, source // 4, target // 4
    return (*up, *reversed(down))


@final
@dataclass(frozen=True)
class BusWiring(Wiring):
    """One link that all tiles share, one transfer at a time; drawn as a line past all tiles."""

    @property
    def n_links(self) -> int:
        return 1

    def label(self, link: int) -> str:
        return "bus"

    def ends(self, link: int) -> tuple[Position, Position]:
        return (0.0, 0.0), (self.n_tiles - 1.0, 0.0)

    def position(self, tile: int) -> Position:
        return float(tile), 0.0

    def way(self, source: int, target: int) -> tuple[int, ...]:
        return (0,)

    def hops(self, source: int, target: int) -> int:
        return int(source != target)
