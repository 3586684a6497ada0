"""The cycle model: a discrete-event simulation of a chip, one crossbar read after another. Twin: `cycles_plain`.

What happens (words and tables: `xbar.kernels.cycle_tables`). A stage of d fs takes whole cycles, `stage(d)`. A port, a
bus and a digital unit work in the order of request; work of no time takes none of theirs, and waits for nobody.

1. All rows of the inputs are there at the start. A unit is *sent* when the rows of its source that it is made of are
   complete, all units of its edge before it are sent, and every inbox of the edge has a free slot: a message of each
   flow sets out, and the unit has a place in the inboxes from now on. It is *there* when the messages that bring it to
   an inbox are written (when it is sent, if there are none), and all units before it are. It leaves an inbox when
   nothing at its site still needs it: vectors of all lanes that need it have begun, a join has made its rows. Those
   that nothing ever needs take no place; those in the sink stay.
   A row is *released* when it is complete, all rows before it are, and no next unit of an edge needs it or one before.
2. A message takes the links of its path one after another. A link serves in the order of request; it is taken for
   ceil(bits / flit) flits (one, if there are no bits), and never ends before the link before it ended plus one flit;
   the head is at the next link one flit after its start. Dropped at an inbox when its tail is there, a message is
   written to the tile's buffer: the first free port, ceil(bits / word) words, a stage.
3. A lane starts its next vector when its input register is free (the vector before it has begun), the units that its
   row needs are there, fewer than `stream_staging` complete rows before its own wait to be released, fewer than
   OUTPUT_REGISTERS of its vectors are done and not put together, fewer than RING begun and not put together, and
   fewer than UNIT_REGISTERS of its copy's put together and not through the digital units. It fetches: a stage that
   starts when the bus is free, and the first free port from then on. When it has the vector and the reads of the one
   before are over, it begins: a read takes read_fs, is sampled when the converters have done the sample before it,
   and the next read starts then; samples convert in convert_fs. The vector is done stage(convert_fs) + add_fs after
   its last sample.
4. Its sums take the bus, and each channel brings its part to a home. When all sums of a copy's vector are there,
   every home adds: a stage from the moment when the last lane was done, the way of the sums included. It passes the
   vector through activation, pooling and other digital units, each a stage; units with one server take turns. A copy
   ends its vectors in their order, each when the slowest home has. A row is complete with its last vector.
5. A join's site takes its next row when the units that it needs are there, and fewer than `stream_staging` complete
   rows before it wait to be released; digital work is a stage. The row is complete with its last site.
6. An input begins when its first unit is sent, and ends when all its units are in the sink. The run ends when nothing
   happens any more.

How a lane spends its time: waiting for its input (INPUT_WAIT), for room (BUFFER_FULL) or for its sums (OUTPUT_WAIT),
the first in this order that held when it last looked; for bus or port (BUS_WAIT); for its FETCH; with a READ; for
converters (ADC). It works on two vectors at times: what the first one does counts. It is IDLE after its last vector. A
lane looks when units arrive at its site, rows of its stream are released, its copy's sums are put together or through
the digital units, or its input register gets free.

Events at the same time are handled in the order of `Kind`, then of their index. That of a message, or of what it drops,
is its letter: the one that was given back last, or a new one. A message gives its letter back at the end of its path,
a drop when it is written.
"""

from __future__ import annotations

import numba

from xbar.kernels.cycle_lanes import begun, done, free_behind, joined, sums, try_lane, try_site, vector
from xbar.kernels.cycle_messages import drop, hop, post, send, written
from xbar.kernels.cycle_state import (
    N_HANDLED,
    NOTHING,
    Kind,
    S,
    ask_edge,
    ask_lane,
)
from xbar.kernels.cycle_tables import IDLE, N_SPENT, SINK, T
from xbar.kernels.event_queue import Q, new_queue, pop, with_room
from xbar.kernels.packed import add, get, inner, put, size


@numba.njit(cache=True, error_model="numpy")
def run_cycles(t, s, n_inputs):  # type: ignore[no-untyped-def]
    """Run the batch; `s` (of `new_state`) holds the outcome. Returns the time of the last event in fs.

    The batch is through where every entry of s.end is 0 or more; else nothing can go on: a deadlock.
    """
    room = _room(t)
    queue = new_queue(4 * room)
    now = NOTHING
    for edge in range(size(t, T.edge_source)):
        queue = with_room(queue, room)
        ask_edge(s, queue, edge, now)
    for site in range(size(t, T.site_tile)):
        queue = with_room(queue, room)
        if get(t, T.stream_kind, get(t, T.site_stream, site)) != SINK:
            free_behind(t, s, queue, site, now, n_inputs)
    for lane in range(size(t, T.lane_site)):
        queue = with_room(queue, room)
        ask_lane(s, queue, lane, now)
    while get(queue, Q.n_events, 0) > 0:
        queue = with_room(queue, room)
        now, kind, i = pop(queue)
        add(s, S.moved, N_HANDLED, 1)
        if kind == Kind.HOP:
            hop(t, s, queue, i, now)
        elif kind == Kind.DROP:
            drop(t, s, queue, i, now)
        elif kind == Kind.WRITTEN:
            written(t, s, queue, i, now, n_inputs)
        elif kind == Kind.LANE:
            put(s, S.lane_queued, i, 0)
            try_lane(t, s, queue, i, now, n_inputs)
        elif kind == Kind.REGISTER:
            begun(t, s, queue, i, now, n_inputs)
        elif kind == Kind.DONE:
            done(t, s, queue, i, now)
        elif kind == Kind.SUMS_OUT:
            if get(t, T.channel_flow, i) < 0:
                sums(t, s, queue, i, now)
            else:
                post(t, s, queue, get(t, T.channel_flow, i), i, now)
        elif kind == Kind.SUMS_IN:
            sums(t, s, queue, i, now)
        elif kind == Kind.VECTOR:
            vector(t, s, queue, i, now, n_inputs)
        elif kind == Kind.SEND:
            put(s, S.send_queued, i, 0)
            send(t, s, queue, i, now, n_inputs)
        elif kind == Kind.SITE:
            put(s, S.site_queued, i, 0)
            try_site(t, s, queue, i, now, n_inputs)
        else:
            joined(t, s, queue, i, now, n_inputs)
    for lane in range(size(t, T.lane_site)):
        add(s, S.spent, lane * N_SPENT + IDLE, max(0, now - get(s, S.lane_cursor, lane)))
    return now


@inner
def _room(t):  # type: ignore[no-untyped-def]
    """More events, and more letters, than what happens at a time can bring."""
    flows, lanes = 1, 1
    for e in range(size(t, T.edge_source)):
        first, last = get(t, T.edge_flow_ptr, e), get(t, T.edge_flow_ptr, e + 1)
        flows = max(flows, last - first + get(t, T.flow_path_ptr, last) - get(t, T.flow_path_ptr, first))
    for x in range(size(t, T.stream_kind)):
        first, last = get(t, T.stream_copy_ptr, x), get(t, T.stream_copy_ptr, x + 1)
        lanes = max(lanes, get(t, T.copy_lane_ptr, last) - get(t, T.copy_lane_ptr, first))
    return flows + lanes + size(t, T.out_edge) + size(t, T.inbox_edge) + 64
