"""Crossbars and digital units at work: vectors, their sums, joins. See `xbar.kernels.cycles`."""

from __future__ import annotations

from xbar.kernels.cycle_messages import ask_to_send, free, port, release
from xbar.kernels.cycle_state import (
    ADDING,
    CONVERTING,
    FETCHED,
    JOINING,
    NOTHING,
    OUTPUT_REGISTERS,
    READS,
    RING,
    SUMMED,
    UNIT_REGISTERS,
    WORKING,
    Kind,
    S,
    ask_lane,
    ask_site,
    keep,
    stage,
)
from xbar.kernels.cycle_tables import (
    ADC,
    ADD,
    BUFFER_FULL,
    BUS_WAIT,
    DIGITAL,
    FETCH,
    INPUT_WAIT,
    JOIN,
    N_SPENT,
    N_UNITS,
    OUTPUT_WAIT,
    READ,
    T,
)
from xbar.kernels.event_queue import push
from xbar.kernels.packed import add, entries, get, inner, put


@inner
def spend(s, lane, way, until):  # type: ignore[no-untyped-def]
    """Account for a lane's time up to `until`; what is before its cursor is accounted for already."""
    if until > get(s, S.lane_cursor, lane):
        add(s, S.spent, lane * N_SPENT + way, until - get(s, S.lane_cursor, lane))
        put(s, S.lane_cursor, lane, until)


@inner
def place_of(t, copy, index, j, n_inputs):  # type: ignore[no-untyped-def]
    """Input and row of the j-th vector of a copy, the index-th of its layer; (n_inputs, 0) after the last."""
    stream = get(t, T.copy_stream, copy)
    n_copies = get(t, T.stream_copy_ptr, stream + 1) - get(t, T.stream_copy_ptr, stream)
    own = (get(t, T.vectors, stream) - index + n_copies - 1) // n_copies
    if own <= 0 or j >= own * n_inputs:
        return n_inputs, 0
    return j // own, (index + j % own * n_copies) // get(t, T.vectors_per_row, stream)


@inner
def to_come(t, s, site, inbox, n_inputs):  # type: ignore[no-untyped-def]
    """The first unit in an inbox that its site will still need, beyond all units if there is none."""
    units, needs = get(t, T.edge_units, get(t, T.inbox_edge, inbox)), get(t, T.need_ptr, inbox)
    first = units * n_inputs
    if get(t, T.stream_kind, get(t, T.site_stream, site)) == JOIN:
        rows, row = get(t, T.stream_rows, get(t, T.site_stream, site)), get(s, S.site_next, site)
        if row < rows * n_inputs:
            first = row // rows * units + get(t, T.need_first, needs + row % rows)
    for spot in entries(t, T.site_lane_ptr, site):
        lane = get(t, T.site_lane, spot)
        k, row = place_of(t, get(t, T.lane_copy, lane), get(t, T.lane_index, lane), get(s, S.lane_next, lane), n_inputs)
        if k < n_inputs:
            first = min(first, k * units + get(t, T.need_first, needs + row))
    return first


@inner
def free_behind(t, s, queue, site, now, n_inputs):  # type: ignore[no-untyped-def]
    """Units that the site does not need any more leave its inboxes."""
    for place in entries(t, T.site_inbox_ptr, site):
        inbox = get(t, T.site_inbox, place)
        free(t, s, queue, inbox, to_come(t, s, site, inbox, n_inputs), now)


@inner
def input_there(t, s, site, k, row):  # type: ignore[no-untyped-def]
    """Whether the units that a row needs are in all inboxes of a site."""
    for place in entries(t, T.site_inbox_ptr, site):
        inbox = get(t, T.site_inbox, place)
        units = get(t, T.edge_units, get(t, T.inbox_edge, inbox))
        if get(s, S.arrived, inbox) <= k * units + get(t, T.need_last, get(t, T.need_ptr, inbox) + row):
            return False
    return True


@inner
def staging_full(t, s, stream, row):  # type: ignore[no-untyped-def]
    """Whether as many complete rows before this one (of the batch) as the stream keeps wait to be sent.

    Those after it do not count: a copy that is ahead must not keep the others from the row that has to be sent first.
    """
    room, released = get(t, T.stream_staging, stream), get(s, S.released, stream)
    if get(s, S.complete, stream) - released < room:
        return False
    for before in range(released, row):
        room -= get(s, S.row_done, get(s, S.row_ptr, stream) + before)
        if room == 0:
            return True
    return False


@inner
def hindrance(t, s, lane, k, row):  # type: ignore[no-untyped-def]
    """What a lane waits for, READ if it can go on."""
    site = get(t, T.lane_site, lane)
    if not input_there(t, s, site, k, row):
        return INPUT_WAIT
    stream = get(t, T.site_stream, site)
    if staging_full(t, s, stream, k * get(t, T.stream_rows, stream) + row):
        return BUFFER_FULL
    copy = get(t, T.lane_copy, lane)
    gathered = get(s, S.gathered, copy)
    if gathered - get(s, S.finished, copy) >= UNIT_REGISTERS:
        return OUTPUT_WAIT
    if get(s, S.lane_done, lane) - gathered >= OUTPUT_REGISTERS or get(s, S.lane_next, lane) - gathered >= RING:
        return OUTPUT_WAIT
    return READ


@inner
def try_lane(t, s, queue, lane, now, n_inputs):  # type: ignore[no-untyped-def]
    """A lane looks whether it can take its next vector, and takes it."""
    j, site = get(s, S.lane_next, lane), get(t, T.lane_site, lane)
    k, row = place_of(t, get(t, T.lane_copy, lane), get(t, T.lane_index, lane), j, n_inputs)
    if k >= n_inputs:
        put(s, S.lane_waits, lane, 0)
        return
    reason = hindrance(t, s, lane, k, row)
    spend(s, lane, get(s, S.lane_reason, lane), now)
    put(s, S.lane_reason, lane, reason)
    if reason != READ:
        return
    put(s, S.lane_waits, lane, 0)
    tile, convert_fs = get(t, T.site_tile, site), get(t, T.lane_convert_fs, lane)
    fetched = fetch(t, s, tile, lane, j, now)
    begin = max(fetched, get(s, S.lane_free, lane))
    end, pulses, read_fs = begin, get(t, T.lane_pulses, lane), get(t, T.lane_read_fs, lane)
    first = max(begin + read_fs, get(s, S.lane_adc, lane))
    for _ in range(pulses):
        sampled = max(end + read_fs, get(s, S.lane_adc, lane))
        add(s, S.spent, lane * N_SPENT + ADC, sampled - end - read_fs)
        put(s, S.lane_adc, lane, sampled + convert_fs)
        end = sampled
    add(s, S.spent, lane * N_SPENT + READ, pulses * read_fs)
    put(s, S.lane_cursor, lane, end)
    put(s, S.lane_free, lane, end)
    keep(s, READS, lane, begin, end, j, NOTHING)
    converted = end + stage(t, convert_fs)
    added = converted + get(t, T.lane_add_fs, lane)
    if converted > first:
        keep(s, CONVERTING, lane, first, converted, j, NOTHING)
    if added > converted:
        keep(s, ADDING, lane, converted, added, j, NOTHING)
    push(queue, begin, Kind.REGISTER, lane)
    push(queue, added, Kind.DONE, lane)


@inner
def fetch(t, s, tile, lane, j, now):  # type: ignore[no-untyped-def]
    """A lane fetches its j-th vector; returns when it is in the input register."""
    port_fs, bus_fs = get(t, T.lane_port_fs, lane), get(t, T.lane_bus_fs, lane)
    ready = now if bus_fs == 0 else max(now, get(s, S.bus_free, tile))
    start = bus(s, tile, port(s, tile, ready, port_fs), bus_fs)
    fetched = start + stage(t, max(port_fs, bus_fs))
    spend(s, lane, BUS_WAIT, start)
    spend(s, lane, FETCH, fetched)
    if fetched > start:
        keep(s, FETCHED, lane, start, fetched, j, NOTHING)
    return fetched


@inner
def bus(s, tile, now, fs):  # type: ignore[no-untyped-def]
    """Take a tile's bus; returns when that starts."""
    if fs == 0:
        return now
    start = max(now, get(s, S.bus_free, tile))
    put(s, S.bus_free, tile, start + fs)
    add(s, S.bus_busy, tile, fs)
    return start


@inner
def begun(t, s, queue, lane, now, n_inputs):  # type: ignore[no-untyped-def]
    """A vector has left the input register, which is free for the next one."""
    add(s, S.lane_next, lane, 1)
    put(s, S.lane_waits, lane, 1)
    free_behind(t, s, queue, get(t, T.lane_site, lane), now, n_inputs)
    ask_lane(s, queue, lane, now)


@inner
def done(t, s, queue, lane, now):  # type: ignore[no-untyped-def]
    copy, tile = get(t, T.lane_copy, lane), get(t, T.site_tile, get(t, T.lane_site, lane))
    place = get(s, S.lane_done, lane) % RING
    put(s, S.done_at, copy * RING + place, max(get(s, S.done_at, copy * RING + place), now))
    add(s, S.lane_done, lane, 1)
    fs = get(t, T.lane_sums_fs, lane)
    start = bus(s, tile, now, fs)
    if fs > 0:
        keep(s, SUMMED, lane, start, start + fs, get(s, S.lane_done, lane) - 1, NOTHING)
    for channel in entries(t, T.lane_channel_ptr, lane):
        push(queue, start + fs, Kind.SUMS_OUT, channel)


@inner
def sums(t, s, queue, channel, now):  # type: ignore[no-untyped-def]
    """A vector's sums are at one of its homes; with the last of them all homes put the vector together."""
    add(s, S.channel_count, channel, 1)
    copy = get(t, T.channel_copy, channel)
    lane0, lane1 = get(t, T.copy_lane_ptr, copy), get(t, T.copy_lane_ptr, copy + 1)
    for c in range(get(t, T.lane_channel_ptr, lane0), get(t, T.lane_channel_ptr, lane1)):
        if get(s, S.channel_count, c) <= get(s, S.gathered, copy):
            return
    place = copy * RING + get(s, S.gathered, copy) % RING
    done = get(s, S.done_at, place)
    put(s, S.done_at, place, 0)
    add(s, S.gathered, copy, 1)
    end = max(now, get(s, S.last_end, copy))
    for home in entries(t, T.copy_home_ptr, copy):
        first = get(t, T.home_tile, home) * N_UNITS  # of the tile's digital units
        at = now
        for unit in range(ADD, DIGITAL + 1):
            fs = get(t, T.home_fs, home * N_UNITS + unit)
            start = start_unit(s, first + get(t, T.unit_server, unit), fs, at)
            # adding and the way to it are one stage
            at = done + stage(t, start + fs - done) if unit == ADD else start + stage(t, fs)
            if fs > 0:
                keep(s, WORKING, home, start, start + fs, unit, NOTHING)
        end = max(end, at)
    put(s, S.last_end, copy, end)
    push(queue, end, Kind.VECTOR, copy)
    for lane in range(lane0, lane1):
        ask_lane(s, queue, lane, now)


@inner
def start_unit(s, unit, fs, now):  # type: ignore[no-untyped-def]
    """Work of fs in a digital unit, in the order of request; returns its start."""
    if fs == 0:
        return now
    start = max(now, get(s, S.unit_free, unit))
    put(s, S.unit_free, unit, start + fs)
    add(s, S.unit_busy, unit, fs)
    return start


@inner
def vector(t, s, queue, copy, now, n_inputs):  # type: ignore[no-untyped-def]
    """A copy's next vector is made."""
    stream, j = get(t, T.copy_stream, copy), get(s, S.finished, copy)
    k, row = place_of(t, copy, copy - get(t, T.stream_copy_ptr, stream), j, n_inputs)
    put(s, S.finished, copy, j + 1)
    for lane in entries(t, T.copy_lane_ptr, copy):
        ask_lane(s, queue, lane, now)
    part_made(t, s, queue, stream, k * get(t, T.stream_rows, stream) + row, now, n_inputs)


@inner
def part_made(t, s, queue, stream, row, now, n_inputs):  # type: ignore[no-untyped-def]
    """One of the pieces in which a row is made is there."""
    place = get(s, S.row_ptr, stream) + row
    add(s, S.row_left, place, -1)
    if get(s, S.row_left, place) == 0:
        put(s, S.row_done, place, 1)
        add(s, S.complete, stream, 1)
        ask_to_send(t, s, queue, stream, now)
        release(t, s, queue, stream, now, n_inputs)


@inner
def try_site(t, s, queue, site, now, n_inputs):  # type: ignore[no-untyped-def]
    """A join's site looks whether it can make its next row, and makes it."""
    stream, row = get(t, T.site_stream, site), get(s, S.site_next, site)
    rows = get(t, T.stream_rows, stream)
    if row >= rows * n_inputs or not input_there(t, s, site, row // rows, row % rows):
        return
    if staging_full(t, s, stream, row):
        return
    fs = get(t, T.site_fs, site)
    unit = get(t, T.site_tile, site) * N_UNITS + get(t, T.unit_server, DIGITAL)
    start = start_unit(s, unit, fs, now)
    if fs > 0:
        keep(s, JOINING, site, start, start + fs, row, NOTHING)
    put(s, S.site_busy, site, 1)
    push(queue, start + stage(t, fs), Kind.JOINED, site)


@inner
def joined(t, s, queue, site, now, n_inputs):  # type: ignore[no-untyped-def]
    """A join's site has made its row."""
    stream, row = get(t, T.site_stream, site), get(s, S.site_next, site)
    put(s, S.site_next, site, row + 1)
    put(s, S.site_busy, site, 0)
    part_made(t, s, queue, stream, row, now, n_inputs)
    free_behind(t, s, queue, site, now, n_inputs)
    ask_site(s, queue, site, now)
