"""The first property of the engine (DESIGN section 5): lossless ADCs equal the integer network bit for bit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from reference import pulses_of, reference_multiply
from small import small_chip
from torch import Tensor, nn

import mapping
from xbar.frontends.torch_module import from_torch
from xbar.host import Host
from xbar.network import MatrixLayer, Network, QuantizedNetwork
from xbar.quantization import integer_forward, quantize
from xbar.sim import simulate
from xbar.sim.adc import column_sum_histograms
from xbar.sim.crossbar import Counts
from xbar.sim.simulate import walk

# name: (model, shape of one input); traced once each, weights are drawn
MODELS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "one weight": (nn.Linear(1, 1), (1,)),
    "linear": (nn.Linear(37, 5), (37,)),
    "two linear": (nn.Sequential(nn.Linear(11, 19, bias=False), nn.ReLU(), nn.Linear(19, 3)), (11,)),
    "linear of sequences": (nn.Linear(6, 7), (3, 6)),
    "convolution": (nn.Conv2d(3, 5, 3, padding=1), (3, 4, 5)),
    "grouped": (nn.Conv2d(6, 9, (2, 3), stride=2, groups=3, bias=False), (6, 5, 5)),
    "depthwise and linear": (
        nn.Sequential(nn.Conv1d(4, 8, 3, groups=4), nn.ReLU(), nn.Flatten(), nn.Linear(32, 6)),
        (4, 6),
    ),
}


@lru_cache
def _network(model: str) -> Network:
    module, shape = MODELS[model]
    return from_torch(module.eval(), torch.zeros(2, *shape))


@dataclass(frozen=True)
class Case:
    """One drawn network, chip and way to choose the ADC; printed by hypothesis where the property fails."""

    model: str
    encoding: str
    layout: str
    weight_bits: int
    cell_bits: int
    input_bits: int
    signed: bool
    dac_bits: int
    rows: int
    cols: int
    data: str
    seed: int

    def chip(self, adc: dict[str, Any]) -> Any:
        """The chip, with `adc` as its converter."""
        ternary = self.encoding == "ternary"
        precision: dict[str, Any] = {"weight_bits": self.weight_bits, "input_bits": self.input_bits}
        encoding: dict[str, Any] = {"kind": self.encoding.split()[0], "layout": self.layout}
        return small_chip(
            adc=adc,
            precision=precision | ({"weights": "one_level"} if ternary else {}),
            encoding=encoding | ({"flipped": True} if "flipped" in self.encoding else {}),
            device__cell_bits=self.cell_bits,
            dac__bits=self.dac_bits,
            crossbar__rows=self.rows,
            crossbar__cols=self.cols,
            chip__tiles=1_000_000,
        )

    @property
    def nominal_bits(self) -> int:
        """ADC bits that no column can exceed whatever weights and inputs: flipped columns need half the range."""
        top_digit, top_level = 2**self.dac_bits - 1, 2**self.cell_bits - 1
        largest = self.rows * top_level // (2 if "flipped" in self.encoding else 1)
        if "offset" in self.encoding:
            largest = max(largest, self.rows)  # the unit column
        return (largest * top_digit).bit_length()


@st.composite
def cases(draw: st.DrawFn, encoding: str) -> Case:
    """Any layout, precision and crossbar that go together with the encoding."""
    layout = draw(st.sampled_from(["interleaved", "separate"]))
    signed = draw(st.booleans())
    weight_bits = 2 if encoding == "ternary" else draw(st.integers(2, 8))
    cell_bits = 1 if encoding == "ternary" else draw(st.integers(1, 4))
    input_bits = draw(st.integers(2 if signed else 1, 8))
    slices = -(-(weight_bits - ("offset" not in encoding)) // cell_bits)
    cells = slices * (1 if "offset" in encoding else 2) if layout == "interleaved" else 1
    return Case(
        model=draw(st.sampled_from(sorted(MODELS))),
        encoding=encoding,
        layout=layout,
        weight_bits=weight_bits,
        cell_bits=cell_bits,
        input_bits=input_bits,
        signed=signed,
        dac_bits=draw(st.integers(1, min(4, input_bits))),
        rows=draw(st.integers(1, 40)),
        cols=draw(st.integers(cells, 40)),
        data=draw(st.sampled_from(["sparse", "dense", "largest"])),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


def _drawn(case: Case) -> tuple[QuantizedNetwork, Tensor]:
    """The model with drawn weights, quantized on half of its drawn inputs: the others may be clipped."""
    rng, network = np.random.default_rng(case.seed), _network(case.model)

    def values(shape: tuple[int, ...], mean: float) -> NDArray[np.float32]:
        if case.data == "largest":
            return np.full(shape, rng.choice([-1.0, 1.0]), np.float32)
        if case.data == "structured":
            return rng.normal(mean, 1.0, shape).astype("f4")
        return (rng.normal(mean, 1.0, shape) * (rng.random(shape) < (0.2 if case.data == "sparse" else 1))).astype("f4")

    layers = [replace(q, weight=values(q.weight.shape, rng.choice([-1.0, 0.0, 1.0]))) for q in network.layers]
    if case.data == "structured":
        layers = [replace(q, weight=_with_holes(q, rng)) for q in layers]
    x = torch.from_numpy(values((6, *network.input_shape), 0.0))
    x = x if case.signed else x.abs()
    seen = x[:3].clone()
    seen.flatten()[0] = -1.0 if case.signed else 1.0  # however sparse: the first layer sees the drawn sign
    return quantize(replace(network, layers=tuple(layers)), seen, case.chip({"kind": "ideal"})), x


def _with_holes(layer: MatrixLayer, rng: np.random.Generator) -> NDArray[np.float32]:
    """The layer's weights with rows and columns of zeros in all groups, and rectangles of zeros in single ones."""
    shape = layer.groups, layer.n_cols, layer.n_rows
    matrix = layer.weight.reshape(shape).copy()
    matrix[:, :, rng.random(shape[2]) < rng.choice([0, 0.4, 1], p=[0.3, 0.6, 0.1])] = 0
    matrix[:, rng.random(shape[1]) < rng.choice([0, 0.4])] = 0
    for group in matrix:
        for _ in range(4):
            first, last = np.sort(rng.integers(0, [[shape[1] + 1], [shape[2] + 1]], (2, 2)), axis=1).T
            group[first[0] : last[0], first[1] : last[1]] = 0
    return matrix.reshape(layer.weight.shape)


def _sar(bits: int | list[int]) -> dict[str, Any]:
    reference = {"bits": 8, "power_W": 1e-3, "area_m2": 1e-9, "rate_Hz": 1e9}
    return {"kind": "sar", "source": "made up", "bits": bits, "reference": reference}


def _observed_bits(case: Case, qnet: QuantizedNetwork, x: Tensor) -> list[int]:
    """Bits per slice that just hold the column sums of these inputs; the worst case may exceed them."""
    sums = column_sum_histograms(mapping.compile(qnet, case.chip({"kind": "ideal"})), x)
    bits = [max(1, int(max(largest)).bit_length()) for largest in zip(*(s.largest() for s in sums), strict=True)]
    if "offset" in case.encoding:  # the unit column has the resolution of the finest slice
        bits[-1] = max(bits[-1], max(int(np.flatnonzero(s.unit)[-1]).bit_length() for s in sums))
    return bits


@pytest.mark.parametrize("adc", ["ideal", "nominal", "observed"])
@pytest.mark.parametrize("encoding", ["differential", "offset", "offset flipped", "ternary"])
@settings(max_examples=6, deadline=None)
@given(data=st.data())
def test_lossless_adcs_equal_the_integer_network_bit_for_bit(encoding: str, adc: str, data: st.DataObject) -> None:
    case = data.draw(cases(encoding))
    qnet, x = _drawn(case)
    if adc == "ideal":
        chip = case.chip({"kind": "ideal"})
    else:
        chip = case.chip(_sar(case.nominal_bits if adc == "nominal" else _observed_bits(case, qnet, x)))
    result = simulate(mapping.compile(qnet, chip), x)
    assert torch.equal(result.outputs, integer_forward(qnet, x))
    for layer in result.activity.layers:
        assert not any(layer.saturations)
        assert layer.unit_saturations == 0


@pytest.mark.parametrize("encoding", ["differential", "offset", "offset flipped", "ternary"])
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_what_takes_no_hardware_changes_no_bit(encoding: str, data: st.DataObject) -> None:
    """Weights with rows, columns and blocks of zeros: the integer network bit for bit, exact and analog engine alike,
    the counts of the plain reference where ADCs are too coarse, and word lines counted crossbar by crossbar."""
    case = replace(data.draw(cases(encoding)), data="structured")
    qnet, x = _drawn(case)
    wanted = integer_forward(qnet, x)
    for adc in ({"kind": "ideal"}, _sar(case.nominal_bits)):
        program = mapping.compile(qnet, case.chip(adc))
        result = simulate(program, x)
        assert torch.equal(result.outputs, wanted)
        real = simulate(program, x, noise="none")
        assert torch.equal(real.outputs, wanted)
        assert real.activity == result.activity
        assert not any(any(layer.saturations) or layer.unit_saturations for layer in result.activity.layers)
    program = mapping.compile(qnet, case.chip(_sar(2)))
    seen: list[int] = [0] * len(program.layers)

    def multiply(index: int, rows: NDArray[np.integer], first_vector: int) -> tuple[Tensor, Counts]:
        layer, found = program.layers[index], reference_multiply(program.layers[index], rows)
        for digit, _ in pulses_of(rows, layer):
            for b in layer.blocks:
                lines = slice(layer.row_edges[b.row_block], layer.row_edges[b.row_block + 1])
                seen[index] += np.count_nonzero(digit[:, slice(*b.groups), lines])
        return torch.from_numpy(found.out), Counts(found.saturations, found.unit_saturations)

    coarse = simulate(program, x)
    plain = walk(program, Host(program.network), x, multiply)
    assert torch.equal(coarse.outputs, plain.outputs)
    assert coarse.activity == plain.activity
    assert [layer.active_rows for layer in coarse.activity.layers] == seen
    real = simulate(program, x, noise="none")
    assert torch.equal(real.outputs, coarse.outputs)
    assert real.activity == coarse.activity
