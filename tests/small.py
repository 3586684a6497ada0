"""Small values for tests: a chip with round numbers, and networks whose integer weights are given by hand."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

from xbar.config import from_data, validate
from xbar.dataflow import Dataflow
from xbar.hardware import Chip
from xbar.network import DigitalNode, MatrixLayer, Network, Precision, QuantizedLayer, QuantizedNetwork
from xbar.program import Program
from xbar.result import Activity, LayerActivity
from xbar.rows import dataflow

CHIP: dict[str, Any] = {
    "name": "small",
    "citation": "made up for tests",
    "technology_m": 32e-9,
    "hierarchy": "as ours",
    "precision": {"weight_bits": 4, "input_bits": 4},
    "encoding": {"kind": "differential", "layout": "interleaved"},
    "crossbar": {
        "kind": "per_cell",
        "rows": 8,
        "cols": 8,
        "read_time_s": 100e-9,
        "reference": {"rows": 8, "cols": 8, "area_m2": 1e-10, "power_W": 1e-3},
    },
    "device": {"kind": "levels", "cell_bits": 3},
    "dac": {"kind": "scaled", "bits": 1, "area_m2": 1e-12, "energy_J": 1e-14},
    "adc": {
        "kind": "table",
        "source": "made up",
        "bits": 6,
        "points": [
            {"bits": 4, "energy_J": 0.5e-12, "area_m2": 0.5e-9, "time_s": 20e-9},
            {"bits": 6, "energy_J": 1e-12, "area_m2": 1e-9, "time_s": 50e-9},
        ],
    },
    "core": {
        "crossbars": 2,
        "adcs": 4,
        "parts": {"shift and add": {"event": "shift_adds", "area_m2": 1e-10, "energy_J": 1e-13, "rate_Hz": 1e9}},
    },
    "tile": {
        "cores": 2,
        "parts": {
            "buffer": {
                "event": ["buffer_read_bits", "buffer_write_bits"],
                "area_m2": 1e-8,
                "energy_J": 1e-14,
                "rate_Hz": 1e9,
                "leakage_W": 1e-3,
            }
        },
    },
    "chip": {
        "tiles": 4,
        "parts": {"link": {"event": "offchip_bits", "area_m2": 1e-7, "energy_J": 1e-12, "rate_Hz": 1e9}},
    },
}


def small_chip(**changes: Any) -> Chip:
    """The chip above; `adc__bits=4` sets adc.bits, whole sections can be replaced: `adc={"kind": "ideal"}`."""
    data = copy.deepcopy(CHIP)
    for path, value in changes.items():
        *above, last = path.split("__")
        section = data
        for name in above:
            section = section[name]
        section[last] = value
    return validate(Chip, from_data(data, "small"))


def reweighted(traced: ExportedProgram, weights: Sequence[np.ndarray]) -> ExportedProgram:
    """The traced program with other weights, in the order of its own: to trace it again takes 50 times as long."""
    stored = [torch.nn.Parameter(torch.from_numpy(np.asarray(w, np.float32))) for w in weights]
    for old, new in zip(traced.state_dict.values(), stored, strict=True):
        assert old.shape == new.shape
    return ExportedProgram(
        traced.graph_module,
        traced.graph,
        traced.graph_signature,
        dict(zip(traced.state_dict, stored, strict=True)),
        traced.range_constraints,
        traced.module_call_graph,
        traced.example_inputs,
        traced.constants,
        verifiers=traced.verifiers,
    )


@cache
def _traced(shapes: tuple[tuple[int, int], ...], vectors: int) -> ExportedProgram:
    """Linear layers of weights [col, row] with ReLUs between, on inputs [batch, vectors, row]."""
    modules: list[torch.nn.Module] = []
    for cols, rows in shapes:
        modules += [torch.nn.Linear(rows, cols, bias=False), torch.nn.ReLU()]
    example, batch = torch.zeros(2, vectors, shapes[0][1]), torch.export.Dim("batch", min=1, max=1 << 20)
    return torch.export.export(torch.nn.Sequential(*modules[:-1]), (example,), dynamic_shapes=({0: batch},))


def small_network(weights: Sequence[np.ndarray], vectors: int = 1, **changes: Any) -> QuantizedNetwork:
    """Linear layers with integer `weights` [col, row] and ReLUs between, on inputs [batch, vectors, row].

    changes: fields of Precision, by default 4-bit weights and inputs.
    """
    exported = reweighted(_traced(tuple(w.shape for w in weights), vectors), weights)
    nodes = [n.name for n in exported.graph.nodes if n.op == "call_function"]
    layers = []
    for i, w in enumerate(weights):
        sources = (f"layer{i - 1}",) if i else ()
        weight = np.asarray(w, np.float32)
        layers.append(
            MatrixLayer(f"layer{i}", nodes[2 * i], weight, None, None, 1, sources, vectors, vectors * w.shape[1])
        )
    relus = tuple(
        DigitalNode(node, node, "relu", "no product with weights", vectors * len(w), "activation")
        for node, w in zip(nodes[1::2], weights, strict=False)
    )
    shape = (vectors, weights[0].shape[1])
    network = Network("small", exported, tuple(layers), (), relus, shape, None, Dataflow((), ()))
    network = replace(network, flow=dataflow(network))
    precision = Precision(**{"weight_bits": 4, "input_bits": 4, **changes})
    quantized = tuple(
        QuantizedLayer(layer, w.astype(np.int32), np.ones(1), precision.weight_bits, 1.0, precision.input_bits, False)
        for layer, w in zip(layers, weights, strict=True)
    )
    return QuantizedNetwork(network, quantized, precision)


def random_weights(shapes: Sequence[tuple[int, int]], top: int = 7, seed: int = 0) -> list[np.ndarray]:
    """Integer weights [col, row] from -top to top."""
    rng = np.random.default_rng(seed)
    return [rng.integers(-top, top + 1, shape, dtype=np.int32) for shape in shapes]


def counted(program: Program, n_inputs: int = 2, active_rows: int = 5) -> Activity:
    """The activity of `n_inputs` inputs: what every vector causes, and `active_rows` active word lines per vector.

    Each of these reads 7 cells at g_max, where cells have a conductance.
    """
    conduct = program.chip.device.range_S is not None
    layers = []
    for layer in program.layers:
        n, e = n_inputs * layer.vectors_per_input, layer.per_vector
        layers.append(
            LayerActivity(
                name=layer.name,
                n_vectors=n,
                array_reads=n * e.array_reads,
                row_pulses=n * e.row_pulses,
                active_rows=n * active_rows,
                cell_reads=Fraction(7 * n * active_rows if conduct else 0),
                conversions=tuple(n * c for c in e.conversions),
                saturations=(0,) * len(e.conversions),
                unit_conversions=n * e.unit_conversions,
                unit_saturations=0,
                clipped_inputs=0,
                tile_adds=n * e.tile_adds,
                buffer_read_bits=n * e.buffer_read_bits,
                buffer_write_bits=n * e.buffer_write_bits,
                bus_bits=n * e.bus_bits,
                link_bits=n_inputs * layer.link_bits_per_input,
            )
        )
    return Activity(n_inputs, tuple(layers), {name: n * n_inputs for name, n in program.host_ops.items()})
