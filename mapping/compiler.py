"""`mapping.compile`: quantized network + chip -> program."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from mapping.check import budget_problems, precision_problems
from mapping.compact import compact, drop_empty
from mapping.encode import Encoded, encode
from mapping.events import vector_events
from mapping.partition import Piece, partition, row_edges
from mapping.place import cores_needed, place
from mapping.replicate import copies, core_budget
from mapping.unroll import unroll
from xbar.errors import CapacityError, DataError
from xbar.hardware import Chip
from xbar.network import Network, QuantizedLayer, QuantizedNetwork
from xbar.outline import layer_outline, outline
from xbar.pieces import table_of
from xbar.program import AdcSetting, LayerProgram, Program, VectorEvents, largest_sums
from xbar.traffic import link_bits


@dataclass(frozen=True, eq=False)
class _Plan:
    """A layer encoded and cut to size, not yet placed."""

    kept_rows: np.ndarray | None
    kept_cols: np.ndarray | None
    full_shape: tuple[int, int] | None
    coded: Encoded
    row_edges: tuple[int, ...]
    pieces: tuple[Piece, ...]
    cores: int


def compile(  # noqa: A001  (the word of the design; reads mapping.compile)
    qnet: QuantizedNetwork,
    chip: Chip,
    tile_budget: int | None = None,
    area_budget_m2: float | None = None,
    n_chips: int = 1,
) -> Program:
    """Map a quantized network onto a chip.

    Each layer is unrolled, rows and columns without a weight are left out (`mapping.compact`), the rest is encoded as
    cell levels, cut into crossbar-sized blocks, of which those without a weight are dropped, and placed. With
    `tile_budget` (tiles) or `area_budget_m2` (of whole tiles; both: the smaller counts) layers get the fewest copies
    that make the slowest layer as fast as the budget allows, and the rest of the budget stays unused; without, every
    layer is there once. n_chips: chips that the layers may be spread over, one after another.

    The full scale of an ADC in `range` mode is filled in for `worst_case` (from the actual cells: the largest column
    sum of a slice with every input at its top digit); the other methods wait for `xbar.sim.calibrate_adc`.

    Errors: DataError for n_chips < 1, CapacityError with every violation (precision, encoding, layout, tiles, budgets).
    """
    if n_chips < 1:
        raise DataError(f"n_chips: must be 1 or more, got {n_chips}")
    problems = precision_problems(qnet, chip)
    plans = [_plan(q, chip) for q in qnet.layers]
    tile_area_m2 = chip.total("tile").area_m2
    tiles_needed = -(-sum(p.cores for p in plans) // chip.tile.cores)
    sizes = [(q.layer.name, len(p.pieces), p.cores) for q, p in zip(qnet.layers, plans, strict=True)]
    problems += budget_problems(tiles_needed, sizes, chip, n_chips, tile_budget, area_budget_m2, tile_area_m2)
    if problems:
        raise CapacityError(problems)

    streams = {stream.layer: stream for stream in qnet.network.flow.streams if stream.layer is not None}
    drafts = [_draft(q, chip, plan) for q, plan in zip(qnet.layers, plans, strict=True)]
    sketches = [layer_outline(draft, streams[i], chip) for i, draft in enumerate(drafts)]
    replicas = copies(sketches, chip, core_budget(chip, n_chips, tile_budget, area_budget_m2))
    layers, n_cores = _placed(chip, plans, drafts, replicas)
    n_tiles_used = -(-n_cores // chip.tile.cores)
    used_chips = -(-n_tiles_used // chip.chip.tiles)
    ops = host_ops(qnet.network)
    program = Program(qnet.network, layers, chip, n_tiles_used, ops, used_chips)
    hops, edges = link_bits(outline(program))
    layers = tuple(replace(layer, link_bits_per_input=n) for layer, n in zip(layers, hops, strict=True))
    return replace(program, layers=layers, host_ops={**ops, "offchip_bits": sum(edges)})


def _plan(q: QuantizedLayer, chip: Chip) -> _Plan:
    encoding = chip.encoding
    kept = compact(unroll(q))
    groups, n_rows, n_cols = kept.weights.shape
    edges = row_edges(n_rows, chip.crossbar.rows)
    bits, cell_bits = chip.precision.weight_bits, chip.device.cell_bits
    coded = encode(kept.weights, edges, encoding.kind, bits, cell_bits, chip.n_slices, encoding.flipped)
    pieces = partition(
        chip.n_planes,
        groups,
        n_rows,
        n_cols,
        chip.crossbar.rows,
        chip.crossbar.cols,
        interleaved=encoding.layout == "interleaved",
        shared_rows=encoding.kind == "offset",
    )
    pieces, coded = drop_empty(pieces, kept.weights, coded, edges)
    cores = cores_needed(len(pieces), chip.core.crossbars)
    return _Plan(kept.rows, kept.cols, kept.full_shape, coded, edges, pieces, cores)


def _draft(q: QuantizedLayer, chip: Chip, plan: _Plan) -> LayerProgram:
    """A layer as it would be alone on the chip, one copy from the first core on; its events are not counted yet."""
    layer, coded = q.layer, plan.coded
    draft = LayerProgram(
        name=layer.name,
        node=layer.node,
        conv=layer.conv,
        groups=layer.groups,
        sources=layer.sources,
        vectors_per_input=layer.vectors_per_input,
        weight_bits=chip.precision.weight_bits,
        weight_scale=q.weight_scale,
        bias=layer.bias,
        input_bits=q.input_bits,
        input_signed=q.input_signed,
        input_scale=q.input_scale,
        cell_bits=chip.device.cell_bits,
        dac_bits=chip.dac.bits,
        encoding=chip.encoding.kind,
        cells=coded.cells,
        plane_slice=coded.plane_slice,
        plane_sign=coded.plane_sign,
        unit_coef=coded.unit_coef,
        row_edges=plan.row_edges,
        adc=adc_setting(chip),
        blocks=place(plan.pieces, 0, 1, chip.core.crossbars, chip.tile.cores)[0],
        n_replicas=1,
        replica_tiles=(),
        per_vector=VectorEvents(0, 0, (0,) * chip.n_slices, 0, 0, 0, 0, 0),
        link_bits_per_input=0,
        kept_rows=plan.kept_rows,
        kept_cols=plan.kept_cols,
        full_shape=plan.full_shape,
    )
    if chip.adc.full_scale == "worst_case":
        rows = max(last - first for first, last in pairwise(plan.row_edges))
        baseline = math.ceil(chip.baseline_steps * rows * draft.top_digit)
        full_scale = tuple(int(y) + baseline for y in largest_sums(draft))
        draft = replace(draft, adc=replace(draft.adc, full_scale=full_scale))
    return draft


def _placed(
    chip: Chip, plans: list[_Plan], drafts: list[LayerProgram], replicas: tuple[int, ...]
) -> tuple[tuple[LayerProgram, ...], int]:
    """The layers with all their copies, one after another on the cores, and the number of cores that they take."""
    layers: list[LayerProgram] = []
    next_core = 0
    for plan, draft, n_replicas in zip(plans, drafts, replicas, strict=True):
        first_core, next_core = next_core, next_core + n_replicas * plan.cores
        blocks, replica_tiles = place(plan.pieces, first_core, n_replicas, chip.core.crossbars, chip.tile.cores)
        events = vector_events(
            table_of(blocks).placed(chip.core.crossbars, chip.tile.cores, first_core % chip.tile.cores),
            draft.row_edges[-1],
            draft.plane_slice,
            draft.unit_coef is not None,
            draft.n_pulses,
            draft.weight_bits,
            draft.input_bits,
            chip.precision.input_bits,
        )
        placed = replace(draft, blocks=blocks, n_replicas=n_replicas, replica_tiles=replica_tiles)
        layers.append(replace(placed, per_vector=events))
    return tuple(layers), next_core


def adc_setting(chip: Chip) -> AdcSetting:
    """The chip's ADC; the unit column is read with the largest of the slices' resolutions."""
    bits = chip.adc_bits
    if bits is None:
        return AdcSetting("ideal", None, None, None)
    return AdcSetting(chip.adc.mode, bits, None, max(bits) if chip.encoding.kind == "offset" else None)


def host_ops(network: Network) -> dict[str, int]:
    """Operations outside the crossbars for one network input."""
    ops = {"activation": 0, "pooling": 0, "other": 0}
    for node in network.digital:
        ops[node.kind] += node.ops_per_input
    return {
        "activation_ops": ops["activation"],
        "pooling_ops": ops["pooling"],
        "digital_ops": ops["other"],
    }
