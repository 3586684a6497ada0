"""A network on a chip as far as time and money need it: which piece is where, without weights.

`outline(program)` tells it of a compiled program, `mapping.outline(network, chip)` of a network known by its shapes
alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from xbar.dataflow import Dataflow, Stream
from xbar.hardware import Chip
from xbar.network import ConvShape
from xbar.pieces import PieceTable, Placement, table_of
from xbar.program import AdcSetting, LayerProgram, Program, VectorEvents, partial_sum_bits


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

    def placed(self, copy: int = 0) -> Placement:
        """What the pieces of a copy share, cores and tiles counted from its first."""
        first = self.first_core + copy * self.cores
        return self.pieces.placed(self.crossbars_per_core, self.cores_per_tile, first % self.cores_per_tile)

    def tiles_of(self, copy: int) -> range:
        """The tiles that a copy occupies."""
        first = self.first_core + copy * self.cores
        return range(first // self.cores_per_tile, (first + self.cores - 1) // self.cores_per_tile + 1)

    @property
    def tiles(self) -> range:
        """The tiles that all copies occupy: copies follow each other."""
        return range(self.tiles_of(0).start, self.tiles_of(self.n_replicas - 1).stop)

    def homes(self, copy: int) -> dict[int, int]:
        """{tile: outputs of a copy that are put together there}, by rising tile."""
        first = self.tiles_of(copy).start
        return {first + tile: n for tile, n in self.placed(copy).homes.items()}

    def moved_sums(self, copy: int) -> dict[tuple[int, int], int]:
        """{(from, to): partial sums} that a vector moves in a copy to the tiles where outputs are put together."""
        first = self.tiles_of(copy).start
        return {(first + a, first + b): n for (a, b), n in self.placed(copy).moved_sums.items()}


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
    return float(max(read_times_s(layer, chip).max(), conversion_times_s(layer, chip).max()))


def read_times_s(layer: LayerOutline, chip: Chip) -> NDArray[np.float64]:
    """Time of a read of all crossbars in each core of a copy, float64 [core]: what drives their word lines may need
    longer than the arrays."""
    rate = chip.core_rate("row_pulses")
    lines_s = layer.placed().word_lines / rate if rate else np.zeros(layer.cores)
    return np.maximum(lines_s, chip.crossbar.read_time_s)


def conversion_times_s(layer: LayerOutline, chip: Chip) -> NDArray[np.float64]:
    """Time that each core of a copy needs to convert all its used columns once, float64 [core].

    The ADCs of a core share its columns, unit columns included, evenly: they take the slowest conversions first and one
    column each at a time. What samples, shifts, adds and keeps the codes works along with them, and may be slower.
    """
    placed, rate = layer.placed(), chip.core_rate("conversions", "shift_adds")
    n_codes = placed.columns.sum(axis=0) + (placed.crossbars if chip.encoding.kind == "offset" else 0)
    codes_s = n_codes / rate if rate else np.zeros(layer.cores)
    return np.maximum(codes_s, _adc_times_s(layer, chip))


def _adc_times_s(layer: LayerOutline, chip: Chip) -> NDArray[np.float64]:
    if layer.adc.bits is None:
        return np.zeros(layer.cores)
    time_of = {bits: chip.adc.cost(bits).latency_s for bits in {*layer.adc.bits, layer.adc.unit_bits} - {None}}
    placed = layer.placed()
    columns: dict[float, NDArray[np.int64]] = {}
    for s, n in zip(layer.plane_slice, placed.columns, strict=False):  # the last planes may hold nothing
        time_s = time_of[layer.adc.bits[s]]
        columns[time_s] = columns.get(time_s, 0) + n
    if layer.adc.unit_bits is not None:
        time_s = time_of[layer.adc.unit_bits]
        columns[time_s] = columns.get(time_s, 0) + placed.crossbars
    total_s, before = np.zeros(layer.cores), np.zeros(layer.cores, np.int64)
    for time_s, n in sorted(columns.items(), key=lambda item: -item[0]):
        total_s += time_s * (-(-(before + n) // chip.core.adcs) - -(-before // chip.core.adcs))
        before += n
    return total_s
