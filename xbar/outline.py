"""A network on a chip as far as time and money need it: which piece is where, without weights.

`outline(program)` tells it of a compiled program, `mapping.outline(network, chip)` of a network known by its shapes
alone.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from xbar.dataflow import Dataflow, Stream
from xbar.hardware import Chip
from xbar.network import ConvShape
from xbar.pieces import PieceTable, first_of, table_of
from xbar.program import AdcSetting, LayerProgram, Program, VectorEvents, partial_sum_bits

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class LayerOutline:
    """One matrix layer: its pieces, on one crossbar each, in the order of crossbars, cores and tiles.

    shape: rows and columns of its matrix (of each of `groups`). A copy takes `cores` cores, the first copy from core
    first_core on (counted over all chips), each further one behind it. kept: (of, all) how many of its inputs have a
    weight and are sent; window: (of, all) how much of a row of its input map one window needs. sum_bits: of an exact
    partial sum. mean_rel: conductance of the cells that hold its weights, averaged, over g_max; None: not known.
    """

    name: str
    groups: int
    shape: tuple[int, int]
    vectors_per_input: int
    vectors_per_row: int
    n_pulses: int
    input_bits: int
    sum_bits: int
    kept: tuple[int, int]
    window: tuple[int, int]
    plane_slice: tuple[int, ...]
    adc: AdcSetting
    pieces: PieceTable
    crossbars_per_core: int
    cores_per_tile: int
    first_core: int
    n_replicas: int
    per_vector: VectorEvents
    link_bits_per_input: int
    mean_rel: float | None = None

    @property
    def cores(self) -> int:
        """Cores of one copy."""
        return -(-len(self.pieces) // self.crossbars_per_core)

    @cached_property
    def core_of(self) -> Ints:
        """The core of each piece, 0 = the first of its copy."""
        return np.arange(len(self.pieces)) // self.crossbars_per_core

    def tile_of(self, copy: int = 0) -> Ints:
        """The tile of each piece of a copy."""
        return (self.first_core + copy * self.cores + self.core_of) // self.cores_per_tile

    def tiles_of(self, copy: int) -> range:
        """The tiles that a copy occupies."""
        first = self.first_core + copy * self.cores
        return range(first // self.cores_per_tile, (first + self.cores - 1) // self.cores_per_tile + 1)

    @property
    def tiles(self) -> range:
        """The tiles that all copies occupy: copies follow each other."""
        return range(self.tiles_of(0).start, self.tiles_of(self.n_replicas - 1).stop)

    @cached_property
    def cells_used(self) -> int:
        """Cells of one copy that hold weights; those off the diagonal of a shared crossbar do not."""
        p = self.pieces
        return int((p.n_rows * p.n_cols // (p.group_end - p.group_first)).sum())

    @cached_property
    def _homes(self) -> tuple[Ints, Ints]:
        """[output columns] the core in which the first piece of an output lies, and how many outputs that are."""
        first = first_of(self.pieces.output)
        return self.core_of[first], self.pieces.n_outputs[first]

    def homes(self, copy: int) -> dict[int, int]:
        """{tile: outputs of a copy that are put together there}, by rising tile."""
        cores, outputs = self._homes
        tiles = (self.first_core + copy * self.cores + cores) // self.cores_per_tile
        counts = np.bincount(tiles - tiles[0], outputs)
        return {int(tiles[0] + i): int(n) for i, n in enumerate(counts) if n}

    def moved_sums(self, copy: int) -> dict[tuple[int, int], int]:
        """{(from, to): partial sums} that a vector moves in a copy to the tiles where outputs are put together."""
        pieces, tiles = self.pieces, self.tile_of(copy)
        if tiles[0] == tiles[-1]:
            return {}
        _, first, number = np.unique(pieces.output, return_index=True, return_inverse=True)
        home = tiles[first][number]
        away = np.flatnonzero(tiles != home)
        senders = away[first_of(number[away], tiles[away])] if len(away) else away
        moved: Counter[tuple[int, int]] = Counter()
        for tile, to, n in zip(
            tiles[senders].tolist(), home[senders].tolist(), pieces.n_outputs[senders].tolist(), strict=True
        ):
            moved[tile, to] += n
        return dict(sorted(moved.items()))


@dataclass(frozen=True, eq=False)
class Outline:
    """See the module. n_chips: chips that the layers are spread over. host_ops: as in `xbar.program.Program`."""

    network: str
    flow: Dataflow
    layers: tuple[LayerOutline, ...]
    chip: Chip
    n_chips: int
    host_ops: dict[str, int]

    @property
    def n_tiles_used(self) -> int:
        """Tiles that hold a layer."""
        last = self.layers[-1]
        return -(-(last.first_core + last.n_replicas * last.cores) // self.chip.tile.cores)


def outline(program: Program) -> Outline:
    """The outline of a compiled program."""
    chip, flow = program.chip, program.network.flow
    streams = {stream.layer: stream for stream in flow.streams if stream.layer is not None}
    layers = tuple(layer_outline(layer, streams[i], chip) for i, layer in enumerate(program.layers))
    return Outline(program.network.name, flow, layers, chip, program.n_chips, program.host_ops)


def layer_outline(layer: LayerProgram, stream: Stream, chip: Chip) -> LayerOutline:
    """The outline of one layer of a program; stream: its place in the dataflow."""
    first = layer.blocks[0]
    kernel = prod(layer.conv.kernel) if layer.conv is not None else 1
    channels = layer.shape[0] // kernel
    kept = channels if layer.kept_rows is None else len(np.unique(layer.kept_rows // kernel))
    return LayerOutline(
        name=layer.name,
        groups=layer.groups,
        shape=layer.shape,
        vectors_per_input=layer.vectors_per_input,
        vectors_per_row=-(-layer.vectors_per_input // stream.rows),
        n_pulses=layer.n_pulses,
        input_bits=layer.input_bits,
        sum_bits=partial_sum_bits(layer.weight_bits, layer.input_bits, layer.row_edges[-1]),
        kept=(kept, channels),
        window=window_of(layer.conv, layer.groups * channels, stream),
        plane_slice=layer.plane_slice,
        adc=layer.adc,
        pieces=table_of(layer.blocks),
        crossbars_per_core=chip.core.crossbars,
        cores_per_tile=chip.tile.cores,
        first_core=first.tile * chip.tile.cores + first.core,
        n_replicas=layer.n_replicas,
        per_vector=layer.per_vector,
        link_bits_per_input=layer.link_bits_per_input,
    )


def window_of(conv: ConvShape | None, channels: int, stream: Stream) -> tuple[int, int]:
    """(of, all) of a row of a layer's input map, `channels` in all, that one window needs."""
    (edge,) = stream.edges
    if conv is None or len(conv.kernel) != 2 or edge.unit_elements % channels:
        return 1, 1
    width = edge.unit_elements // channels
    return min((conv.kernel[1] - 1) * conv.dilation[1] + 1, width), width


def pulse_time_s(layer: LayerOutline, chip: Chip) -> float:
    """Time from one pulse of a layer to the next = max(array read, conversions in the fullest core).

    Sampling, conversion and shift-and-add overlap with the next pulse's read, so only the longer of read and conversion
    counts (Shafiee et al., ISCA 2016, section 6).
    """
    return max(chip.crossbar.read_time_s, float(conversion_times_s(layer, chip).max()))


def conversion_times_s(layer: LayerOutline, chip: Chip) -> NDArray[np.float64]:
    """Time that each core of a copy needs to convert all its used columns once, float64 [core].

    The ADCs of a core share its columns, unit columns included, evenly: they take the slowest conversions first and one
    column each at a time.
    """
    if layer.adc.bits is None:
        return np.zeros(layer.cores)
    time_of = {bits: chip.adc.cost(bits).latency_s for bits in {*layer.adc.bits, layer.adc.unit_bits} - {None}}
    pieces = layer.pieces
    per_plane = pieces.n_cols // (pieces.plane_end - pieces.plane_first)
    columns: dict[float, Ints] = defaultdict(lambda: np.zeros(len(pieces), np.int64))
    for s, n in zip(layer.plane_slice, pieces.by_plane(per_plane, len(layer.plane_slice)), strict=True):
        columns[time_of[layer.adc.bits[s]]] += n
    if layer.adc.unit_bits is not None:
        columns[time_of[layer.adc.unit_bits]] += 1
    total_s, before = np.zeros(layer.cores), np.zeros(layer.cores, np.int64)
    for time_s, by_piece in sorted(columns.items(), key=lambda item: -item[0]):
        n = np.bincount(layer.core_of, by_piece, layer.cores).astype(np.int64)
        total_s += time_s * (-(-(before + n) // chip.core.adcs) - -(-before // chip.core.adcs))
        before += n
    return total_s
