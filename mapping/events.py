"""Count the events that a placed layer causes: per input vector, and on the links between tiles.

The counts within and between the tiles of a replica are those of replica 0; one whose cores straddle tiles differently
is taken to behave like it. The inputs go to every replica's own tiles.
"""

from __future__ import annotations

from collections.abc import Iterable

from mapping.place import hops
from mapping.share import InputMap
from xbar.program import Block, VectorEvents


def partial_sum_bits(weight_bits: int, input_bits: int, n_rows: int) -> int:
    """Width of an exact accumulator of n_rows products."""
    return weight_bits + input_bits + (n_rows - 1).bit_length()


def vector_events(
    blocks: tuple[Block, ...],
    n_rows: int,
    plane_slice: tuple[int, ...],
    has_unit_column: bool,
    n_pulses: int,
    weight_bits: int,
    input_bits: int,
    output_bits: int,
) -> VectorEvents:
    """Events of one input vector (MVM), whatever its values; `n_rows` word lines that a group has on crossbars.

    array_reads: one per pulse and crossbar. row_pulses: the used word lines of those reads. conversions [slice]: the
    used columns of that slice. unit_conversions: one per read where there are unit columns, since every crossbar reads
    its own, also with `layout: separate`, where those of a row block's slices hold the same sum. tile_adds: partial
    sums of the row blocks merged, (row blocks with a crossbar - 1) per output. buffer_read_bits: each row block's
    inputs, once per tile that needs them. bus_bits: the same once per core, and each core's sums back, as wide as an
    exact accumulator. buffer_write_bits: the outputs that crossbars make, `output_bits` each.
    """
    n_slices = max(plane_slice) + 1
    conversions = [0] * n_slices
    for b in blocks:
        per_plane = b.n_cols // len(b.planes)
        for plane in b.planes:
            conversions[plane_slice[plane]] += n_pulses * per_plane
    n_outputs = sum({(b.groups, b.cols): _n_outputs(b) for b in blocks}.values())
    n_sums = sum({(b.groups, b.cols, b.row_block): _n_outputs(b) for b in blocks}.values())
    sum_bits = partial_sum_bits(weight_bits, input_bits, n_rows)
    tile_rows = {(b.tile, b.groups, b.row_block): b.n_rows for b in blocks}
    core_rows = {(b.tile, b.core, b.groups, b.row_block): b.n_rows for b in blocks}
    core_outputs = {(b.tile, b.core, b.groups, b.cols): _n_outputs(b) for b in blocks}
    return VectorEvents(
        array_reads=n_pulses * len(blocks),
        row_pulses=n_pulses * sum(b.n_rows for b in blocks),
        conversions=tuple(conversions),
        unit_conversions=n_pulses * len(blocks) if has_unit_column else 0,
        tile_adds=n_sums - n_outputs,
        buffer_read_bits=sum(tile_rows.values()) * input_bits,
        buffer_write_bits=n_outputs * output_bits,
        bus_bits=sum(core_rows.values()) * input_bits + sum(core_outputs.values()) * sum_bits,
    )


def _n_outputs(block: Block) -> int:
    return (block.groups[1] - block.groups[0]) * (block.cols[1] - block.cols[0])


def link_bits(
    blocks: tuple[Block, ...],
    replica_tiles: tuple[tuple[int, ...], ...],
    source_tiles: Iterable[int],
    n_tiles: int,
    inputs: InputMap,
    sum_bits: int,
) -> int:
    """Bits times hops between tiles that one network input causes for a layer.

    Every tile of the layer gets the part of the input that its replicas need (`mapping.share`; rows that several of
    them need once), from the nearest tile of the layer's sources (tile 0, where the chip's inputs arrive, if there are
    none); a tile that is a source itself gets it without a hop. Partial sums go to the tile that holds the first piece
    of their outputs, one sum per output from every other tile. The way of the network's results out of the chip is not
    counted here (they are `offchip_bits`).
    """
    sources = set(source_tiles)
    replicas = [{b.tile for b in blocks}, *replica_tiles]
    runs: dict[int, tuple[int, int]] = {}  # replicas of a tile follow each other, and so do their vectors
    for k, tiles in enumerate(replicas):
        first, end = inputs.run(k, len(replicas))
        for tile in tiles:
            runs[tile] = (runs.get(tile, (first, end))[0], end)
    total = sum(inputs.bits(*run) * hops(nearest(sources, tile, n_tiles), tile, n_tiles) for tile, run in runs.items())
    for (tile, first_tile), n_outputs in moved_sums(blocks).items():
        total += inputs.n_vectors * n_outputs * sum_bits * hops(tile, first_tile, n_tiles)
    return total


def nearest(sources: Iterable[int], tile: int, n_tiles: int) -> int:
    """The tile that sends `tile` its inputs: the nearest source, tile 0 (the chip's edge) where there is none."""
    return min(set(sources) or {0}, key=lambda source: (hops(source, tile, n_tiles), source))


def moved_sums(blocks: tuple[Block, ...]) -> dict[tuple[int, int], int]:
    """{(from, to): partial sums} that one vector moves to the tile that holds the first piece of their outputs."""
    home: dict[tuple[tuple[int, int], tuple[int, int]], int] = {}
    senders = set()
    for b in blocks:
        first_tile = home.setdefault((b.groups, b.cols), b.tile)
        if b.tile != first_tile:
            senders.add((b.groups, b.cols, b.tile, first_tile, _n_outputs(b)))
    moved: dict[tuple[int, int], int] = {}
    for _, _, tile, first_tile, n_outputs in senders:
        moved[tile, first_tile] = moved.get((tile, first_tile), 0) + n_outputs
    return moved
