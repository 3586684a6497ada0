"""`mapping.outline`: a network, known by its shapes, on a chip: no weights, so that any size takes milliseconds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from math import prod

from mapping.check import budget_problems
from mapping.compiler import adc_setting, host_ops
from mapping.events import vector_events
from mapping.partition import piece_table
from mapping.replicate import copies, core_budget
from mapping.signs import signed_inputs
from xbar.dataflow import Stream
from xbar.errors import CapacityError, DataError
from xbar.hardware import Chip
from xbar.network import MatrixLayer, Network
from xbar.outline import LayerOutline, Outline, window_of
from xbar.program import VectorEvents, partial_sum_bits
from xbar.traffic import link_bits

_NOTHING = VectorEvents(0, 0, (), 0, 0, 0, 0, 0)


def outline(
    network: Network,
    chip: Chip,
    tile_budget: int | None = None,
    area_budget_m2: float | None = None,
    n_chips: int | None = 1,
    signed: Collection[str] | None = None,
) -> Outline:
    """Map a network onto a chip as `mapping.compile` does, from the shapes of its layers alone: every row, column and
    piece is taken to hold a weight. What cells hold, `mapping.weighed` adds.

    n_chips: chips that the layers may be spread over, None: as many as they need. signed: names of the layers whose
    inputs may be negative (they take a pulse more), None: those that `mapping.signs` finds.

    Errors: DataError for n_chips < 1, CapacityError with every violation (tiles, budgets).
    """
    if n_chips is not None and n_chips < 1:
        raise DataError(f"n_chips: must be 1 or more, got {n_chips}; None takes as many as the network needs")
    streams = {stream.layer: stream for stream in network.flow.streams if stream.layer is not None}
    negative = signed_inputs(network) if signed is None else signed
    layers = [_layer(layer, streams[i], chip, layer.name in negative) for i, layer in enumerate(network.layers)]
    tiles_needed = -(-sum(layer.cores for layer in layers) // chip.tile.cores)
    available = -(-max(tiles_needed, tile_budget or 0) // chip.chip.tiles) if n_chips is None else n_chips
    sizes = [(layer.name, len(layer.pieces), layer.cores) for layer in layers]
    tile_m2 = chip.total("tile").area_m2 if area_budget_m2 is not None else 0.0
    problems = budget_problems(tiles_needed, sizes, chip, available, tile_budget, area_budget_m2, tile_m2)
    if problems:
        raise CapacityError(problems)
    budget = core_budget(chip, available, tile_budget, area_budget_m2)
    placed, next_core = [], 0
    for layer, n_replicas in zip(layers, copies(layers, chip, budget), strict=True):
        placed.append(replace(layer, first_core=next_core, n_replicas=n_replicas))
        next_core += n_replicas * layer.cores
    used = -(-next_core // (chip.tile.cores * chip.chip.tiles))
    ops = host_ops(network)
    whole = Outline(network.name, network.flow, tuple(placed), chip, used, ops)
    hops, edges = link_bits(whole)
    layers = [
        replace(layer, per_vector=_events(layer, chip), link_bits_per_input=n)
        for layer, n in zip(placed, hops, strict=True)
    ]
    return replace(whole, layers=tuple(layers), host_ops={**ops, "offchip_bits": sum(edges)})


def _layer(layer: MatrixLayer, stream: Stream, chip: Chip, signed: bool) -> LayerOutline:
    """A layer as it would be alone on the chip, one copy from the first core on; its events are not counted yet."""
    pieces = piece_table(
        chip.n_planes,
        layer.groups,
        layer.n_rows,
        layer.n_cols,
        chip.crossbar.rows,
        chip.crossbar.cols,
        chip.encoding.layout == "interleaved",
        chip.encoding.kind == "offset",
    )
    bits, kernel = chip.precision.input_bits, prod(layer.conv.kernel) if layer.conv is not None else 1
    channels = layer.n_rows // kernel
    return LayerOutline(
        name=layer.name,
        groups=layer.groups,
        shape=(layer.n_rows, layer.n_cols),
        vectors_per_input=layer.vectors_per_input,
        vectors_per_row=-(-layer.vectors_per_input // stream.rows),
        n_pulses=-(-(bits - signed) // chip.dac.bits) + signed,
        input_bits=bits,
        sum_bits=partial_sum_bits(chip.precision.weight_bits, bits, layer.n_rows),
        kept=(channels, channels),
        window=window_of(layer.conv, layer.groups * channels, stream),
        plane_slice=tuple(range(chip.n_slices)) * (chip.n_planes // chip.n_slices),
        adc=adc_setting(chip),
        pieces=pieces,
        crossbars_per_core=chip.core.crossbars,
        cores_per_tile=chip.tile.cores,
        first_core=0,
        n_replicas=1,
        per_vector=_NOTHING,
        link_bits_per_input=0,
    )


def _events(layer: LayerOutline, chip: Chip) -> VectorEvents:
    """The events of a vector of a placed layer."""
    return vector_events(
        layer.placed(),
        layer.shape[0],
        layer.plane_slice,
        layer.adc.unit_bits is not None or chip.encoding.kind == "offset",
        layer.n_pulses,
        chip.precision.weight_bits,
        layer.input_bits,
        chip.precision.input_bits,
    )
