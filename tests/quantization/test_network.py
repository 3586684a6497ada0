"""The integer network: what crossbars must reproduce."""

from __future__ import annotations

from dataclasses import dataclass, replace

import models
import numpy as np
import pytest
import torch
from close import approx
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from xbar.errors import ConfigError, DataError, ModelError
from xbar.frontends.torch_module import from_torch
from xbar.network import Precision, QuantizedNetwork
from xbar.quantization import dequantize, integer_forward, quantize, quantize_input


def quantized(kind: type[nn.Module], **precision: object) -> QuantizedNetwork:
    return quantize(models.traced(kind), models.inputs(kind, 6, seed=3), Precision.model_validate(precision))


@pytest.mark.parametrize("kind", models.SHAPES, ids=lambda k: k.__name__)
def test_sixteen_bits_are_close_to_float(kind: type[nn.Module]) -> None:
    model, x = models.build(kind), models.inputs(kind, 6, seed=3)
    out = integer_forward(quantized(kind, weight_bits=16, input_bits=16), x)
    expected = model(x).detach()
    assert float((out - expected).abs().max()) <= 1e-3 * float(expected.abs().max())


def test_more_bits_are_closer() -> None:
    x = models.inputs(models.LeNet5, 6, seed=3)
    expected = models.build(models.LeNet5)(x).detach()
    errors = [
        float((integer_forward(quantized(models.LeNet5, weight_bits=b, input_bits=b), x) - expected).norm())
        for b in (4, 8, 12)
    ]
    assert errors[0] > 4 * errors[1] > 16 * errors[2]


@pytest.mark.parametrize(
    "precision",
    [
        {"granularity": "layer"},
        {"weights": "dynamic_fixed_point", "inputs": "dynamic_fixed_point"},
        {"input_range": "mse"},
        {"input_range": "percentile", "percentile": 99.99},
    ],
    ids=str,
)
def test_every_method_gives_a_usable_network(precision: dict[str, object]) -> None:
    x = models.inputs(models.LeNet5, 6, seed=3)
    expected = models.build(models.LeNet5)(x).detach()
    out = integer_forward(quantized(models.LeNet5, **precision), x)
    assert float((out - expected).norm() / expected.norm()) < 0.05


def test_one_level_networks_hold_three_values() -> None:
    qnet = quantized(models.MLP, weights="one_level")
    for layer in qnet.layers:
        assert set(np.unique(layer.weight_q)) == {-1, 0, 1}
        assert layer.weight_bits == 2
        assert layer.weight_scale.shape == (layer.layer.weight.shape[0],)
    assert torch.isfinite(integer_forward(qnet, models.inputs(models.MLP, 2))).all()


def test_inputs_after_relu_are_unsigned() -> None:
    signed = {q.layer.name: q.input_signed for q in quantized(models.LeNet5).layers}
    assert signed == {"conv1": True, "conv2": False, "fc1": False, "fc2": False, "fc3": False}


def test_a_network_by_hand() -> None:
    model = nn.Sequential(nn.Linear(2, 1))
    model[0].weight.data = torch.tensor([[1.0, -0.5]])
    model[0].bias.data = torch.tensor([0.25])
    network = from_torch(model, torch.ones(2, 2))
    qnet = quantize(network, torch.tensor([[3.0, 1.0]]), Precision(weight_bits=3, input_bits=2))
    (layer,) = qnet.layers
    assert (layer.weight_scale.tolist(), layer.input_scale, layer.input_signed) == ([1 / 3], 1.0, False)
    assert layer.weight_q.tolist() == [[3, -2]]
    assert integer_forward(qnet, torch.tensor([[2.4, 9.0]])).item() == approx((3 * 2 - 2 * 3) / 3 + 0.25)


def test_a_chip_lends_its_precision() -> None:
    @dataclass(frozen=True)
    class Chip:
        precision: Precision

    network, x = models.traced(models.MLP), models.inputs(models.MLP, 2)
    assert quantize(network, x, Chip(Precision(input_bits=5))).layers[0].input_bits == 5


def test_a_layer_that_sees_only_zeros() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    nn.init.zeros_(model[0].weight)
    nn.init.constant_(model[0].bias, -1.0)
    network, x = from_torch(model, torch.ones(2, 2)), torch.randn(3, 2)
    for input_range in ("max", "mse"):
        qnet = quantize(network, x, Precision(input_range=input_range))
        assert qnet.layers[1].input_scale == 1.0
        torch.testing.assert_close(integer_forward(qnet, x), model(x).detach())


def test_signed_activations_need_two_bits() -> None:
    with pytest.raises(ConfigError, match="layer conv1 receives negative values, which 1 bit cannot hold"):
        quantized(models.LeNet5, input_bits=1)


@given(
    st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=30),
    st.floats(0.01, 10),
    st.integers(1, 16),
    st.booleans(),
)
def test_quantized_inputs(values: list[float], scale: float, bits: int, signed: bool) -> None:
    x = torch.tensor(values)
    q, n_clipped = quantize_input(x, scale, bits, signed)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    assert q.dtype == torch.float32
    assert torch.equal(q, q.round())
    assert low <= float(q.min())
    assert float(q.max()) <= high
    rounded = torch.round(x / scale)
    inside = (rounded >= low) & (rounded <= high)
    assert n_clipped == int((~inside).sum())
    assert bool(((q * scale - x).abs()[inside] <= scale * 0.5 + 1e-4 * x.abs()[inside]).all())
    again, clipped_again = quantize_input(q * scale, scale, bits, signed)
    assert torch.equal(again, q)
    assert clipped_again == 0


def test_quantize_input_leaves_its_argument_and_refuses_nan() -> None:
    x = torch.tensor([-5.0, 0.4, 300.0])
    q, n_clipped = quantize_input(x, 1.0, 8, False)
    assert (q.tolist(), n_clipped, x.tolist()) == ([0, 0, 255], 2, [-5, approx(0.4), 300])
    with pytest.raises(DataError, match="an activation is NaN"):
        quantize_input(torch.tensor([0.0, float("nan")]), 1.0, 8, False)
    assert quantize_input(torch.tensor([float("inf")]), 1.0, 8, False) == (torch.tensor([255.0]), 1)


def test_dequantize_by_hand() -> None:
    acc = torch.tensor([[[2.0, 3.0], [4.0, 5.0]]], dtype=torch.float64)
    out = dequantize(acc, 0.5, np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 1.0, 0.0, 1.0], np.float32))
    assert out.dtype == torch.float32
    assert out.tolist() == [[[1.0, 4.0], [6.0, 11.0]]]
    assert dequantize(acc, 0.5, np.array([2.0]), None).tolist() == [[[2.0, 3.0], [4.0, 5.0]]]


def test_sums_beyond_exact_float64_are_refused() -> None:
    qnet = quantized(models.MLP)
    huge = replace(qnet.layers[1], weight_q=np.full((16, 32), 2**31 - 1, np.int32), input_bits=20)
    with pytest.raises(ModelError, match=r"layer 3: sums may reach .* beyond the 2\^53"):
        integer_forward(replace(qnet, layers=(qnet.layers[0], huge, qnet.layers[2])), models.inputs(models.MLP, 1))


def test_precision_refuses_bits_that_one_level_does_not_use() -> None:
    with pytest.raises(ValueError, match="weight_bits"):
        Precision(weights="one_level", weight_bits=8)
    assert Precision(weights="one_level", weight_bits=2).weight_bits == 2


def test_a_percentile_keeps_its_meaning_where_nearly_all_activations_are_zero() -> None:
    network = from_torch(nn.Linear(1000, 1, bias=False), torch.zeros(2, 1000))
    x = torch.zeros(100, 1000)
    x[:, 0] = torch.arange(1, 101)  # one activation in a thousand, so that 99 % of all of them are zero
    (layer,) = quantize(network, x, Precision(input_range="percentile", percentile=60)).layers
    assert layer.input_scale * 255 == pytest.approx(60, abs=0.02)


def test_given_ranges_take_the_place_of_calibrated_ones() -> None:
    network, x = models.traced(models.MLP), models.inputs(models.MLP, 6)
    precision = Precision(input_bits=6)
    calibrated = quantize(network, x, precision)
    given = quantize(network, x, precision, input_ranges={"3": 2.5})
    assert [q.input_scale for q in given.layers] == [
        calibrated.layers[0].input_scale,
        2.5 / 63,
        calibrated.layers[2].input_scale,
    ]
    assert [q.input_signed for q in given.layers] == [q.input_signed for q in calibrated.layers]
    power = Precision(input_bits=6, inputs="dynamic_fixed_point")
    assert quantize(network, x, power, input_ranges={"3": 2.5}).layers[1].input_scale == 4 / 64


def test_a_range_of_a_module_holds_wherever_the_network_uses_it() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.fc(x) ** 2)

    network = from_torch(Twice(), torch.ones(2, 3))
    qnet = quantize(network, torch.ones(2, 3), Precision(), input_ranges={"fc": 2.0})
    assert [q.input_scale for q in qnet.layers] == [2 / 255, 2 / 255]
    qnet = quantize(network, torch.ones(2, 3), Precision(), input_ranges={"fc:2": 3.0, "fc": 2.0})
    assert [q.input_scale for q in qnet.layers] == [2 / 255, 3 / 255]


def test_ranges_that_are_none_are_all_told() -> None:
    network, x = models.traced(models.MLP), models.inputs(models.MLP, 2)
    ranges = {"conv9": 1.0, "1": 0.0, "3": float("nan"), "5": float("inf")}
    with pytest.raises(ConfigError) as caught:
        quantize(network, x, Precision(), input_ranges=ranges)
    assert len(caught.value.problems) == 4
    assert "must name layers of MLP, got conv9; the layers are 1, 3, 5" in str(caught.value)
    assert "input_ranges: 1: must be above 0, got 0.0" in str(caught.value)
