"""Rows on their way: units are sent, cross links, are written to buffers, and leave them. See `xbar.kernels.cycles`."""

from __future__ import annotations

from xbar.kernels.cycle_state import (
    ARRIVED_BITS,
    N_LETTERS,
    ON_LINK,
    SENT_BITS,
    WRITING,
    Kind,
    S,
    ask_edge,
    ask_lane,
    ask_site,
    keep,
    stage,
)
from xbar.kernels.cycle_tables import INPUT, JOIN, LAYER, SINK, T
from xbar.kernels.event_queue import Q, give_back, push, take_letter
from xbar.kernels.packed import add, entries, get, inner, put, size


@inner
def ask_to_send(t, s, queue, stream, now):  # type: ignore[no-untyped-def]
    for k in entries(t, T.stream_edge_ptr, stream):
        ask_edge(s, queue, get(t, T.out_edge, k), now)


@inner
def first_needed(t, s, edge, n_inputs):  # type: ignore[no-untyped-def]
    """The first row of its source that an edge's unsent units need; beyond all rows if there are none."""
    units, rows = get(t, T.edge_units, edge), get(t, T.stream_rows, get(t, T.edge_source, edge))
    k, unit = get(s, S.sent, edge) // units, get(s, S.sent, edge) % units
    return rows * n_inputs if k >= n_inputs else k * rows + get(t, T.unit_first, get(t, T.unit_ptr, edge) + unit)


@inner
def release(t, s, queue, stream, now, n_inputs):  # type: ignore[no-untyped-def]
    limit = get(t, T.stream_rows, stream) * n_inputs
    for k in entries(t, T.stream_edge_ptr, stream):
        limit = min(limit, first_needed(t, s, get(t, T.out_edge, k), n_inputs))
    row, first = get(s, S.released, stream), get(s, S.row_ptr, stream)
    while row < limit and get(s, S.row_done, first + row):
        row += 1
    if row == get(s, S.released, stream):
        return
    put(s, S.released, stream, row)
    if get(t, T.stream_kind, stream) == LAYER:
        lane0 = get(t, T.copy_lane_ptr, get(t, T.stream_copy_ptr, stream))
        for lane in range(lane0, get(t, T.copy_lane_ptr, get(t, T.stream_copy_ptr, stream + 1))):
            ask_lane(s, queue, lane, now)
    elif get(t, T.stream_kind, stream) == JOIN:
        for site in entries(t, T.stream_site_ptr, stream):
            ask_site(s, queue, site, now)


@inner
def send(t, s, queue, edge, now, n_inputs):  # type: ignore[no-untyped-def]
    """Send one unit of an edge if it may go; more are asked for at once."""
    n, units, source = get(s, S.sent, edge), get(t, T.edge_units, edge), get(t, T.edge_source, edge)
    k, unit = n // units, n % units
    if k >= n_inputs:
        return
    first = get(s, S.row_ptr, source) + k * get(t, T.stream_rows, source)
    place = get(t, T.unit_ptr, edge) + unit
    for row in range(get(t, T.unit_first, place), get(t, T.unit_last, place) + 1):
        if not get(s, S.row_done, first + row):
            return
    for inbox in entries(t, T.edge_inbox_ptr, edge):
        if n >= get(s, S.freed, inbox) + get(t, T.inbox_slots, inbox):
            return
    put(s, S.sent, edge, n + 1)
    if get(t, T.stream_kind, source) == INPUT and get(s, S.begin, k) < 0:
        put(s, S.begin, k, now)
    for inbox in entries(t, T.edge_inbox_ptr, edge):
        hold(t, s, inbox, n, get(s, S.freed, inbox))
    for flow in entries(t, T.edge_flow_ptr, edge):
        post(t, s, queue, flow, n, now)
    for inbox in entries(t, T.edge_inbox_ptr, edge):
        if get(t, T.inbox_flows, inbox) == 0:  # nothing of it comes here, so it is not waited for
            arrive(t, s, queue, inbox, now, n_inputs)
    release(t, s, queue, source, now, n_inputs)
    ask_edge(s, queue, edge, now)


@inner
def held_bits(t, inbox, units):  # type: ignore[no-untyped-def]
    return 0 if units <= 0 else (units - 1) * get(t, T.inbox_unit_bits, inbox) + get(t, T.inbox_last_bits, inbox)


@inner
def hold(t, s, inbox, sent_before, freed_before):  # type: ignore[no-untyped-def]
    """Note what an inbox holds now that units were sent to it or left it."""
    before = sent_before - freed_before
    units = get(s, S.sent, get(t, T.inbox_edge, inbox)) - get(s, S.freed, inbox)
    tile = get(t, T.site_tile, get(t, T.inbox_site, inbox))
    add(s, S.tile_bits, tile, held_bits(t, inbox, units) - held_bits(t, inbox, before))
    put(s, S.tile_high, tile, max(get(s, S.tile_high, tile), get(s, S.tile_bits, tile)))


@inner
def free(t, s, queue, inbox, freed, now):  # type: ignore[no-untyped-def]
    """Units before `freed` are not needed any more."""
    before = get(s, S.freed, inbox)
    if freed > before:
        put(s, S.freed, inbox, freed)
        hold(t, s, inbox, get(s, S.sent, get(t, T.inbox_edge, inbox)), before)
        ask_edge(s, queue, get(t, T.inbox_edge, inbox), now)


@inner
def post(t, s, queue, flow, unit, now):  # type: ignore[no-untyped-def]
    """A message sets out. Letter: flow, unit, place in the path, time of its tail."""
    letter = take_letter(queue)
    add(s, S.moved, N_LETTERS, 1)
    put(queue, Q.what, letter, flow)
    put(queue, Q.unit, letter, unit)
    put(queue, Q.place, letter, get(t, T.flow_path_ptr, flow))
    put(queue, Q.tail, letter, now)
    hop(t, s, queue, letter, now)


@inner
def hop(t, s, queue, letter, now):  # type: ignore[no-untyped-def]
    """Drops at this place, then the next link; the letter is given back at the end of the path."""
    flow, place, tail = get(queue, Q.what, letter), get(queue, Q.place, letter), get(queue, Q.tail, letter)
    bits, n_inboxes = get(t, T.flow_bits, flow), size(t, T.inbox_edge)
    while place < get(t, T.flow_path_ptr, flow + 1):
        step = get(t, T.path, place)
        place += 1
        if step >= 0:
            start, flit = max(now, get(s, S.link_free, step)), get(t, T.link_flit_fs, step)
            n_flits = max(-(-bits // get(t, T.link_flit_bits, step)), 1)  # also of a message without numbers
            end = max(start + n_flits * flit, tail + flit)
            put(s, S.link_free, step, end)
            add(s, S.link_busy, step, end - start)
            add(s, S.link_bits, step, bits)
            add(s, S.link_wait, step, start - now)
            keep(s, ON_LINK, step, start, end, flow, bits)
            put(queue, Q.place, letter, place)
            put(queue, Q.tail, letter, end)
            push(queue, start + flit, Kind.HOP, letter)
            return
        add(s, S.moved, SENT_BITS, bits)
        target = -1 - step
        if target < n_inboxes:
            dropped = take_letter(queue)
            put(queue, Q.what, dropped, target)
            put(queue, Q.unit, dropped, get(queue, Q.unit, letter))
            put(queue, Q.place, dropped, bits)
            push(queue, tail, Kind.DROP, dropped)
        else:
            push(queue, tail, Kind.SUMS_IN, target - n_inboxes)
            add(s, S.moved, ARRIVED_BITS, bits)
    give_back(queue, letter)


@inner
def port(s, tile, now, fs):  # type: ignore[no-untyped-def]
    """Take the buffer's first free port; returns when the access starts."""
    if fs == 0:
        return now
    best = get(s, S.port_ptr, tile)
    for port in range(best + 1, get(s, S.port_ptr, tile + 1)):
        if get(s, S.port_free, port) < get(s, S.port_free, best):
            best = port
    start = max(now, get(s, S.port_free, best))
    put(s, S.port_free, best, start + fs)
    add(s, S.port_busy, tile, fs)
    return start


@inner
def drop(t, s, queue, letter, now):  # type: ignore[no-untyped-def]
    inbox, bits = get(queue, Q.what, letter), get(queue, Q.place, letter)
    tile = get(t, T.site_tile, get(t, T.inbox_site, inbox))
    fs = -(-bits // get(t, T.tile_word_bits, tile)) * get(t, T.tile_word_fs, tile)
    start = port(s, tile, now, fs)
    if fs > 0:
        keep(s, WRITING, tile, start, start + fs, inbox, bits)
    push(queue, start + stage(t, fs), Kind.WRITTEN, letter)


@inner
def written(t, s, queue, letter, now, n_inputs):  # type: ignore[no-untyped-def]
    inbox, unit = get(queue, Q.what, letter), get(queue, Q.unit, letter)
    add(s, S.moved, ARRIVED_BITS, get(queue, Q.place, letter))
    give_back(queue, letter)
    add(s, S.flows_left, get(s, S.left_ptr, inbox) + unit, -1)
    arrive(t, s, queue, inbox, now, n_inputs)


@inner
def arrive(t, s, queue, inbox, now, n_inputs):  # type: ignore[no-untyped-def]
    """Units are there when all messages with a part of them are, in their order; the site looks at what is new."""
    first, n, sent = get(s, S.left_ptr, inbox), get(s, S.arrived, inbox), get(s, S.sent, get(t, T.inbox_edge, inbox))
    while n < sent and get(s, S.flows_left, first + n) == 0:
        n += 1
    if n == get(s, S.arrived, inbox):
        return
    put(s, S.arrived, inbox, n)
    site = get(t, T.inbox_site, inbox)
    stream = get(t, T.site_stream, site)
    if get(t, T.stream_kind, stream) == SINK:
        collect(t, s, site, now, n_inputs)
    elif get(t, T.stream_kind, stream) == JOIN:
        ask_site(s, queue, site, now)
    else:
        for spot in entries(t, T.site_lane_ptr, site):
            ask_lane(s, queue, get(t, T.site_lane, spot), now)


@inner
def collect(t, s, site, now, n_inputs):  # type: ignore[no-untyped-def]
    """Note the inputs whose results are all in the sink."""
    done = n_inputs
    for place in entries(t, T.site_inbox_ptr, site):
        inbox = get(t, T.site_inbox, place)
        done = min(done, get(s, S.arrived, inbox) // get(t, T.edge_units, get(t, T.inbox_edge, inbox)))
    for k in range(done - 1, -1, -1):
        if get(s, S.end, k) >= 0:
            break
        put(s, S.end, k, now)
