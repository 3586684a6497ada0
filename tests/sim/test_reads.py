"""The read energy of arrays against a sum over every cell, pulse and vector, one at a time in Python's floats."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from close import approx
from small import random_weights, small_chip, small_network
from torch import Tensor, nn

import mapping
import xbar
from xbar.config import from_data, validate
from xbar.frontends.torch_module import from_torch
from xbar.hardware import Chip
from xbar.host import Host
from xbar.network import Network
from xbar.noise import NoiseModel
from xbar.program import LayerProgram, Program
from xbar.quantization import quantize
from xbar.result import Activity
from xbar.sim.cells import Draw, RealCells, realise, strips_of
from xbar.sim.crossbar import Counts, Integers, multiply
from xbar.sim.prepare import prepare
from xbar.sim.simulate import walk

READ_V, READ_S, G_MAX_S, LOW_REL = 0.2, 1e-7, 1e-5, 0.1
SIZE = {"read_time_s": READ_S, "read_voltage_V": READ_V, "cell_area_m2": 1e-14}
DEVICE = {"kind": "resistive", "cell_bits": 2, "g_min_S": LOW_REL * G_MAX_S, "g_max_S": G_MAX_S}
IDEAL = {"kind": "ideal"}
PROGRAMMING = {"programming": {"kind": "gaussian", "sigma_rel": 0.1, "relative_to": "range"}}
WIRES = {"word_line_Ohm": 30.0, "bit_line_Ohm": 50.0, "driver_Ohm": 100.0, "sense_Ohm": 20.0}
Conductance = Callable[[int, int, int, int], float]  # of the main cell at (plane, group, row, col), in S


def chip_of(kind: str, layout: str = "interleaved", baseline: str | None = None, **changes: Any) -> Chip:
    """`flipped` is offset with flipped columns; crossbars of 16 x 16 cells, 2 bits each."""
    ternary = kind == "ternary"
    encoding: dict[str, Any] = {"kind": "offset" if kind == "flipped" else kind, "layout": layout}
    encoding |= ({"flipped": True} if kind == "flipped" else {}) | ({"baseline": baseline} if baseline else {})
    precision = {"weight_bits": 2, "weights": "one_level"} if ternary else {"weight_bits": 4}
    settings: dict[str, Any] = {
        "encoding": encoding,
        "precision": {"input_bits": 4, **precision},
        "device": DEVICE | {"cell_bits": 1 if ternary else 2},
        "crossbar": {"kind": "ohmic", "rows": 16, "cols": 16, **SIZE},
        "adc": IDEAL,
        "chip__tiles": 64,
    }
    return small_chip(**{**settings, **changes})


@cache
def _networks() -> dict[str, tuple[Network, Tensor]]:
    """Groups that share a crossbar; rows, columns and pieces of the matrix without a weight."""
    torch.manual_seed(0)
    holes = nn.Linear(40, 25)
    with torch.no_grad():
        holes.weight[:, [0, 7, 30]] = 0
        holes.weight[4] = 0
        holes.weight[:17, 20:] = 0
    models: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
        "groups": (nn.Conv1d(6, 6, 2, groups=3), (6, 4)),
        "holes": (nn.Sequential(holes, nn.ReLU(), nn.Linear(25, 5)), (40,)),
    }
    return {
        name: (from_torch(m.eval(), torch.zeros(2, *shape)), torch.randn(3, *shape))
        for name, (m, shape) in models.items()
    }


def _program(model: str, chip: Chip, signed: bool) -> tuple[Program, Tensor]:
    network, x = _networks()[model]
    x = x if signed else x.abs()
    return mapping.compile(quantize(network, x, chip), chip), x


def _integers(program: Program, x: Tensor) -> list[Integers]:
    """What the layers see with ideal ADCs, [vector, group, kept row] each."""
    prepared, seen = [prepare(layer) for layer in program.layers], {}

    def look(index: int, rows: Integers, first_vector: int) -> tuple[Tensor, Counts]:
        seen[index] = rows
        return multiply(prepared[index], rows)

    walk(program, Host(program.network), x, look)
    return [seen[index] for index in range(len(prepared))]


def _digits(value: int, layer: LayerProgram) -> Iterator[int]:
    """Of one input, pulse by pulse."""
    word = value % 2**layer.input_bits
    if layer.input_signed:
        yield word // 2 ** (layer.input_bits - 1)
        word %= 2 ** (layer.input_bits - 1)
    while word:
        yield word % 2**layer.dac_bits
        word //= 2**layer.dac_bits


def _energy_J(layer: LayerProgram, x: Integers, cells_of: Callable[[int, int, int], list[float]]) -> float:
    """Sum of V^2 G t; cells_of(block, group, row): all conductances in S on one word line of one crossbar."""
    total_J, top = 0.0, 2**layer.dac_bits - 1
    for k, block in enumerate(layer.blocks):
        for group in range(*block.groups):
            for row in range(layer.row_edges[block.row_block], layer.row_edges[block.row_block + 1]):
                for g_S in cells_of(k, group, row):
                    for vector in x[:, group, row].tolist():
                        for digit in _digits(vector, layer):
                            total_J += (READ_V * digit / top) ** 2 * g_S * READ_S
    return total_J


def _nominal(layer: LayerProgram, chip: Chip) -> Callable[[int, int, int], list[float]]:
    """Evenly spaced conductances; where there is an offset the unit column holds 1, a reference column holds 0."""
    step_S = (G_MAX_S - LOW_REL * G_MAX_S) / (2**layer.cell_bits - 1)
    with_unit = chip.encoding.kind == "offset"
    with_reference = chip.encoding.baseline == "reference" or (with_unit and chip.encoding.baseline is None)

    def cells_of(k: int, group: int, row: int) -> list[float]:
        block = layer.blocks[k]
        levels = [int(layer.cells[p, group, row, c]) for p in block.planes for c in range(*block.cols)]
        levels += [1] * with_unit + [0] * with_reference
        return [LOW_REL * G_MAX_S + level * step_S for level in levels]

    return cells_of


def _realised(layer: LayerProgram, chip: Chip, cells: RealCells) -> Callable[[int, int, int], list[float]]:
    """The conductances that were programmed."""
    strips = strips_of(layer, chip)

    def cells_of(k: int, group: int, row: int) -> list[float]:
        block = layer.blocks[k]
        (i,) = [i for i, s in enumerate(strips) if (s.block, s.group) == (k, group)]
        found = [cells.main[p, group, row, c] for p in block.planes for c in range(*block.cols)]
        for column in (cells.unit, cells.reference):
            found += [column[i][row - strips[i].rows[0]]] if column else []
        return [float(g) * G_MAX_S for g in found]

    return cells_of


def _array_J(program: Program, activity: Activity) -> float:
    """What the bill says for the arrays, all inputs together."""
    return xbar.estimate(program, activity).by("part")["crossbar.array"].dynamic_J * activity.n_inputs


ENCODINGS = [
    ("differential", None), ("differential", "reference"), ("differential", "digital"), ("offset", None),
    ("offset", "digital"), ("flipped", None), ("flipped", "digital"), ("ternary", None), ("ternary", "reference"),
]  # fmt: skip


@pytest.mark.parametrize(("dac_bits", "signed"), [(1, False), (1, True), (2, False), (2, True)])
@pytest.mark.parametrize("layout", ["interleaved", "separate"])
@pytest.mark.parametrize(("kind", "baseline"), ENCODINGS)
@pytest.mark.parametrize("model", ["groups", "holes"])
def test_every_cell_pulse_and_vector(
    model: str, kind: str, baseline: str | None, layout: str, dac_bits: int, signed: bool
) -> None:
    chip = chip_of(kind, layout, baseline, dac__bits=dac_bits)
    program, x = _program(model, chip, signed)
    assert program.layers[0].input_signed == signed
    activity = xbar.simulate(program, x).activity
    wanted = [
        _energy_J(layer, q, _nominal(layer, chip))
        for layer, q in zip(program.layers, _integers(program, x), strict=True)
    ]
    report = xbar.estimate(program, activity)
    found = {e.layer: e.dynamic_J * len(x) for e in report.ledger if e.part == "array"}
    assert [found[layer.name] for layer in program.layers] == approx(wanted, rel=1e-9)
    assert xbar.simulate(program, x, noise="none").activity.layers[0].cell_reads == activity.layers[0].cell_reads


@pytest.mark.parametrize("layout", ["interleaved", "separate"])
def test_the_models_above_have_what_they_are_for(layout: str) -> None:
    groups, _ = _program("groups", chip_of("differential", layout), False)
    assert any(b.groups[1] - b.groups[0] > 1 for b in groups.layers[0].blocks)
    holes, _ = _program("holes", chip_of("offset", layout), False)
    layer = holes.layers[0]
    assert layer.kept_rows is not None
    assert layer.kept_cols is not None
    assert len({b.row_block for b in layer.blocks}) == 3
    assert len(layer.blocks) < 3 * len({(b.planes, b.cols) for b in layer.blocks})  # some are not there


@pytest.mark.parametrize(
    ("kind", "baseline"), [("differential", None), ("offset", "reference"), ("ternary", "digital")]
)
@pytest.mark.parametrize("model", ["groups", "holes"])
def test_real_cells_read_what_they_were_programmed_to(model: str, kind: str, baseline: str | None) -> None:
    chip = chip_of(kind, "separate", baseline, dac__bits=2)
    program, x = _program(model, chip, True)
    noise = validate(NoiseModel, from_data({"effects": PROGRAMMING}, "test"))
    layer, q = program.layers[0], _integers(program, x)[0]
    cells = realise(layer, chip, noise, strips_of(layer, chip), Draw(4))
    activity = xbar.simulate(program, x, noise=noise, seed=4).activity
    wanted = _energy_J(layer, q, _realised(layer, chip, cells))
    report = xbar.estimate(program, activity)
    (found,) = [e.dynamic_J * len(x) for e in report.ledger if (e.part, e.layer) == ("array", layer.name)]
    assert found == approx(wanted, rel=1e-9)
    assert found != approx(_energy_J(layer, q, _nominal(layer, chip)), rel=1e-5)


@pytest.mark.parametrize("noise", [None, "none", "reram_wan_2022"])
def test_neither_batches_nor_threads_change_a_bit(noise: str | None) -> None:
    program = mapping.compile(small_network(random_weights([(5, 20), (3, 5)]), 3), chip_of("offset", dac__bits=2))
    x = torch.rand(11, 3, 20, generator=torch.Generator().manual_seed(1)) * 15
    whole = xbar.simulate(program, x, noise=noise).activity
    assert whole.layers[0].cell_reads.denominator > 1
    assert xbar.simulate(program, x, 1, noise=noise).activity == whole
    assert xbar.simulate(program, x, 4, noise=noise).activity == whole
    if noise is None:  # with noise of reads, inputs that come first are others
        assert xbar.simulate(program, x[:3]).activity + xbar.simulate(program, x[3:]).activity == whole
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 3)
        assert xbar.simulate(program, x, noise=noise).activity == whole
    finally:
        torch.set_num_threads(threads)


def _spent_J(weight: list[list[int]], x: list[list[float]], budget: int | None = None, **changes: Any) -> float:
    """Array energy of weights [col][row] on inputs [vector][row], 1-bit pulses by default."""
    network = small_network([np.array(weight, np.int32)], len(x))
    program = mapping.compile(network, chip_of("differential", **changes), budget)
    return _array_J(program, xbar.simulate(program, torch.tensor([x])).activity)


def test_by_hand() -> None:
    """A weight of 5 is level 1 in both slices of one polarity, 0 in the other; 3 is sent in two pulses, or in one."""
    per_S = READ_V**2 * READ_S
    g_S = G_MAX_S * (2 * (LOW_REL + (1 - LOW_REL) / 3) + 2 * LOW_REL)
    assert _spent_J([[5]], [[3.0]]) == approx(2 * g_S * per_S, rel=1e-9)
    assert _spent_J([[5]], [[3.0]], dac__bits=2) == approx(g_S * per_S, rel=1e-9)
    assert _spent_J([[5]], [[1.0]], dac__bits=2) == approx(g_S * per_S / 9, rel=1e-9)


def test_what_is_read_decides() -> None:
    """Sinangil et al. (JSSC 2021) measured 2.3 times the efficiency where outputs were 0: no fixed energy has that."""
    high, low = [[7, -7, 7, -7]] * 2, [[7, -7, 7, -7], [0, 0, 0, 1]]
    assert _spent_J(low, [[15.0] * 4]) < 0.8 * _spent_J(high, [[15.0] * 4])
    assert _spent_J(high, [[0.0] * 4]) == 0
    assert _spent_J(high, [[8.0] * 4]) == approx(_spent_J(high, [[15.0] * 4]) / 4, rel=1e-9)  # one bit of four
    assert _spent_J(high, [[15.0, 15.0, 0.0, 0.0]]) == approx(_spent_J(high, [[15.0] * 4]) / 2, rel=1e-9)


def test_copies_of_a_layer_share_its_reads() -> None:
    weight, x = [[7, -3, 2], [1, 0, 5]], [[float(v), 3.0, 9.0] for v in range(12)]
    assert _spent_J(weight, x, budget=4) == approx(_spent_J(weight, x), rel=1e-9)
    program = mapping.compile(small_network([np.array(weight, np.int32)], 12), chip_of("differential"), 4)
    assert program.layers[0].n_replicas > 1


def test_cells_without_conductances_are_not_counted() -> None:
    chip = xbar.load_chip("isaac_isca_2016", {"precision.weight_bits": 4, "precision.input_bits": 4})
    program = mapping.compile(small_network(random_weights([(6, 8)])), chip)
    for noise in (None, "none"):
        activity = xbar.simulate(program, torch.ones(2, 1, 8), noise=noise).activity
        assert activity.layers[0].cell_reads == 0
        assert "cell_reads" not in {u.event for u in xbar.estimate(program, activity).uncosted}


@pytest.mark.parametrize("calibration", ["none", "column"])
@pytest.mark.parametrize("drive", ["one_sided", "two_sided"])
@pytest.mark.parametrize("sinh_V", [None, 0.1])
def test_wires_take_their_part_of_the_power(sinh_V: float | None, drive: str, calibration: str) -> None:
    """With all word lines driven, what the drivers deliver by the circuit: V times current, at both ends of a line.

    Gains of columns take no power, so that a calibration changes nothing.
    """
    weight = np.random.default_rng(0).integers(-7, 8, (3, 12)).astype(np.int32)
    changes = {"device": DEVICE | ({"sinh_V": sinh_V} if sinh_V else {})}
    array = {"kind": "ir_drop", "rows": 16, "cols": 16, **SIZE, **WIRES, "drive": drive, "calibration": calibration}
    chip = chip_of("differential", crossbar=array, **changes)
    program = mapping.compile(small_network([weight]), chip)
    (layer,), circuit = program.layers, chip.crossbar.circuit(chip.device)
    assert circuit is not None
    found = _array_J(program, xbar.simulate(program, torch.full((1, 1, 12), 15.0)).activity)
    levels_S = G_MAX_S * np.linspace(LOW_REL, 1, 4)[layer.cells[:, 0]]  # [plane, row, col]
    g_S = levels_S.transpose(1, 2, 0).reshape(12, -1) / circuit.read_gain
    current_S = circuit.nodes(g_S, np.ones(12)).word_line_S  # type: ignore[attr-defined]
    wanted = 4 * READ_V**2 * READ_S * (current_S[:, 0] - current_S[:, -1]).sum()  # four pulses
    assert found == approx(wanted, rel=1e-8)
    assert found < 0.99 * 4 * READ_V**2 * READ_S * levels_S.sum()
