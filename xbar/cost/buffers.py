"""How the buffers of tiles are shared by what arrives there.

Each inbox gets at least what it needs: the units of one window, of which the row that comes takes the place of the row
that goes (so the last one counts with the part that a window needs, as in Shafiee et al., ISCA 2016, section 5); a join
what arrives on its fast branches until its slow ones catch up. What is left is shared out evenly. Tiles with room to
spare, idle ones first, lend it to those that have too little. A join of many rows that needs whole maps for each of
them keeps them outside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xbar.dataflow import Edge, Stream
from xbar.errors import CapacityError
from xbar.kernels.cycle_tables import NO_LIMIT
from xbar.outline import Outline

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Inbox:
    """What a stream `to` receives in a tile over an edge (its number among all); bits of a unit, and of the last
    one."""

    edge: Edge
    number: int
    to: int
    tile: int
    unit_bits: int
    last_bits: int

    def held_bits(self, units: int) -> int:
        """What so many units take."""
        return 0 if units == 0 else (units - 1) * self.unit_bits + self.last_bits

    def units_in(self, bits: int) -> int:
        """How many units find a place."""
        if self.unit_bits == 0:
            return NO_LIMIT
        return 0 if bits < self.last_bits else (bits - self.last_bits) // self.unit_bits + 1


@dataclass(frozen=True, eq=False)
class _Needs:
    """What arrives in each tile. windows, depths: [inbox] units; by_tile: the inboxes that its buffer holds."""

    inboxes: tuple[Inbox, ...]
    windows: list[int]
    depths: list[int]
    by_tile: dict[int, list[int]]
    outside: tuple[str, ...]
    n_tiles: int

    def least_bits(self, i: int) -> int:
        """What an inbox has to hold so that nobody waits for ever."""
        return self.inboxes[i].held_bits(max(self.windows[i], self.depths[i]))

    def window_bits(self, i: int) -> int:
        """What one window takes."""
        return self.inboxes[i].held_bits(self.windows[i])

    @property
    def inside(self) -> list[int]:
        """The inboxes that are in buffers."""
        return [i for here in self.by_tile.values() for i in here]

    def hold_windows(self, capacity: int) -> bool:
        """Whether buffers of so many bits hold every window, and all together all windows."""
        bits = [self.window_bits(i) for i in self.inside]
        return max(bits, default=0) <= capacity and sum(bits) <= capacity * self.n_tiles

    def hold_least(self, capacity: int) -> bool:
        """Whether they hold what nobody waits for ever with."""
        return self.hold_windows(capacity) and sum(map(self.least_bits, self.inside)) <= capacity * self.n_tiles


def _needs(outline: Outline, inboxes: tuple[Inbox, ...], streams: tuple[Stream, ...]) -> _Needs:
    n_tiles = outline.n_chips * outline.chip.chip.tiles
    windows = [_window(inbox.edge) for inbox in inboxes]
    by_tile: dict[int, list[int]] = {}
    outside = set()
    for i, inbox in enumerate(inboxes):
        if inbox.tile == n_tiles:
            continue
        if windows[i] == inbox.edge.n_units > 1 and len(inbox.edge.need_first) > 1:
            outside.add(streams[inbox.to].name)
        else:
            by_tile.setdefault(inbox.tile, []).append(i)
    return _Needs(inboxes, windows, _depths(streams, inboxes), by_tile, tuple(sorted(outside)), n_tiles)


def slots_of(
    outline: Outline, inboxes: tuple[Inbox, ...], streams: tuple[Stream, ...]
) -> tuple[list[int], tuple[str, ...]]:
    """Units that each inbox holds at a time, and what was assumed in words.

    Raises CapacityError where a window does not fit.
    """
    buffer = outline.chip.tile_buffer
    slots = [NO_LIMIT] * len(inboxes)
    if buffer is None:
        return slots, ("buffers of tiles have no size, so they are never full",)
    capacity = 8 * buffer.capacity_bytes
    needs = _needs(outline, inboxes, streams)
    if not needs.hold_windows(capacity):
        raise CapacityError(_too_small(needs, streams, capacity))
    # with too little for the slow branches of joins, these may never catch up: the run tells
    kept = needs.least_bits if needs.hold_least(capacity) else needs.window_bits
    room = {tile: capacity - sum(map(kept, here)) for tile, here in needs.by_tile.items()}
    short, n_idle = sum(-bits for bits in room.values() if bits < 0), needs.n_tiles - len(room)
    from_others = max(0, short - n_idle * capacity)
    for tile, here in needs.by_tile.items():
        lent = min(from_others, max(0, room[tile]))
        from_others -= lent
        spare = max(0, room[tile] - lent) // len(here)
        for i in here:
            slots[i] = inboxes[i].units_in(kept(i) + spare)
    return slots, _notes(needs, short)


def smallest_bytes(outline: Outline, inboxes: tuple[Inbox, ...], streams: tuple[Stream, ...]) -> int:
    """The smallest buffer of a tile with which every inbox finds what it needs."""
    return _smallest(_needs(outline, inboxes, streams).hold_least)


def _smallest(enough: Callable[[int], bool]) -> int:
    """The fewest bytes whose bits are enough."""
    low, high = 0, 1
    while not enough(8 * high):
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(8 * middle) else (middle, high)
    return high


def _window(edge: Edge) -> int:
    """The most units that a row of the receiver needs at a time."""
    return max(1, int((edge.need_last - edge.need_first).max()) + 1)


def _depths(streams: Sequence[Stream], inboxes: Sequence[Inbox]) -> list[int]:
    """Units that each inbox of a join has to hold while the other branches catch up; 0 for a layer.

    For row i of a join another branch needs rows of a stream before both, far ahead of i, as windows add up. All rows
    that the edge's source makes of those must find a place, or that stream stops: some wait at the source
    (`waiting_rows`), and the units made of the others are in the inbox. An input of the network never stops.
    """
    reach, waiting = _reach(streams), waiting_rows(streams)
    found: dict[int, int] = {}
    for stream in streams:
        for edge in stream.edges if len(stream.edges) > 1 else ():
            deepest = 0
            for ancestor, ahead in reach[edge.source].items() if streams[edge.source].kind != "input" else ():
                for other in stream.edges:
                    if other is not edge and ancestor in reach[other.source]:
                        needed = reach[other.source][ancestor][other.source_last[other.need_last]]
                        made = np.searchsorted(np.maximum.accumulate(ahead), needed, side="right")
                        sent = np.searchsorted(edge.source_first, made - waiting[edge.source], side="left")
                        deepest = max(deepest, int((sent - edge.need_first).max()))
            found[id(edge)] = deepest
    return [min(found.get(id(inbox.edge), 0), inbox.edge.n_units) for inbox in inboxes]


def waiting_rows(streams: Sequence[Stream]) -> list[int]:
    """Complete rows of each stream that may wait to be sent: those that a unit is made of, and one."""
    found = [1] * len(streams)
    for stream in streams:
        for edge in stream.edges:
            found[edge.source] = max(found[edge.source], int((edge.source_last - edge.source_first).max()) + 1)
    return [n + 1 for n in found]


def _reach(streams: Sequence[Stream]) -> list[dict[int, Ints]]:
    """For each stream {stream before it, or itself: the last of its rows that each row needs}, int64 [row]."""
    reach: list[dict[int, Ints]] = []
    for i, stream in enumerate(streams):
        own: dict[int, Ints] = {i: np.arange(stream.rows)}
        for edge in stream.edges:
            rows = edge.source_last[np.maximum(edge.need_last, 0)]
            for ancestor, ahead in reach[edge.source].items():
                last = ahead[rows]
                own[ancestor] = np.maximum(own[ancestor], last) if ancestor in own else last
        reach.append(own)
    return reach


def _notes(needs: _Needs, lent_bits: int) -> tuple[str, ...]:
    notes = []
    if lent_bits:
        notes.append(
            f"{-(-lent_bits // 8):,} bytes of rows that wait find no place in their tiles' buffers and lie in those of "
            "other tiles; the way there takes no time"
        )
    if needs.outside:
        names = ", ".join(needs.outside[:4])
        names += f" and {len(needs.outside) - 4} more" if len(needs.outside) > 4 else ""
        notes.append(f"kept outside of the tiles' buffers: whole maps that are needed at once ({names})")
    return tuple(notes)


def _too_small(needs: _Needs, streams: tuple[Stream, ...], capacity: int) -> list[str]:
    """One line for each layer or join of which a window has no place, with the smallest buffer that works for all."""
    found: dict[str, tuple[int, int]] = {}
    for tile, here in needs.by_tile.items():
        for i in here:
            if needs.window_bits(i) > capacity:
                found.setdefault(streams[needs.inboxes[i].to].name, (tile, -(-needs.window_bits(i) // 8)))
    smallest = _smallest(needs.hold_least)
    if not found:
        largest = max(needs.inside, key=needs.window_bits)
        name, size = streams[needs.inboxes[largest].to].name, -(-needs.window_bits(largest) // 8)
        total = -(-sum(map(needs.window_bits, needs.inside)) // 8)
        return [
            f"all buffers together must hold a window of every layer and join, {total:,} bytes (the largest: {name}, "
            f"{size:,}), got {needs.n_tiles:,} x {capacity // 8:,}; set the capacity_bytes of the tiles' buffer to "
            f"{smallest:,} or more"
        ]
    return [
        f"{name}: the buffer of tile {tile} must hold one window of its input, {size:,} bytes, got {capacity // 8:,}; "
        f"set the capacity_bytes of the tiles' buffer to {smallest:,} or more"
        for name, (tile, size) in found.items()
    ]
