"""The chip that the plain twin of the cycle model runs on: an object for each thing of the tables (`cycle_tables`)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from xbar.kernels.cycle_tables import INPUT, INPUT_WAIT, LAYER, N_SPENT, N_UNITS, SINK, T
from xbar.kernels.packed import Packed


@dataclass(eq=False)
class Server:
    """A port, a bus, or a digital unit: works in the order of request."""

    free: int = 0
    busy: int = 0

    def take(self, now: int, fs: int) -> int:
        """The start of work of fs; no work waits for nobody."""
        if fs == 0:
            return now
        start = max(now, self.free)
        self.free = start + fs
        self.busy += fs
        return start


@dataclass(eq=False)
class Tile:
    number: int
    word_bits: int
    word_fs: int
    ports: list[Server]
    bus: Server = field(default_factory=Server)
    units: list[Server] = field(default_factory=lambda: [Server() for _ in range(N_UNITS)])
    inboxes: list[Inbox] = field(default_factory=list)
    high: int = 0

    def port(self) -> Server:
        return min(self.ports, key=lambda port: port.free)


@dataclass(eq=False)
class Stream:
    """left: by row of the batch, the parts that are still to be made."""

    kind: int
    rows: int
    staging: int
    left: list[int]
    edges: list[Edge] = field(default_factory=list)
    sites: list[Site] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    released: int = 0

    def full(self, row: int) -> bool:
        """Whether there is no room for complete rows before this one, beside those that wait already."""
        return self.left[self.released : row].count(0) >= self.staging


@dataclass(eq=False)
class Edge:
    """units: the rows of the source that each unit of the batch is made of."""

    number: int
    source: Stream
    units: list[range]
    per_input: int
    inboxes: list[Inbox] = field(default_factory=list)
    flows: list[Flow] = field(default_factory=list)
    sent: int = 0


@dataclass(eq=False)
class Inbox:
    """needs: the first and the last unit that each row of the batch needs; left: messages of each unit to come."""

    number: int
    edge: Edge
    site: Site
    slots: int
    unit_bits: int
    last_bits: int
    needs: list[tuple[int, int]]
    left: list[int]
    arrived: int = 0
    freed: int = 0

    def held(self) -> int:
        return max(0, self.edge.sent - self.freed)

    def bits(self) -> int:
        return (self.held() - 1) * self.unit_bits + self.last_bits if self.held() else 0


@dataclass(eq=False)
class Site:
    """row: of the batch, that a join makes next."""

    number: int
    stream: Stream
    tile: Tile
    fs: int
    inboxes: list[Inbox] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    row: int = 0
    busy: bool = False

    def has_input(self, row: int) -> bool:
        return all(inbox.arrived > inbox.needs[row][1] for inbox in self.inboxes)

    def to_come(self) -> list[int]:
        """The next row of everyone who works here."""
        if self.stream.kind == LAYER:
            return [lane.copy.rows[lane.begun] for lane in self.lanes if lane.begun < len(lane.copy.rows)]
        return [self.row] if self.row < len(self.stream.left) else []


@dataclass(eq=False)
class Home:
    """fs: work on a vector, by digital unit."""

    number: int
    tile: Tile
    fs: list[int]


@dataclass(eq=False)
class Copy:
    """rows: of the batch, of which each vector is a part. ends: when the last lane was done with a vector.
    gathered, made: vectors whose sums are together, and that are through their homes."""

    number: int
    stream: Stream
    rows: list[int]
    homes: list[Home]
    lanes: list[Lane] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    gathered: int = 0
    made: int = 0
    last_end: int = 0


@dataclass(eq=False)
class Lane:
    """fs: its times. begun, done: vectors. read, converted: when the last sample was."""

    number: int
    site: Site
    copy: Copy
    pulses: int
    fs: dict[str, int]
    channels: list[Channel] = field(default_factory=list)
    begun: int = 0
    done: int = 0
    waits: bool = True
    reason: int = INPUT_WAIT
    read: int = 0
    converted: int = 0
    accounted: int = 0
    spent: list[int] = field(default_factory=lambda: [0] * N_SPENT)

    def spend(self, way: int, until: int) -> None:
        self.spent[way] += max(0, until - self.accounted)
        self.accounted = max(until, self.accounted)


@dataclass(eq=False)
class Channel:
    number: int
    copy: Copy
    flow: Flow | None = None
    there: int = 0


@dataclass(eq=False)
class Link:
    number: int
    flit_bits: int
    flit_fs: int
    free: int = 0
    busy: int = 0
    bits: int = 0
    wait: int = 0


@dataclass(eq=False)
class Flow:
    number: int
    bits: int
    path: list[Link | Inbox | Channel]


@dataclass(eq=False)
class Message:
    """path: what is still to come of it; tail: when its last flit is here."""

    number: int
    flow: Flow
    unit: int
    path: list[Link | Inbox | Channel]
    tail: int


class Chip:
    """The things of the tables, before anything happens."""

    def __init__(self, tables: Packed, n_inputs: int) -> None:
        self.t: dict[str, Any] = {name.name: tables[name].tolist() for name in T}
        t, of = self.t, self._of
        self.cycle_fs = t["cycle_fs"][0]
        words = zip(t["tile_word_bits"], t["tile_word_fs"], t["tile_ports"], strict=True)
        self.tiles = [Tile(i, bits, fs, [Server() for _ in range(n)]) for i, (bits, fs, n) in enumerate(words)]
        self.servers: list[int] = t["unit_server"]
        for tile in self.tiles:
            tile.units = [tile.units[server] for server in self.servers]
        flits = zip(t["link_flit_bits"], t["link_flit_fs"], strict=True)
        self.links = [Link(i, bits, fs) for i, (bits, fs) in enumerate(flits)]
        self.streams = [self._stream(i, n_inputs) for i in range(len(t["stream_kind"]))]
        self.edges = [self._edge(i, n_inputs) for i in range(len(t["edge_source"]))]
        sites = zip(t["site_stream"], t["site_tile"], t["site_fs"], strict=True)
        self.sites = [Site(i, self.streams[s], self.tiles[tile], fs) for i, (s, tile, fs) in enumerate(sites)]
        self.inboxes = [self._inbox(i, n_inputs) for i in range(len(t["inbox_edge"]))]
        self.copies = [self._copy(i, s, n_inputs) for i, s in enumerate(t["copy_stream"])]
        names = ("port", "bus", "read", "convert", "add", "sums")
        lanes = zip(t["lane_site"], t["lane_copy"], t["lane_pulses"], strict=True)
        self.lanes = [
            Lane(i, self.sites[site], self.copies[copy], pulses, {name: t[f"lane_{name}_fs"][i] for name in names})
            for i, (site, copy, pulses) in enumerate(lanes)
        ]
        self.channels = [Channel(i, self.copies[copy]) for i, copy in enumerate(t["channel_copy"])]
        steps = [*self.links, *reversed(self.channels), *reversed(self.inboxes)]  # paths count those back from -1
        self.flows = [
            Flow(i, n, [steps[t["path"][k]] for k in of("flow_path", i)]) for i, n in enumerate(t["flow_bits"])
        ]
        for i, stream in enumerate(self.streams):
            stream.edges = [self.edges[t["out_edge"][k]] for k in of("stream_edge", i)]
            stream.sites = [self.sites[k] for k in of("stream_site", i)]
            stream.copies = [self.copies[k] for k in of("stream_copy", i)]
        for i, edge in enumerate(self.edges):
            edge.inboxes = [self.inboxes[k] for k in of("edge_inbox", i)]
            edge.flows = [self.flows[k] for k in of("edge_flow", i)]
        for i, site in enumerate(self.sites):
            site.inboxes = [self.inboxes[t["site_inbox"][k]] for k in of("site_inbox", i)]
            site.lanes = [self.lanes[t["site_lane"][k]] for k in of("site_lane", i)]
            site.tile.inboxes += site.inboxes
        for i, copy in enumerate(self.copies):
            copy.lanes = [self.lanes[k] for k in of("copy_lane", i)]
        for i, lane in enumerate(self.lanes):
            lane.channels = [self.channels[k] for k in of("lane_channel", i)]
        for channel, flow in zip(self.channels, t["channel_flow"], strict=True):
            channel.flow = self.flows[flow] if flow >= 0 else None

    def _of(self, name: str, owner: int) -> range:
        return range(*self.t[f"{name}_ptr"][owner : owner + 2])

    def _stream(self, i: int, n_inputs: int) -> Stream:
        t, kind, rows = self.t, self.t["stream_kind"][i], self.t["stream_rows"][i]
        parts = [0 if kind == INPUT else t["stream_parts"][i]] * rows
        if kind == LAYER:
            parts = [t["vectors_per_row"][i]] * (rows - 1)
            parts.append(t["vectors"][i] - sum(parts))
        return Stream(kind, rows, t["stream_staging"][i], parts * n_inputs if kind != SINK else [])

    def _edge(self, i: int, n_inputs: int) -> Edge:
        stream, units = self.streams[self.t["edge_source"][i]], self._of("unit", i)
        made = [(self.t["unit_first"][u], self.t["unit_last"][u] + 1) for u in units]
        rows = [range(k * stream.rows + a, k * stream.rows + b) for k in range(n_inputs) for a, b in made]
        return Edge(i, stream, rows, len(units))

    def _inbox(self, i: int, n_inputs: int) -> Inbox:
        t, edge = self.t, self.edges[self.t["inbox_edge"][i]]
        pairs = [(t["need_first"][row], t["need_last"][row]) for row in self._of("need", i)]
        needs = [(k * edge.per_input + a, k * edge.per_input + b) for k in range(n_inputs) for a, b in pairs]
        slots, bits, last = (t[f"inbox_{name}"][i] for name in ("slots", "unit_bits", "last_bits"))
        left = [t["inbox_flows"][i]] * len(edge.units)
        return Inbox(i, edge, self.sites[t["inbox_site"][i]], slots, bits, last, needs, left)

    def _copy(self, i: int, s: int, n_inputs: int) -> Copy:
        t, stream, copies = self.t, self.streams[s], self._of("stream_copy", s)
        own = [v // t["vectors_per_row"][s] for v in range(i - copies.start, t["vectors"][s], len(copies))]
        homes = [Home(home, self.tiles[t["home_tile"][home]], t["home_fs"][home]) for home in self._of("copy_home", i)]
        return Copy(i, stream, [k * stream.rows + row for k in range(n_inputs) for row in own], homes)
