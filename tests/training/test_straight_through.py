"""Straight-through gradients, weights as integers, and the weights that methods show in place of a layer's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from close import approx
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize

from xbar.errors import TrainingError
from xbar.network import Precision
from xbar.quantization.network import quantize_weights
from xbar.training.base import Method, Treated, find_layers
from xbar.training.bit_slice_l1 import BitSliceL1
from xbar.training.noise_aware import NoiseAware
from xbar.training.quantization_aware import QuantizationAware
from xbar.training.straight_through import SeenWeights, on_grid, sharing, straight_through, weight_integers

See = Callable[[Treated], Callable[[Tensor, bool], Tensor]]


def _treated(model: nn.Module) -> tuple[Treated, ...]:
    return find_layers("Test", model, torch.optim.SGD(model.parameters(), 0.1))


def _one(layer: nn.Module) -> Treated:
    (found,) = _treated(nn.Sequential(layer))
    return found


def _times(factor: float) -> See:
    return lambda _: lambda weight, _training: weight * factor


def test_the_new_value_with_the_gradient_of_the_old() -> None:
    old = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    new = torch.tensor([0.1, 5.0, -7.0], requires_grad=True)
    seen = straight_through(old**2, new)
    assert torch.equal(seen, new)
    (seen * torch.tensor([1.0, 10.0, 100.0])).sum().backward()
    assert old.grad is not None
    assert old.grad.tolist() == [2.0, 40.0, 600.0]
    assert new.grad is None
    seen.detach().zero_()
    assert new.tolist() == approx([0.1, 5.0, -7.0])  # no memory in common


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(
        [
            {},
            {"granularity": "layer", "weight_bits": 4},
            {"weights": "dynamic_fixed_point", "weight_bits": 9},
            {"weights": "one_level"},
        ]
    ),
    st.sampled_from([torch.float32, torch.float64, torch.float16, torch.bfloat16]),
    st.integers(0, 2**32),
)
def test_integers_are_those_of_quantize_and_lie_on_their_grid(
    precision: dict[str, Any], kind: torch.dtype, seed: int
) -> None:
    layer = nn.Conv2d(4, 6, 3, groups=2)
    layer.weight.data = torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(seed))
    layer = layer.to(kind)
    treated = _one(layer)
    integers, scale = weight_integers("Test", treated, Precision(**precision))
    wanted = quantize_weights(layer.weight.detach().float().numpy(), Precision(**precision))
    np.testing.assert_array_equal(integers, wanted[0])
    np.testing.assert_array_equal(scale, wanted[1])
    seen = on_grid(integers, scale, layer.weight.detach())
    assert (seen.dtype, seen.shape) == (kind, layer.weight.shape)
    for col in range(6):
        step = scale[col if len(scale) > 1 else 0]
        expected = torch.from_numpy((integers[col] * step).astype(np.float32)).to(kind)
        assert torch.equal(seen[col], expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_an_error(value: float) -> None:
    layer = nn.Linear(2, 2)
    layer.weight.data[1, 1] = value
    with pytest.raises(TrainingError, match="Test: layer 0: weights must be finite, got NaN or infinity; lower"):
        weight_integers("Test", _one(layer), Precision())


def test_weights_that_something_else_makes_are_an_error() -> None:
    layer = parametrizations.spectral_norm(nn.Linear(3, 2))
    message = r"Test: layer 0: its weights are made of others by _SpectralNorm; make them plain.*skip=\['0'\]"
    with pytest.raises(TrainingError, match=message):
        weight_integers("Test", _one(layer), Precision())


def test_layers_see_what_they_are_shown_until_it_is_removed() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 4, bias=False))
    before, names = list(model.parameters()), list(model.state_dict())
    treated = _treated(model)
    seen = SeenWeights(model, treated[:1], _times(3.0))
    x = torch.rand(5, 3)
    weight, bias = before[0], before[1]
    assert torch.equal(model[0](x), nn.functional.linear(x, 3 * weight, bias))
    assert torch.equal(model[2].weight, before[2])
    assert {id(p) for p in model.parameters()} == {id(p) for p in before}
    seen.remove()
    assert [id(p) for p in model.parameters()] == [id(p) for p in before]  # in their order
    assert list(model.state_dict()) == names
    assert type(model[0]) is nn.Linear
    assert torch.equal(model[0](x), nn.functional.linear(x, weight, bias))
    seen.remove()  # a second time does nothing


def test_training_and_evaluation_are_told_apart() -> None:
    model = nn.Sequential(nn.Linear(2, 2)).eval()
    told: list[bool] = []

    def see(weight: Tensor, training: bool) -> Tensor:
        told.append(training)
        return weight

    SeenWeights(model, _treated(model), lambda _: see)
    for mode in (False, True, False):
        model.train(mode) if told else None
        model(torch.ones(1, 2))
    assert told == [False, True, False]


def test_modules_that_share_weights_all_see_them() -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    model[2].weight = model[0].weight
    own = model[0].weight
    shared, _ = _treated(model)
    assert [m is model[0] or m is model[2] for m in sharing(model, shared)] == [True, True]
    seen = SeenWeights(model, [shared], _times(2.0))
    assert [m is model[0] or m is model[2] for m in sharing(model, shared)] == [True, True]
    for i in (0, 2):
        assert torch.equal(model[i].weight, 2 * own)
    assert not parametrize.is_parametrized(model[1])
    seen.remove()
    assert model[0].weight is own
    assert model[2].weight is own


def test_what_is_last_sees_what_the_others_make() -> None:
    for order in (["last", "first"], ["first", "last"]):
        model = nn.Sequential(nn.Linear(1, 1, bias=False))
        model[0].weight.data.fill_(2.0)
        treated = _treated(model)
        square: See = lambda _: lambda weight, _training: weight**2  # noqa: E731
        shown = {}
        for name in order:
            is_last = name == "last"
            shown[name] = SeenWeights(model, treated, square if is_last else _times(3.0), last=is_last)
        assert model[0].weight.item() == 36.0
        shown["first"].remove()
        assert model[0].weight.item() == 4.0
        shown["last"].remove()
        assert model[0].weight.item() == 2.0
        assert not parametrize.is_parametrized(model[0])


SHOWING: list[Callable[[], Method]] = [
    lambda: BitSliceL1(0.1),
    lambda: NoiseAware(smooth_out=0.1),
    lambda: QuantizationAware(Precision()),
]


@pytest.mark.parametrize("make", SHOWING, ids=["bit_slice_l1", "noise_aware", "quantization_aware"])
def test_a_method_is_attached_once_and_before_it_acts(make: Callable[[], Method]) -> None:
    model, method = nn.Sequential(nn.Linear(3, 2)), make()
    with pytest.raises(TrainingError, match=r"is not attached; call attach\(model, optimizer\) first"):
        method.penalty()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    method.attach(model, optimizer)
    with pytest.raises(TrainingError, match=r"is attached already; call finish\(\) first"):
        method.attach(model, optimizer)
    method.finish()
    assert not parametrize.is_parametrized(model[0])
    method.attach(model, optimizer)
    method.finish()
    assert not parametrize.is_parametrized(model[0])
    assert len(optimizer.param_groups) == 1
