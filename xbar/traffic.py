"""What is sent from tile to tile, and over which links.

A layer's input goes to all tiles that hold a copy of it, because copies take the vectors in turns and so need nearly
all of it: one message from each tile that has a part of it to the first of them, handed on from tile to tile. Outputs
are put together in the tile of their first piece, where partial sums from other tiles arrive. Results that a join takes
go to the tiles of the layer before it, each its part; results leave the last chip's edge, which is at tile 0 of a chip.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

from xbar.dataflow import Edge, Stream
from xbar.hardware import Chip
from xbar.outline import LayerOutline, Outline

OUTSIDE = -1  # the tile number of what is beyond the chip's edge


@dataclass(frozen=True)
class Flow:
    """bits of one unit (or vector) from a tile to other tiles, one after the other."""

    source: int
    targets: tuple[int, ...]
    bits: int


class Links:
    """The links of n_chips chips: their own one after another, then for each chip one that leaves it and one into
    it."""

    def __init__(self, chip: Chip, n_chips: int) -> None:
        self.wiring, self.tiles, self.n_chips = chip.wiring, chip.chip.tiles, n_chips
        self.n_inner = self.wiring.n_links * n_chips
        self.n = self.n_inner + 2 * n_chips

    def route(self, source: int, target: int) -> tuple[int, ...]:
        """Links in order; either end may be OUTSIDE, in front of chip 0 or behind the chip that sends."""
        if source == target:
            return ()
        chip_a = self.chip_of(source if source != OUTSIDE else target)
        chip_b = self.chip_of(target if target != OUTSIDE else source)
        if chip_a == chip_b and OUTSIDE not in (source, target):
            return self._inside(chip_a, source, target)
        way: tuple[int, ...] = ()
        if source != OUTSIDE:
            way = (*self._inside(chip_a, source, chip_a * self.tiles), self.n_inner + 2 * chip_a)
        if target != OUTSIDE:
            way = (*way, self.n_inner + 2 * chip_b + 1, *self._inside(chip_b, chip_b * self.tiles, target))
        return way

    def hops(self, source: int, target: int) -> tuple[int, int]:
        """How many links `route` takes between tiles of a chip, and how many in and out of chips."""
        if OUTSIDE not in (source, target) and source // self.tiles == target // self.tiles:
            return self.wiring.hops(source % self.tiles, target % self.tiles), 0
        if source == target:
            return 0, 0
        inner = sum(self.wiring.hops(0, tile % self.tiles) for tile in (source, target) if tile != OUTSIDE)
        return inner, 2 - (OUTSIDE in (source, target))

    def length(self, source: int, target: int) -> float:
        """Wire between two tiles in tile pitches; what is beyond the edge of a chip does not count."""
        ends = (self.ends(link) for link in self.route(source, target))
        return sum(abs(e[1][0] - e[0][0]) + abs(e[1][1] - e[0][1]) for e in ends if e is not None)

    def chip_of(self, tile: int) -> int:
        """The chip that a tile is on."""
        return tile // self.tiles

    def _inside(self, chip: int, source: int, target: int) -> tuple[int, ...]:
        first = chip * self.tiles
        way = self.wiring.route(source - first, target - first)
        return way if chip == 0 else tuple(link + chip * self.wiring.n_links for link in way)

    def chip(self, link: int) -> int:
        """The chip that a link is on, leads out of or into."""
        return (link - self.n_inner) // 2 if link >= self.n_inner else link // self.wiring.n_links

    def label(self, link: int) -> str:
        """A link in words."""
        if link >= self.n_inner:
            chip, inward = divmod(link - self.n_inner, 2)
            name = "link into" if inward else "link out of"
            return f"{name} the chip" if self.n_chips == 1 else f"{name} chip {chip}"
        chip, own = divmod(link, self.wiring.n_links)
        return self.wiring.label(own) + (f" on chip {chip}" if self.n_chips > 1 else "")

    def ends(self, link: int) -> tuple[tuple[float, float], tuple[float, float]] | None:
        """Where a link of a chip starts and ends, in tile pitches; None for one to the outside."""
        return None if link >= self.n_inner else self.wiring.ends(link % self.wiring.n_links)


def connections(outline: Outline, layer: int) -> list[tuple[int, int]]:
    """Pairs of tiles between which a layer's inputs and partial sums (of every copy) go, each once by copy."""
    pairs: dict[tuple[int, int], None] = {}
    for stream in outline.flow.streams:
        if stream.layer == layer:
            for edge in stream.edges:
                for flow in edge_flows(outline, edge, stream):
                    pairs.update(dict.fromkeys(pairwise((flow.source, *flow.targets))))
    own = outline.layers[layer]
    return [*pairs, *(pair for copy in range(own.n_replicas) for pair in own.moved_sums(copy))]


def makers(outline: Outline, stream: Stream) -> dict[int, int]:
    """{tile: share} of the tiles where the rows of a stream are, by rising tile; OUTSIDE for inputs."""
    if stream.at is None:
        return {OUTSIDE: 1}
    layer = _layer_at(outline, stream)
    shares: Counter[int] = Counter()
    for copy in range(layer.n_replicas):
        shares.update(layer.homes(copy))
    return dict(sorted(shares.items()))


def takers(outline: Outline, stream: Stream) -> tuple[int, ...]:
    """The tiles in which a layer, or a join, needs its inputs."""
    if stream.kind == "layer":
        return tuple(_layer_at(outline, stream).tiles)
    return tuple(makers(outline, stream))


def _layer_at(outline: Outline, stream: Stream) -> LayerOutline:
    at = outline.flow.streams[stream.at if stream.at is not None else -1]
    return outline.layers[at.layer if at.layer is not None else -1]


def unit_bits(outline: Outline, edge: Edge, receiver: Stream | None) -> int:
    """Bits of one unit of an edge: those inputs of a layer that have a weight, all of a join or of the results."""
    bits = edge.unit_elements * outline.chip.precision.input_bits
    if receiver is None or receiver.kind != "layer" or receiver.layer is None:
        return bits
    layer = outline.layers[receiver.layer]
    of, whole = layer.kept
    return -(-edge.unit_elements * layer.input_bits * of // whole)


def edge_flows(outline: Outline, edge: Edge, receiver: Stream | None) -> tuple[Flow, ...]:
    """The messages of one unit; receiver None: it leaves the chip. Their bits add up to `unit_bits`.

    Every tile of the receiver gets one, if need be without bits: that the source is ready.
    """
    sources = makers(outline, outline.flow.streams[edge.source])
    bits = unit_bits(outline, edge, receiver)
    if receiver is not None and receiver.kind == "join":
        return _overlaps(bits, sources, makers(outline, receiver))
    targets = (OUTSIDE,) if receiver is None else takers(outline, receiver)
    flows = tuple(Flow(tile, targets, part) for tile, part in split(bits, sources).items() if part)
    return flows or (Flow(next(iter(sources)), targets, 0),)


def split(bits: int, shares: Mapping[int, int]) -> dict[int, int]:
    """Bits in proportion to shares; they add up."""
    total, before = sum(shares.values()), 0
    parts = {}
    for name, share in shares.items():
        parts[name] = (before + share) * bits // total - before * bits // total
        before += share
    return parts


def _overlaps(bits: int, sources: Mapping[int, int], targets: Mapping[int, int]) -> tuple[Flow, ...]:
    """A row that lies in parts in some tiles, to be in parts in others: who holds what of it goes where it is
    needed."""

    def edges(shares: Mapping[int, int]) -> list[tuple[int, int, int]]:
        ends, place = [], 0
        for tile, part in split(bits, shares).items():
            ends.append((tile, place, place + part))
            place += part
        return ends

    there = edges(targets)
    flows = [
        Flow(tile, (target,), min(b, d) - max(a, c))
        for tile, a, b in edges(sources)
        for target, c, d in there
        if min(b, d) > max(a, c)
    ]
    empty = targets.keys() - {flow.targets[0] for flow in flows}
    return (*flows, *(Flow(next(iter(sources)), (target,), 0) for target in sorted(empty)))


def link_bits(outline: Outline) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Per network input: bits x hops between tiles by layer, and bits over the edge of each chip, in and out.

    A layer pays for what it and the joins at it receive, for its partial sums, and for results that leave.
    """
    links, flow = Links(outline.chip, outline.n_chips), outline.flow
    hops, edges = [0] * len(outline.layers), [0] * outline.n_chips
    layer_of = {i: s.layer for i, s in enumerate(flow.streams) if s.layer is not None}

    @cache
    def crossed(source: int, target: int) -> tuple[int, tuple[int, ...]]:
        """Links inside of chips, and the chips whose edge is crossed."""
        inner, outer = links.hops(source, target)
        return inner, tuple(links.chip_of(end) for end in (source, target) if end != OUTSIDE) if outer else ()

    @cache
    def handed_on(targets: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        ways = [crossed(a, b) for a, b in pairwise(targets)]
        return sum(inner for inner, _ in ways), tuple(chip for _, chips in ways for chip in chips)

    def send(flows: tuple[Flow, ...], n: int, payer: int | None) -> None:
        for message in flows:  # those of an edge share their targets
            inner, chips = crossed(message.source, message.targets[0])
            more_inner, more_chips = handed_on(message.targets)
            if payer is not None:
                hops[payer] += n * message.bits * (inner + more_inner)
            for chip in (*chips, *more_chips):
                edges[chip] += n * message.bits

    for stream in flow.streams:
        for edge in stream.edges:
            payer = stream.layer if stream.kind == "layer" else layer_of.get(stream.at if stream.at is not None else -1)
            send(edge_flows(outline, edge, stream), edge.n_units, payer)
    for edge in flow.outputs:
        at = flow.streams[edge.source].at
        send(edge_flows(outline, edge, None), edge.n_units, layer_of.get(at if at is not None else -1))
    for i, layer in enumerate(outline.layers):
        for copy in range(layer.n_replicas):
            vectors = len(range(copy, layer.vectors_per_input, layer.n_replicas))
            sums = tuple(Flow(a, (b,), n * layer.sum_bits) for (a, b), n in layer.moved_sums(copy).items())
            send(sums, vectors, i)
    return tuple(hops), tuple(edges)
