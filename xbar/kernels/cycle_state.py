"""What changes while the cycle model runs, and the small steps that all of it shares. See `xbar.kernels.cycles`."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

from xbar.kernels.cycle_tables import INPUT, INPUT_WAIT, JOIN, LAYER, N_SPENT, N_UNITS, SINK, T
from xbar.kernels.event_queue import push
from xbar.kernels.packed import Ints, Packed, get, inner, put, size

OUTPUT_REGISTERS = 2  # vectors of a lane that may wait to be put together
RING = 16  # vectors of a lane that may be begun and not yet put together
UNIT_REGISTERS = OUTPUT_REGISTERS + N_UNITS  # vectors of a copy that may be in its digital units or wait for them


# These are enumerations because numba compiles a function anew for every plain number that it is called with.
class Kind(IntEnum):
    """Kinds of events, in the order in which those of the same time are handled."""

    WRITTEN = 0
    SUMS_IN = 1
    DROP = 2
    HOP = 3
    SUMS_OUT = 4
    DONE = 5
    VECTOR = 6
    JOINED = 7
    SEND = 8
    REGISTER = 9
    LANE = 10
    SITE = 11


class Traced(IntEnum):
    """Kinds of traced intervals: a lane's fetch and its reads, a message on a link, a write to a buffer, a join's row;
    a lane's conversions, their last shift-and-add, its sums on the bus; a home's work in a digital unit."""

    FETCHED = 0
    READS = 1
    ON_LINK = 2
    WRITING = 3
    JOINING = 4
    CONVERTING = 5
    ADDING = 6
    SUMMED = 7
    WORKING = 8


FETCHED, READS, ON_LINK, WRITING, JOINING, CONVERTING, ADDING, SUMMED, WORKING = Traced
N_TRACE = 6  # kind, index, begin, end, and: vector of the lane, flow, inbox, row, or digital unit; bits


class S(IntEnum):
    """What changes. Rows and units are counted over the whole batch.

    row_done [row of all streams, by row_ptr]; row_left: parts that are still to be made. spent: fs [lane, way of
    spending it]. tile_high: most bits in a tile's buffer. moved: bits sent, bits that arrived, letters, events.
    """

    row_ptr = 0
    row_left = 1
    row_done = 2
    complete = 3
    released = 4
    sent = 5
    send_queued = 6
    arrived = 7
    freed = 8
    left_ptr = 9
    flows_left = 10
    lane_next = 11
    lane_waits = 12
    lane_queued = 13
    lane_reason = 14
    lane_done = 15
    lane_free = 16
    lane_cursor = 17
    lane_adc = 18
    spent = 19
    gathered = 20
    finished = 21
    last_end = 22
    done_at = 23
    channel_count = 24
    site_next = 25
    site_busy = 26
    site_queued = 27
    link_free = 28
    link_busy = 29
    link_bits = 30
    link_wait = 31
    port_ptr = 32
    port_free = 33
    port_busy = 34
    bus_free = 35
    bus_busy = 36
    unit_free = 37
    unit_busy = 38
    tile_bits = 39
    tile_high = 40
    begin = 41
    end = 42
    moved = 43
    trace = 44
    n_traced = 45


SENT_BITS, ARRIVED_BITS, N_LETTERS, N_HANDLED = 0, 1, 2, 3


def new_state(t: Packed, n_inputs: int, n_trace: int) -> Packed:
    """The state at time 0 of a batch of `n_inputs`; intervals beyond the first `n_trace` are counted, not kept."""

    def zeros(*shape: int) -> Ints:
        return np.zeros(shape, np.int64)

    n_rows = np.where(t[T.stream_kind] == SINK, 0, t[T.stream_rows]) * n_inputs
    row_ptr = np.concatenate([[0], np.cumsum(n_rows)]).astype(np.int64)
    row_left = np.zeros(row_ptr[-1], np.int64)
    row_done = np.zeros(row_ptr[-1], np.int64)
    for s, kind in enumerate(t[T.stream_kind]):
        own = row_left[row_ptr[s] : row_ptr[s + 1]]
        if kind == INPUT:
            row_done[row_ptr[s] : row_ptr[s + 1]] = 1
        elif kind == JOIN:
            own[:] = t[T.stream_parts][s]
        elif kind == LAYER:
            per_row, n = int(t[T.vectors_per_row][s]), int(t[T.vectors][s])
            full = np.full(int(t[T.stream_rows][s]), per_row)
            full[-1] = n - per_row * (len(full) - 1)
            own[:] = np.tile(full, n_inputs)
    units = t[T.edge_units][t[T.inbox_edge]] * n_inputs
    left_ptr = np.concatenate([[0], np.cumsum(units)]).astype(np.int64)
    n_streams, n_edges, n_inboxes, n_lanes = len(n_rows), len(t[T.edge_source]), len(units), len(t[T.lane_site])
    n_sites, n_links, n_tiles = len(t[T.site_tile]), len(t[T.link_flit_fs]), len(t[T.tile_ports])
    n_copies = len(t[T.copy_stream])
    port_ptr = np.concatenate([[0], np.cumsum(t[T.tile_ports])]).astype(np.int64)
    return Packed(
        {
            S.row_ptr: row_ptr,
            S.row_left: row_left,
            S.row_done: row_done,
            S.complete: np.where(t[T.stream_kind] == INPUT, n_rows, 0),
            S.released: zeros(n_streams),
            S.sent: zeros(n_edges),
            S.send_queued: zeros(n_edges),
            S.arrived: zeros(n_inboxes),
            S.freed: zeros(n_inboxes),
            S.left_ptr: left_ptr,
            S.flows_left: np.repeat(t[T.inbox_flows], units),
            S.lane_next: zeros(n_lanes),
            S.lane_waits: np.ones(n_lanes, np.int64),
            S.lane_queued: zeros(n_lanes),
            S.lane_reason: np.full(n_lanes, INPUT_WAIT),
            S.lane_done: zeros(n_lanes),
            S.lane_free: zeros(n_lanes),
            S.lane_cursor: zeros(n_lanes),
            S.lane_adc: zeros(n_lanes),
            S.spent: zeros(n_lanes, N_SPENT),
            S.gathered: zeros(n_copies),
            S.finished: zeros(n_copies),
            S.last_end: zeros(n_copies),
            S.done_at: zeros(n_copies, RING),
            S.channel_count: zeros(len(t[T.channel_copy])),
            S.site_next: zeros(n_sites),
            S.site_busy: zeros(n_sites),
            S.site_queued: zeros(n_sites),
            S.link_free: zeros(n_links),
            S.link_busy: zeros(n_links),
            S.link_bits: zeros(n_links),
            S.link_wait: zeros(n_links),
            S.port_ptr: port_ptr,
            S.port_free: zeros(int(port_ptr[-1])),
            S.port_busy: zeros(n_tiles),
            S.bus_free: zeros(n_tiles),
            S.bus_busy: zeros(n_tiles),
            S.unit_free: zeros(n_tiles, N_UNITS),
            S.unit_busy: zeros(n_tiles, N_UNITS),
            S.tile_bits: zeros(n_tiles),
            S.tile_high: zeros(n_tiles),
            S.begin: np.full(n_inputs, -1),
            S.end: np.full(n_inputs, -1),
            S.moved: zeros(4),
            S.trace: zeros(n_trace, N_TRACE),
            S.n_traced: zeros(1),
        }
    )


# Beside the enumerations above: a plain 0 as an argument would be a type of its own too.
NOTHING = np.int64(0)


@inner
def stage(t, fs):  # type: ignore[no-untyped-def]
    """Time that a stage with so much work takes."""
    cycle = get(t, T.cycle_fs, 0)
    return fs if cycle == 0 else -(-fs // cycle) * cycle


@inner
def keep(s, kind, index, begin, end, detail, bits):  # type: ignore[no-untyped-def]
    """Note an interval of the trace, if there is room."""
    n = get(s, S.n_traced, 0)
    put(s, S.n_traced, 0, n + 1)
    if n * N_TRACE < size(s, S.trace):
        first = n * N_TRACE
        put(s, S.trace, first, kind)
        put(s, S.trace, first + 1, index)
        put(s, S.trace, first + 2, begin)
        put(s, S.trace, first + 3, end)
        put(s, S.trace, first + 4, detail)
        put(s, S.trace, first + 5, bits)


@inner
def ask_lane(s, queue, lane, now):  # type: ignore[no-untyped-def]
    """A lane that waits is to look whether it can go on; once is enough."""
    if get(s, S.lane_waits, lane) and not get(s, S.lane_queued, lane):
        put(s, S.lane_queued, lane, 1)
        push(queue, now, Kind.LANE, lane)


@inner
def ask_site(s, queue, site, now):  # type: ignore[no-untyped-def]
    """So is a join's site that does nothing."""
    if not get(s, S.site_busy, site) and not get(s, S.site_queued, site):
        put(s, S.site_queued, site, 1)
        push(queue, now, Kind.SITE, site)


@inner
def ask_edge(s, queue, edge, now):  # type: ignore[no-untyped-def]
    """An edge's next unit may be ready to be sent."""
    if not get(s, S.send_queued, edge):
        put(s, S.send_queued, edge, 1)
        push(queue, now, Kind.SEND, edge)
