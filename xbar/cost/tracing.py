"""What the cycle model kept of its run, as a trace."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xbar.cost.stations import Stations
from xbar.kernels.cycle_state import (
    ADDING,
    CONVERTING,
    FETCHED,
    JOINING,
    ON_LINK,
    READS,
    SUMMED,
    WORKING,
    WRITING,
    S,
)
from xbar.kernels.cycle_tables import N_UNITS, T
from xbar.kernels.packed import Packed
from xbar.timing import KINDS, Trace

Ints = NDArray[np.int64]

_FS = 1e-15
_KINDS: dict[int, str] = {
    READS: "reads",
    FETCHED: "fetch",
    JOINING: "join",
    WRITING: "write",
    ON_LINK: "message",
    CONVERTING: "convert",
    ADDING: "shift-and-add",
    SUMMED: "sums",
    WORKING: "digital",
}
# what a lane does at the same time has threads of its own: their order, and what follows the layer's name
_OF_LANES = {FETCHED: ": input", READS: "", CONVERTING: ": conversion", ADDING: ": shift-and-add", SUMMED: ": sums"}
UNITS = ("adders", "activation units", "pooling units", "digital units")


def trace_of(made: Stations, state: Packed) -> Trace:
    """The intervals that were kept, those that take no time left out."""
    t, n_seen = made.tables, int(state[S.n_traced][0])
    kept = state[S.trace][:n_seen]
    n_lost = n_seen - len(kept)
    kept = kept[kept[:, 3] > kept[:, 2]]
    kept = kept[np.lexsort((kept[:, 1], kept[:, 0], kept[:, 2]))]
    code, index, begin, end, detail, _ = kept.T
    groups = (tuple(_OF_LANES), (JOINING,), (WRITING,), (ON_LINK,), (WORKING,))
    lane, join, write, link, work = (np.isin(code, of) for of in groups)
    site = index.copy()
    site[lane] = t[T.lane_site][index[lane]]
    process, stream, n_input, row = np.full(len(kept), made.n_tiles), *(np.full(len(kept), -1) for _ in range(3))
    process[lane | join], stream[lane | join] = (t[name][site[lane | join]] for name in (T.site_tile, T.site_stream))
    n_input[lane], row[lane] = _of_vectors(t, index[lane], stream[lane], detail[lane])
    n_input[join], row[join] = np.divmod(detail[join], t[T.stream_rows][stream[join]])
    process[write] = index[write]
    stream[write] = t[T.site_stream][t[T.inbox_site][detail[write]]]
    stream[link] = _streams_of_flows(made)[detail[link]]
    process[work] = t[T.home_tile][index[work]]
    stream[work] = t[T.copy_stream][np.searchsorted(t[T.copy_home_ptr], index[work], side="right") - 1]
    ports = _ports(process[write], begin[write], end[write])
    threads, thread = _threads(made, code, index, stream, detail, ports)
    return Trace(
        processes=(*(f"tile {tile}" for tile in range(made.n_tiles)), "links"),
        threads=threads,
        streams=tuple(s.name for s in made.streams),
        kind=np.array([KINDS.index(_KINDS[k]) for k in range(len(KINDS))])[code],
        process=process,
        thread=thread,
        stream=stream,
        n_input=n_input,
        row=row,
        begin_s=begin * _FS,
        duration_s=(end - begin) * _FS,
        n_lost=n_lost,
    )


def _of_vectors(t: Packed, lane: Ints, stream: Ints, nth: Ints) -> tuple[Ints, Ints]:
    """Input and row of the nth vector of a lane: copies take the vectors of an input in turns."""
    n_copies, copy = np.diff(t[T.stream_copy_ptr])[stream], t[T.lane_index][lane]
    own = -(-(t[T.vectors][stream] - copy) // n_copies)
    n_input, place = np.divmod(nth, own)
    return n_input, (copy + place * n_copies) // t[T.vectors_per_row][stream]


def _streams_of_flows(made: Stations) -> Ints:
    """The stream that each message is for: the receiver of its rows, or the layer whose sums it brings."""
    t = made.tables
    receivers = np.array([i for i, stream in enumerate(made.streams) for _ in stream.edges])
    found = np.full(len(t[T.flow_bits]), -1)
    rows = np.repeat(receivers, np.diff(t[T.edge_flow_ptr]))
    found[: len(rows)] = rows
    moved = t[T.channel_flow] >= 0
    found[t[T.channel_flow][moved]] = t[T.copy_stream][t[T.channel_copy][moved]]
    return found


def _ports(tile: Ints, begin: Ints, end: Ints) -> Ints:
    """A port for each write, so that those of a port do not overlap; by rising begin."""
    busy_until: dict[int, list[int]] = {}
    ports = []
    for place, first, last in zip(tile.tolist(), begin.tolist(), end.tolist(), strict=True):
        until = busy_until.setdefault(place, [])
        port = next((p for p, busy in enumerate(until) if busy <= first), len(until))
        until[port : port + 1] = [last]
        ports.append(port)
    return np.array(ports, np.int64)


def _threads(
    made: Stations, code: Ints, index: Ints, stream: Ints, detail: Ints, ports: Ints
) -> tuple[tuple[str, ...], Ints]:
    """The names of the threads, and the thread of each interval: layers and joins in their order, units, buffers,
    links."""
    t, names, kinds = made.tables, [s.name for s in made.streams], list(_OF_LANES)
    n_copies = np.diff(t[T.stream_copy_ptr])
    copies = max(1, int(n_copies.max()))
    units = len(kinds) * copies * len(names)
    buffers = units + N_UNITS
    links = buffers + 1 + int(ports.max(initial=0))
    copy, part = np.zeros(len(code), np.int64), np.full(len(code), kinds.index(READS))
    for place, kind in enumerate(kinds):
        part[code == kind] = place
    lane = np.isin(code, kinds)
    copy[lane] = t[T.lane_index][index[lane]]
    key = len(kinds) * (copies * stream + copy) + part
    key[code == WORKING] = units + detail[code == WORKING]
    key[code == WRITING] = buffers + ports
    key[code == ON_LINK] = links + index[code == ON_LINK]

    def name(key: int) -> str:
        if key >= links:
            return made.links.label(key - links)
        if key >= buffers:
            return f"buffer port {key - buffers}"
        if key >= units:
            return UNITS[key - units]
        (of, copy), part = divmod(key // len(kinds), copies), key % len(kinds)
        return names[of] + (f", copy {copy}" if n_copies[of] > 1 else "") + _OF_LANES[kinds[part]]

    found, thread = np.unique(key, return_inverse=True)
    return tuple(map(name, found.tolist())), thread
