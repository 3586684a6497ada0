"""The plain twin of `xbar.kernels.cycles`: the same events in Python's whole numbers, to be read, not to be fast."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from typing import Any

from xbar.kernels.chip_plain import Channel, Chip, Copy, Edge, Flow, Inbox, Lane, Link, Message, Site, Stream
from xbar.kernels.cycle_state import OUTPUT_REGISTERS, RING, UNIT_REGISTERS, Kind, S, Traced
from xbar.kernels.cycle_tables import (
    ADC,
    ADD,
    BUFFER_FULL,
    BUS_WAIT,
    DIGITAL,
    FETCH,
    IDLE,
    INPUT,
    INPUT_WAIT,
    JOIN,
    LAYER,
    N_UNITS,
    OUTPUT_WAIT,
    READ,
    SINK,
)
from xbar.kernels.packed import Packed


class Run:
    """A batch on a chip, all of it."""

    def __init__(self, tables: Packed, n_inputs: int) -> None:
        self.chip, self.n_inputs = Chip(tables, n_inputs), n_inputs
        self.now = self.n_events = self.n_letters = self.bits_sent = self.bits_arrived = 0
        self.events: list[tuple[int, int, int, int, Callable[[], None]]] = []
        self.asked: set[tuple[Kind, int]] = set()
        self.order, self.new_numbers, self.old_numbers = count(), count(), list[int]()
        self.begin, self.end = [-1] * n_inputs, [-1] * n_inputs
        self.trace: list[list[int]] = []
        for edge in self.chip.edges:
            self.ask_edge(edge)
        for site in self.chip.sites:
            self.free_behind(site)
        self.ask_lanes(self.chip.lanes)
        while self.events:
            self.now, *_, happen = heapq.heappop(self.events)
            self.n_events += 1
            happen()
        for lane in self.chip.lanes:
            lane.spend(IDLE, self.now)

    def at(self, time: int, kind: Kind, index: int, happen: Callable[[], None]) -> None:
        if time < self.now:
            raise RuntimeError("time runs backwards")
        heapq.heappush(self.events, (time, kind, index, next(self.order), happen))

    def ask(self, kind: Kind, index: int, look: Callable[[], None]) -> None:
        """Somebody is to look whether there is something to do; once is enough."""

        def happen() -> None:
            self.asked.remove((kind, index))
            look()

        if (kind, index) not in self.asked:
            self.asked.add((kind, index))
            self.at(self.now, kind, index, happen)

    def ask_edge(self, edge: Edge) -> None:
        self.ask(Kind.SEND, edge.number, partial(self.send, edge))

    def ask_lanes(self, lanes: Iterable[Lane]) -> None:
        for lane in lanes:
            if lane.waits:
                self.ask(Kind.LANE, lane.number, partial(self.take_vector, lane))

    def ask_site(self, site: Site) -> None:
        if not site.busy:
            self.ask(Kind.SITE, site.number, partial(self.take_row, site))

    def stage(self, fs: int) -> int:
        cycle = self.chip.cycle_fs
        return -(-fs // cycle) * cycle if cycle else fs

    def note(self, kind: Traced, index: int, begin: int, end: int, detail: int, bits: int = 0) -> None:
        """An interval of the trace; lanes and messages have empty ones too."""
        if end > begin or kind in (Traced.READS, Traced.ON_LINK):
            self.trace.append([kind, index, begin, end, detail, bits])

    # 1. Units are sent, rows are released.

    def send(self, edge: Edge) -> None:
        unit, source = edge.sent, edge.source
        if unit == len(edge.units) or any(source.left[row] for row in edge.units[unit]):
            return
        if any(unit >= inbox.freed + inbox.slots for inbox in edge.inboxes):
            return
        edge.sent += 1
        if source.kind == INPUT and self.begin[unit // edge.per_input] < 0:
            self.begin[unit // edge.per_input] = self.now
        for inbox in edge.inboxes:
            self.note_high(inbox)
        for flow in edge.flows:
            self.post(flow, unit)
        for inbox in edge.inboxes:
            if inbox.left[unit] == 0:
                self.arrive(inbox)
        self.release(source)
        self.ask_edge(edge)

    def release(self, stream: Stream) -> None:
        before, limit = stream.released, len(stream.left)
        for edge in stream.edges:
            if edge.sent < len(edge.units):
                limit = min(limit, edge.units[edge.sent].start)
        while stream.released < limit and stream.left[stream.released] == 0:
            stream.released += 1
        if stream.released > before and stream.kind == LAYER:
            self.ask_lanes(lane for copy in stream.copies for lane in copy.lanes)
        elif stream.released > before and stream.kind == JOIN:
            for site in stream.sites:
                self.ask_site(site)

    def part_made(self, stream: Stream, row: int) -> None:
        stream.left[row] -= 1
        if stream.left[row] == 0:
            for edge in stream.edges:
                self.ask_edge(edge)
            self.release(stream)

    def note_high(self, inbox: Inbox) -> None:
        tile = inbox.site.tile
        tile.high = max(tile.high, sum(other.bits() for other in tile.inboxes))

    def free_behind(self, site: Site) -> None:
        """Units that nobody at a site will need leave its inboxes; those of the sink stay."""
        if site.stream.kind == SINK:
            return
        for inbox in site.inboxes:
            freed = min((inbox.needs[row][0] for row in site.to_come()), default=len(inbox.left))
            if freed > inbox.freed:
                inbox.freed = freed
                self.ask_edge(inbox.edge)

    # 2. Messages.

    def new_number(self) -> int:
        return self.old_numbers.pop() if self.old_numbers else next(self.new_numbers)

    def post(self, flow: Flow, unit: int) -> None:
        self.n_letters += 1
        self.go_on(Message(self.new_number(), flow, unit, list(flow.path), self.now))

    def go_on(self, message: Message) -> None:
        """A message's head drops what is to be dropped here, and takes the next link."""
        bits = message.flow.bits
        while message.path:
            step = message.path.pop(0)
            if isinstance(step, Link):
                start = max(self.now, step.free)
                n_flits = max(-(-bits // step.flit_bits), 1)  # also of a message without numbers
                end = max(start + n_flits * step.flit_fs, message.tail + step.flit_fs)
                step.busy += end - start
                step.bits += bits
                step.wait += start - self.now
                step.free = message.tail = end
                self.note(Traced.ON_LINK, step.number, start, end, message.flow.number, bits)
                self.at(start + step.flit_fs, Kind.HOP, message.number, partial(self.go_on, message))
                return
            self.bits_sent += bits
            if isinstance(step, Inbox):
                self.drop(message, step)
            else:
                self.bits_arrived += bits
                self.at(message.tail, Kind.SUMS_IN, step.number, partial(self.sums_in, step))
        self.old_numbers.append(message.number)

    def drop(self, message: Message, inbox: Inbox) -> None:
        """A part of a unit is at an inbox's tile, and written to its buffer."""
        number, tile, bits, unit = self.new_number(), inbox.site.tile, message.flow.bits, message.unit
        fs = -(-bits // tile.word_bits) * tile.word_fs

        def write() -> None:
            start = tile.port().take(self.now, fs)
            self.note(Traced.WRITING, tile.number, start, start + fs, inbox.number, bits)
            self.at(start + self.stage(fs), Kind.WRITTEN, number, written)

        def written() -> None:
            self.bits_arrived += bits
            self.old_numbers.append(number)
            inbox.left[unit] -= 1
            self.arrive(inbox)

        self.at(message.tail, Kind.DROP, number, write)

    def arrive(self, inbox: Inbox) -> None:
        before, site = inbox.arrived, inbox.site
        while inbox.arrived < inbox.edge.sent and inbox.left[inbox.arrived] == 0:
            inbox.arrived += 1
        if inbox.arrived == before:
            return
        if site.stream.kind == SINK:
            through = min(other.arrived // other.edge.per_input for other in site.inboxes)
            self.end[:through] = [end if end >= 0 else self.now for end in self.end[:through]]
        elif site.stream.kind == JOIN:
            self.ask_site(site)
        else:
            self.ask_lanes(site.lanes)

    # 3. Lanes.

    def hindrance(self, lane: Lane) -> int:
        """What a lane waits for; READ if it can take its next vector."""
        row, copy = lane.copy.rows[lane.begun], lane.copy
        if not lane.site.has_input(row):
            return INPUT_WAIT
        if copy.stream.full(row):
            return BUFFER_FULL
        if copy.gathered - copy.made >= UNIT_REGISTERS:
            return OUTPUT_WAIT
        if lane.done - copy.gathered >= OUTPUT_REGISTERS or lane.begun - copy.gathered >= RING:
            return OUTPUT_WAIT
        return READ

    def take_vector(self, lane: Lane) -> None:
        lane.waits = lane.begun < len(lane.copy.rows)
        if not lane.waits:
            return
        lane.spend(lane.reason, self.now)
        lane.reason = self.hindrance(lane)
        if lane.reason != READ:
            return
        lane.waits = False
        tile, fs = lane.site.tile, lane.fs
        ready = max(self.now, tile.bus.free) if fs["bus"] else self.now
        start = tile.port().take(ready, fs["port"])
        tile.bus.take(start, fs["bus"])
        fetched = start + self.stage(max(fs["port"], fs["bus"]))
        lane.spend(BUS_WAIT, start)
        lane.spend(FETCH, fetched)
        self.note(Traced.FETCHED, lane.number, start, fetched, lane.begun)
        begin = end = max(fetched, lane.read)
        first = max(begin + fs["read"], lane.converted)
        for _ in range(lane.pulses):
            lane.spend(READ, end + fs["read"])
            end = max(end + fs["read"], lane.converted)
            lane.spend(ADC, end)
            lane.converted = end + fs["convert"]
        lane.read = end
        self.note(Traced.READS, lane.number, begin, end, lane.begun)
        converted = end + self.stage(fs["convert"])
        self.note(Traced.CONVERTING, lane.number, first, converted, lane.begun)
        self.note(Traced.ADDING, lane.number, converted, converted + fs["add"], lane.begun)
        self.at(begin, Kind.REGISTER, lane.number, partial(self.begun, lane))
        self.at(converted + fs["add"], Kind.DONE, lane.number, partial(self.done, lane))

    def begun(self, lane: Lane) -> None:
        lane.begun += 1
        lane.waits = True
        self.free_behind(lane.site)
        self.ask_lanes([lane])

    # 4. Sums.

    def done(self, lane: Lane) -> None:
        lane.copy.ends[lane.done] = self.now  # of all its lanes, the last one stays
        lane.done += 1
        start = lane.site.tile.bus.take(self.now, lane.fs["sums"])
        self.note(Traced.SUMMED, lane.number, start, start + lane.fs["sums"], lane.done - 1)
        for channel in lane.channels:
            self.at(start + lane.fs["sums"], Kind.SUMS_OUT, channel.number, partial(self.sums_out, channel))

    def sums_out(self, channel: Channel) -> None:
        if channel.flow is None:
            self.sums_in(channel)
        else:
            self.post(channel.flow, 0)

    def sums_in(self, channel: Channel) -> None:
        """With a vector's last sums all homes put it together."""
        copy = channel.copy
        channel.there += 1
        if any(other.there <= copy.gathered for lane in copy.lanes for other in lane.channels):
            return
        done = copy.ends.pop(copy.gathered)
        copy.gathered += 1
        for home in copy.homes:
            at = self.now
            for unit, fs in enumerate(home.fs):
                start = home.tile.units[unit].take(at, fs)
                at = done + self.stage(start + fs - done) if unit == ADD else start + self.stage(fs)
                self.note(Traced.WORKING, home.number, start, start + fs, unit)
            copy.last_end = max(copy.last_end, at)
        self.at(copy.last_end, Kind.VECTOR, copy.number, partial(self.vector_made, copy))
        self.ask_lanes(copy.lanes)

    def vector_made(self, copy: Copy) -> None:
        copy.made += 1
        self.ask_lanes(copy.lanes)
        self.part_made(copy.stream, copy.rows[copy.made - 1])

    # 5. Joins.

    def take_row(self, site: Site) -> None:
        row, stream, fs = site.row, site.stream, site.fs
        if row == len(stream.left) or not site.has_input(row) or stream.full(row):
            return
        start = site.tile.units[DIGITAL].take(self.now, fs)
        self.note(Traced.JOINING, site.number, start, start + fs, row)
        site.busy = True
        self.at(start + self.stage(fs), Kind.JOINED, site.number, partial(self.row_joined, site))

    def row_joined(self, site: Site) -> None:
        site.row += 1
        site.busy = False
        self.part_made(site.stream, site.row - 1)
        self.free_behind(site)
        self.ask_site(site)

    def figures(self) -> dict[S, Any]:
        """What came of it, as the kernel's state has it; of the trace all there is."""
        chip = self.chip
        return {
            S.begin: self.begin,
            S.end: self.end,
            S.spent: [lane.spent for lane in chip.lanes],
            S.link_busy: [link.busy for link in chip.links],
            S.link_bits: [link.bits for link in chip.links],
            S.link_wait: [link.wait for link in chip.links],
            S.port_busy: [sum(port.busy for port in tile.ports) for tile in chip.tiles],
            S.bus_busy: [tile.bus.busy for tile in chip.tiles],
            S.unit_busy: [[tile.units[i].busy * (i == chip.servers[i]) for i in range(N_UNITS)] for tile in chip.tiles],
            S.tile_high: [tile.high for tile in chip.tiles],
            S.moved: [self.bits_sent, self.bits_arrived, self.n_letters, self.n_events],
            S.trace: self.trace,
            S.complete: [stream.left.count(0) for stream in chip.streams],
            S.released: [stream.released for stream in chip.streams],
            S.sent: [edge.sent for edge in chip.edges],
            S.arrived: [inbox.arrived for inbox in chip.inboxes],
            S.freed: [inbox.freed for inbox in chip.inboxes],
            S.lane_waits: [lane.waits for lane in chip.lanes],
            S.lane_reason: [lane.reason for lane in chip.lanes],
            S.site_next: [site.row for site in chip.sites],
        }
