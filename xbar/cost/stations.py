"""From an outline to the tables of the cycle model: who computes, waits, sends and receives what, and how long it
takes.

Rates are those of the chip's parts (`Chip.events_per_s`, its buffer, router and links); what the chip has no part for
takes no time. Times are whole femtoseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbar.cost.buffers import Inbox, slots_of, waiting_rows
from xbar.dataflow import Edge, Stream
from xbar.events import Event
from xbar.hardware import Chip
from xbar.kernels.cycle_tables import INPUT, JOIN, LAYER, N_UNITS, SINK, T
from xbar.kernels.packed import Packed
from xbar.outline import LayerOutline, Outline, conversion_times_s, read_times_s
from xbar.traffic import OUTSIDE, Flow, Links, edge_flows, takers

Ints = NDArray[np.int64]

OFFCHIP_FLIT_BITS = 64
_KIND = {"input": INPUT, "layer": LAYER, "join": JOIN}
_UNIT_EVENTS: tuple[Event, ...] = ("tile_adds", "activation_ops", "pooling_ops", "digital_ops")


@dataclass(frozen=True)
class Lane:
    """The share of a layer's copy that is in one tile."""

    layer: int
    copy: int
    tile: int
    cores: int


@dataclass(frozen=True, eq=False)
class Stations:
    """The tables, and what their numbers stand for. tiles: real tiles; the one after them stands for the outside.

    inbox_tile, inbox_stream, inbox_edge: of each inbox. notes: what the tables take for granted.
    """

    outline: Outline
    tables: Packed
    streams: tuple[Stream, ...]
    lanes: tuple[Lane, ...]
    links: Links
    n_tiles: int
    inboxes: tuple[Inbox, ...]
    notes: tuple[str, ...]


def fs(seconds: float) -> int:
    """Whole femtoseconds."""
    return round(seconds * 1e15)


def stations(outline: Outline) -> Stations:
    """The stations of a network on a chip. Raises CapacityError where a buffer cannot hold a window."""
    return _Builder(outline).build()


@dataclass
class _Table:
    """Columns that grow; `ptr` notes where the entries of each owner end."""

    columns: dict[str, list[int]] = field(default_factory=dict)

    def add(self, **values: int) -> None:
        for name, value in values.items():
            self.columns.setdefault(name, []).append(value)

    def extend(self, name: str, values: Sequence[int] | Ints) -> None:
        self.columns.setdefault(name, []).extend(values)

    def ptr(self, name: str, of: str) -> None:
        self.columns.setdefault(name, [0]).append(len(self.columns.get(of, ())))


class _Builder:
    def __init__(self, outline: Outline) -> None:
        self.outline, self.chip = outline, outline.chip
        self.links = Links(self.chip, outline.n_chips)
        self.n_tiles = outline.n_chips * self.chip.chip.tiles
        self.streams = (*outline.flow.streams, _sink(outline))
        self.t = _Table()
        for name in ("stream_edge_ptr", "stream_site_ptr", "stream_copy_ptr", "edge_inbox_ptr", "edge_flow_ptr"):
            self.t.columns[name] = [0]
        for name in ("unit_ptr", "need_ptr", "site_inbox_ptr", "site_lane_ptr", "lane_channel_ptr", "copy_lane_ptr"):
            self.t.columns[name] = [0]
        for name in ("copy_home_ptr", "flow_path_ptr"):
            self.t.columns[name] = [0]
        self.lanes: list[Lane] = []
        self.inboxes: list[Inbox] = []
        self.edges: list[tuple[int, Edge]] = [(i, e) for i, s in enumerate(self.streams) for e in s.edges]
        self.site_of: dict[tuple[int, int], int] = {}
        self.home_fs: list[list[int]] = []

    def build(self) -> Stations:
        self._streams()
        self._sites()
        self._edges()
        slots, notes = slots_of(self.outline, tuple(self.inboxes), self.streams)
        self.t.extend("inbox_slots", slots)
        self._lanes()
        self._links_and_tiles()
        c = self.t.columns
        arrays: dict[T, Any] = {name: np.array(c.get(name.name, ()), np.int64) for name in T}
        arrays[T.home_fs] = np.array(self.home_fs, np.int64).reshape(-1, N_UNITS)
        return Stations(
            self.outline,
            Packed(arrays),
            self.streams,
            tuple(self.lanes),
            self.links,
            self.n_tiles,
            tuple(self.inboxes),
            notes,
        )

    def _streams(self) -> None:
        """Streams and the edges that leave them; edges are numbered by receiver."""
        waiting = waiting_rows(self.streams)
        for i, stream in enumerate(self.streams):
            layer = None if stream.layer is None else self.outline.layers[stream.layer]
            leaving = [e for e, (_, edge) in enumerate(self.edges) if edge.source == i]
            self.t.add(
                stream_kind=_KIND.get(stream.kind, SINK),
                stream_rows=stream.rows,
                stream_staging=waiting[i],
                vectors=0 if layer is None else layer.vectors_per_input,
                vectors_per_row=1 if layer is None else layer.vectors_per_row,
            )
            self.t.extend("out_edge", leaving)
            self.t.ptr("stream_edge_ptr", "out_edge")

    def _sites(self) -> None:
        """A site for each tile in which a stream takes its inputs, by stream and tile."""
        for i, stream in enumerate(self.streams):
            tiles = self._tiles_of(stream)
            ops = _seconds_of(self.chip, stream.ops) if stream.kind == "join" else 0.0
            for tile in tiles:
                self.site_of[i, tile] = len(self.t.columns.get("site_tile", ()))
                # every site does its share of a row's digital work
                site_fs = fs(ops / (stream.rows * len(tiles))) if stream.kind == "join" else 0
                self.t.add(site_stream=i, site_tile=tile, site_fs=site_fs)
            self.t.ptr("stream_site_ptr", "site_tile")
            self.t.add(stream_parts=len(tiles) if stream.kind == "join" else 0)

    def _tiles_of(self, stream: Stream) -> tuple[int, ...]:
        if stream.kind == "input":
            return ()
        if stream.kind == "sink" or stream.at is None:
            return (self.n_tiles,)
        return takers(self.outline, stream)

    def _edges(self) -> None:
        """Edges with their inboxes and messages; inboxes of a site follow each other in the order of its edges."""
        t = self.t
        by_site: dict[int, list[int]] = {site: [] for site in self.site_of.values()}
        flows_of = []
        for e, (to, edge) in enumerate(self.edges):
            receiver = self.streams[to]
            flows = edge_flows(self.outline, edge, receiver if receiver.kind != "sink" else None)
            flows_of.append(flows)
            t.add(edge_source=edge.source, edge_units=edge.n_units)
            t.extend("unit_first", edge.source_first)
            t.extend("unit_last", edge.source_last)
            t.ptr("unit_ptr", "unit_first")
            for tile in self._tiles_of(receiver):
                brings = [f for f in flows if self._inner(tile) in f.targets]
                site = self.site_of[to, tile]
                by_site[site].append(len(self.inboxes))
                self.inboxes.append(self._inbox(edge, e, to, tile, sum(f.bits for f in brings)))
                t.add(inbox_edge=e, inbox_site=site, inbox_flows=len(brings))
                t.extend("need_first", edge.need_first)
                t.extend("need_last", edge.need_last)
                t.ptr("need_ptr", "need_first")
            t.ptr("edge_inbox_ptr", "inbox_edge")
        for site in range(len(by_site)):
            t.extend("site_inbox", by_site[site])
            t.ptr("site_inbox_ptr", "site_inbox")
        for e, flows in enumerate(flows_of):
            to = self.edges[e][0]
            drops = {self._inner(self.inboxes[i].tile): -1 - i for i in _inboxes_of(t, e)}
            for flow in flows:
                self._flow(flow, drops)
            t.ptr("edge_flow_ptr", "flow_bits")

    def _inner(self, tile: int) -> int:
        return OUTSIDE if tile == self.n_tiles else tile

    def _inbox(self, edge: Edge, number: int, to: int, tile: int, bits: int) -> Inbox:
        stream = self.streams[to]
        of, whole = (1, 1) if stream.layer is None else self.outline.layers[stream.layer].window
        last_bits = max(1, -(-bits * of // whole)) if bits else 0
        self.t.add(inbox_unit_bits=bits, inbox_last_bits=last_bits)
        return Inbox(edge, number, to, tile, bits, last_bits)

    def _flow(self, flow: Flow, drops: dict[int, int]) -> int:
        """A message with what it drops on its way; returns its number."""
        at = flow.source
        for target in flow.targets:
            self.t.extend("path", self.links.route(at, target))
            self.t.extend("path", [drops[target]])
            at = target
        self.t.add(flow_bits=flow.bits)
        self.t.ptr("flow_path_ptr", "path")
        return len(self.t.columns["flow_bits"]) - 1

    def _lanes(self) -> None:
        """Copies with their lanes, channels and homes; and the lanes of every site."""
        t, n_inboxes = self.t, len(self.inboxes)
        lanes_of: dict[int, list[int]] = {}
        for i, stream in enumerate(self.streams):
            layer = None if stream.layer is None else self.outline.layers[stream.layer]
            seconds = {} if layer is None else _unit_seconds(self.chip, stream, layer)
            figures: dict[int, list[_LaneFigures]] = {}
            for copy in range(0 if layer is None else layer.n_replicas):
                assert layer is not None
                offset = (layer.first_core + copy * layer.cores) % layer.cores_per_tile
                if offset not in figures:  # copies that straddle tiles alike are alike
                    figures[offset] = _lane_figures(layer, copy, self.chip)
                self._copy(i, layer, copy, figures[offset], seconds, lanes_of, n_inboxes)
            t.ptr("stream_copy_ptr", "copy_stream")
        for site in range(len(self.site_of)):
            t.extend("site_lane", lanes_of.get(site, []))
            t.ptr("site_lane_ptr", "site_lane")

    def _copy(
        self,
        i: int,
        layer: LayerOutline,
        copy: int,
        figures: list[_LaneFigures],
        seconds: dict[int, float],
        lanes_of: dict[int, list[int]],
        n_inboxes: int,
    ) -> None:
        t = self.t
        number = len(t.columns.get("copy_stream", ()))
        homes, moved = layer.homes(copy), layer.moved_sums(copy)
        for tile, f in zip(layer.tiles_of(copy), figures, strict=True):
            site = self.site_of[i, tile]
            lanes_of.setdefault(site, []).append(len(self.lanes))
            self.lanes.append(Lane(self.streams[i].layer or 0, copy, tile, f.cores))
            t.add(lane_site=site, lane_copy=number, lane_index=copy, **f.times)
            ways = [(to, n) for (a, to), n in moved.items() if a == tile]
            for to, n in [(tile, 0)] * (tile in homes) + ways:
                channel = len(t.columns.get("channel_copy", ()))
                flow = -1
                if to != tile:
                    flow = self._flow(Flow(tile, (to,), n * layer.sum_bits), {to: -1 - n_inboxes - channel})
                t.add(channel_copy=number, channel_flow=flow)
            t.ptr("lane_channel_ptr", "channel_copy")
        total = sum(homes.values())
        for tile, n in homes.items():
            t.add(home_tile=tile)
            self.home_fs.append([fs(seconds[unit] * n / total) for unit in range(N_UNITS)])
        t.add(copy_stream=i)
        t.ptr("copy_lane_ptr", "lane_site")
        t.ptr("copy_home_ptr", "home_tile")

    def _links_and_tiles(self) -> None:
        t, chip, links = self.t, self.chip, self.links
        router, buffer = chip.router, chip.tile_buffer
        flit_bits = 1 if router is None else router.flit_bits
        flit_fs = 0 if router is None else fs(flit_bits / router.link_bits_per_s)
        rate = chip.events_per_s("offchip_bits", "chip")
        offchip_fs = 0 if rate is None else fs(OFFCHIP_FLIT_BITS / rate)
        for link in range(links.n):
            inner = link < links.n_inner
            t.add(
                link_flit_bits=flit_bits if inner else OFFCHIP_FLIT_BITS, link_flit_fs=flit_fs if inner else offchip_fs
            )
        word_bits, ports, word_fs = _buffer_words(chip)
        for tile in range(self.n_tiles + 1):
            real = tile < self.n_tiles and buffer is not None
            t.add(
                tile_ports=ports if real else 1,
                tile_word_bits=word_bits if real else 1,
                tile_word_fs=word_fs if real else 0,
            )
        t.add(cycle_fs=0 if chip.cycle_s is None else fs(chip.cycle_s))
        t.extend("unit_server", _servers(chip))


def _sink(outline: Outline) -> Stream:
    """What takes the results."""
    return Stream("results", "sink", None, None, 1, outline.flow.outputs, {})  # type: ignore[arg-type]


def _inboxes_of(t: _Table, edge: int) -> range:
    return range(t.columns["edge_inbox_ptr"][edge], t.columns["edge_inbox_ptr"][edge + 1])


def _seconds_of(chip: Chip, ops: dict[str, int]) -> float:
    """Time of one tile for digital operations; those that no part of the chip does take none."""
    total_s = 0.0
    for event in _UNIT_EVENTS[1:]:
        rate = chip.events_per_s(event)
        total_s += ops.get(event, 0) / rate if rate else 0.0
    return total_s


def _unit_seconds(chip: Chip, stream: Stream, layer: LayerOutline) -> dict[int, float]:
    """{digital unit: time of one tile for the work on one vector}."""
    ops = {event: stream.ops.get(event, 0) / layer.vectors_per_input for event in _UNIT_EVENTS}
    ops["tile_adds"] = layer.per_vector.tile_adds
    rates = [chip.events_per_s(event) for event in _UNIT_EVENTS]
    pairs = zip(_UNIT_EVENTS, rates, strict=True)
    return {unit: ops[event] / rate if rate else 0.0 for unit, (event, rate) in enumerate(pairs)}


def _servers(chip: Chip) -> list[int]:
    """[digital unit] The first unit that the same part limits: the events of a part share its time."""
    limits = []
    for event in _UNIT_EVENTS:
        answers = [
            (row.count_per_chip * rate, row.level, row.part)
            for row in chip.ledger()
            if row.level in ("core", "tile")
            for answered, rate in row.rates
            if answered == event
        ]
        limits.append(min(answers)[1:] if answers else (event,))
    return [limits.index(part) for part in limits]


def _buffer_words(chip: Chip) -> tuple[int, int, int]:
    """Bits of a word, ports, and the time of one port for a word."""
    buffer = chip.tile_buffer
    if buffer is None:
        return 1, 1, 0
    rates = [chip.events_per_s(event) for event in ("buffer_read_bits", "buffer_write_bits")]
    rate = min(r for r in rates if r)
    return buffer.word_bits, buffer.ports, fs(buffer.word_bits * buffer.ports / rate)


def _latency_s(chip: Chip, event: Event) -> float:
    """Time of one event in the slowest part that answers it, in whole cycles if the chip has them; 0 without a part."""
    rates = [rate for row in chip.ledger() for answered, rate in row.rates if answered == event]
    if not rates:
        return 0.0
    cycle_s = chip.cycle_s
    return 1 / min(rates) if cycle_s is None else cycle_s * -(-fs(1 / min(rates)) // fs(cycle_s))


@dataclass(frozen=True)
class _LaneFigures:
    """cores: of the copy in one tile. times: the lane's columns of the tables."""

    cores: int
    times: dict[str, int]


def _lane_figures(layer: LayerOutline, copy: int, chip: Chip) -> list[_LaneFigures]:
    """By tile of a copy: what one vector takes of buffer and bus, and the time of its pulses."""
    placed = layer.placed(copy)
    fetched = placed.tile_rows * layer.input_bits
    n_tiles = len(fetched)
    spread = np.bincount(placed.core_tile, placed.core_rows).astype(np.int64) * layer.input_bits
    sums = np.bincount(placed.core_tile, placed.core_sums).astype(np.int64) * layer.sum_bits
    convert_s, read_s = np.zeros((2, n_tiles))
    np.maximum.at(convert_s, placed.core_tile, conversion_times_s(layer, chip))
    np.maximum.at(read_s, placed.core_tile, read_times_s(layer, chip))
    word_bits, _, word_fs = _buffer_words(chip)
    bus, adds = chip.events_per_s("bus_bits"), _latency_s(chip, "shift_adds")
    return [
        _LaneFigures(
            int((placed.core_tile == k).sum()),
            {
                "lane_port_fs": -(-int(fetched[k]) // word_bits) * word_fs,
                "lane_bus_fs": fs(spread[k] / bus) if bus else 0,
                "lane_read_fs": fs(read_s[k]),
                "lane_convert_fs": fs(convert_s[k]),
                "lane_pulses": layer.n_pulses,
                "lane_add_fs": fs(adds),
                "lane_sums_fs": fs(sums[k] / bus) if bus else 0,
            },
        )
        for k in range(n_tiles)
    ]
