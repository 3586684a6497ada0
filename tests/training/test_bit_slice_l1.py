"""Bit-slice L1: the quantizer is the simulator's, the penalty its slices, the gradient the published formula."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from close import approx
from digits_training import accuracy, chip, digits, mlp, trained
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from mapping.encode import encode
from mapping.unroll import unroll
from xbar import testing
from xbar.errors import TrainingError
from xbar.frontends.torch_module import from_torch
from xbar.network import Precision
from xbar.quantization import quantize
from xbar.sim.slices import nonzero_slices, nonzero_slices_by_layer
from xbar.testing.subjects import program_of
from xbar.training.base import Together
from xbar.training.bit_slice_l1 import BitSliceL1, fixed_point_codes
from xbar.training.l1 import L1
from xbar.training.pruning import MagnitudePruning


def _attached(model: nn.Module, **arguments: Any) -> BitSliceL1:
    method = BitSliceL1(**{"strength": 0.5, **arguments})
    method.attach(model, torch.optim.SGD(model.parameters(), 0.1))
    return method


def _linear(weights: Tensor) -> nn.Sequential:
    model = nn.Sequential(nn.Linear(weights.shape[1], weights.shape[0]))
    model[0].weight.data = weights.clone()
    return model


def _random(seed: int, shape: tuple[int, int] = (7, 9), scale: float = 1.0) -> Tensor:
    """Weights of all sizes, some zero, none near where codes change."""
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(shape, generator=generator) * scale * torch.rand(shape, generator=generator) ** 3
    return weights * (torch.rand(shape, generator=generator) > 0.2)


def _quantized(model: nn.Module, example: Tensor, weight_bits: int) -> Any:
    precision = Precision(weight_bits=weight_bits, weights="dynamic_fixed_point", granularity="layer")
    return quantize(from_torch(model, example), example, precision)


def test_the_penalty_and_its_gradient_by_hand() -> None:
    # step = 2^(0 - 8): codes 64, 21 = 16 + 4 + 1, 0, 192 = 3 * 64
    model = _linear(torch.tensor([[0.25, -21 / 256], [0.0, 0.75]]))
    method = _attached(model, strength=2.0)
    penalty = method.penalty()
    assert penalty.item() == 2.0 * (1 + 3 + 0 + 3) / (4 * 4)
    penalty.backward()
    (treated,) = method.treated
    third = -(1 / 16 + 1 / 4 + 1)
    expected = torch.tensor([[1 / 64, third], [0.0, 1 / 64]]) * 256 * 2.0 / 16
    torch.testing.assert_close(treated.parameter.grad, expected)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    cell_bits=st.integers(1, 5),
    weight_bits=st.integers(3, 12),
    exponent=st.integers(-20, 20),
)
def test_the_penalty_is_the_sum_of_the_cells_that_the_mapping_writes(
    seed: int, cell_bits: int, weight_bits: int, exponent: int
) -> None:
    weights = _random(seed, scale=2.0**exponent)
    method = _attached(_linear(weights), strength=3.0, cell_bits=cell_bits, weight_bits=weight_bits)
    codes, _ = fixed_point_codes(weights, weight_bits - 1)
    slices = -(-(weight_bits - 1) // cell_bits)
    integers = codes.numpy().astype(np.int32).T[None]
    encoded = encode(integers, (0, 9), "differential", weight_bits, cell_bits, slices, False)
    assert method.penalty().item() == approx(3.0 * encoded.cells.sum() / (slices * weights.numel()), rel=1e-5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), cell_bits=st.integers(1, 5), weight_bits=st.integers(3, 12))
def test_the_gradient_is_the_slope_of_slices_made_smooth(seed: int, cell_bits: int, weight_bits: int) -> None:
    """Straight through: slice k = floor(code / 2^(cell_bits k)) - ..., whose slope by the weight is 2^(-cell_bits k)
    / step; written down with autograd on plain divisions, each |B_k| counted by its sign."""
    weights = _random(seed)
    model = _linear(weights)
    method = _attached(model, cell_bits=cell_bits, weight_bits=weight_bits)
    method.penalty().backward()
    (treated,) = method.treated
    w = weights.double().requires_grad_()
    largest, step = float(weights.abs().max()), 2.0**-100
    while step * 2 ** (weight_bits - 1) < largest:  # the smallest power of two that is enough
        step *= 2
    exact = w.abs() / step
    rest = exact.detach().round().clamp(max=2 ** (weight_bits - 1) - 1)
    n_slices = -(-(weight_bits - 1) // cell_bits)
    total = torch.zeros((), dtype=torch.float64)
    for k in reversed(range(n_slices)):
        unit = 2 ** (cell_bits * k)
        digit = torch.floor(rest / unit)
        rest = rest - digit * unit
        through = exact / unit
        total = total + ((digit + through - through.detach()) * (digit > 0)).sum()
    (total * 0.5 / (n_slices * w.numel())).backward()
    assert w.grad is not None
    torch.testing.assert_close(treated.parameter.grad, w.grad.float())


@pytest.mark.parametrize("largest", [1.0, 0.5, 0.999, 0.5001, 0.998, 2.0**-30, 3e4])
@pytest.mark.parametrize("weight_bits", [3, 5, 9])
def test_training_sees_what_the_simulator_maps_and_finish_leaves_it(largest: float, weight_bits: int) -> None:
    weights = _random(1) / _random(1).abs().max() * largest
    model, example = _linear(weights), torch.rand(2, 9)
    before = _quantized(_linear(weights), example, weight_bits).layers[0]
    method = _attached(model, weight_bits=weight_bits)
    seen = model[0].weight.detach().clone()
    np.testing.assert_array_equal(seen.numpy(), (before.weight_q * before.weight_scale[0]).astype(np.float32))
    method.finish()
    after = _quantized(model, example, weight_bits).layers[0]
    assert after.weight_scale == before.weight_scale
    half = 2 ** (weight_bits - 2)
    moved = np.abs(after.weight_q - before.weight_q)
    assert moved.max() <= (np.abs(before.weight_q).max() == half)  # only where the range would halve
    assert (moved[np.abs(before.weight_q) != half] == 0).all()
    np.testing.assert_array_equal(
        model[0].weight.detach().numpy(), (after.weight_q * after.weight_scale[0]).astype(np.float32)
    )


def test_gradients_pass_straight_through_to_the_optimizers_weights() -> None:
    model, x = _linear(_random(2)), torch.rand(3, 9)
    _attached(model)
    model(x).sum().backward()
    torch.testing.assert_close(model[0].parametrizations.weight.original.grad, x.sum(0).expand(7, 9))


def test_finish_leaves_a_plain_model_with_the_optimizers_own_parameters() -> None:
    model = mlp()
    kept, class_ = model[1].weight, type(model[1])
    method = _attached(model)
    method.finish()
    assert model[1].weight is kept
    assert type(model[1]) is class_
    assert set(dict(model.named_parameters())) == set(dict(mlp().named_parameters()))


def test_modules_that_share_weights_all_see_them_quantized() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight = model[0].weight
    method = _attached(model)
    assert len(method.treated) == 1
    assert torch.equal(model[0].weight, model[1].weight)
    assert not torch.equal(model[1].weight, method.treated[0].parameter)
    method.finish()
    assert model[0].weight is model[1].weight


@pytest.mark.parametrize("value", [0.0, 1e-38, 1e-44])
def test_weights_of_nothing_give_no_nan(value: float) -> None:
    model = _linear(torch.full((2, 3), value))
    method = _attached(model)
    loss = model(torch.ones(1, 3)).sum() + method.penalty()
    loss.backward()
    assert method.treated[0].parameter.grad.isfinite().all()
    method.finish()
    assert (model[0].weight == 0).all()


def test_slices_are_counted_from_the_least_significant() -> None:
    # codes, the most significant slice first: 255 = 3 3 3 3, 16 = 0 1 0 0, 1 = 0 0 0 1, 0
    model, example = _linear(torch.tensor([[255.0, -16.0], [1.0, 0.0]])), torch.rand(2, 2)
    qnet = _quantized(model, example, 9)
    assert nonzero_slices(qnet, 2) == (0.5, 0.25, 0.5, 0.25)
    assert nonzero_slices(qnet, 4) == (0.5, 0.5)
    assert nonzero_slices_by_layer(qnet, 8) == {"0": (0.75,)}


def test_a_program_holds_what_the_network_has() -> None:
    model, (images, _) = mlp(), digits("train")
    program = program_of("model", model, (images[:32], torch.zeros(32)), chip())
    qnet = quantize(from_torch(model, images[:2]), images[:32], chip())
    assert nonzero_slices(program) == approx(nonzero_slices(qnet, 2))
    by_layer = nonzero_slices_by_layer(program)
    assert by_layer == nonzero_slices_by_layer(qnet, 2)
    sizes = {q.layer.name: q.weight_q.size for q in qnet.layers}
    for s, ratio in enumerate(nonzero_slices(qnet, 2)):
        mean = sum(by_layer[name][s] * n for name, n in sizes.items()) / sum(sizes.values())
        assert ratio == approx(mean)
    assert unroll(qnet.layers[0]).size == sizes[qnet.layers[0].layer.name]


def test_after_the_recipe_slices_are_sparser_than_with_l1_and_adcs_smaller() -> None:
    """Pre-train with L1, prune, fine-tune: with L1 as before, or with bit-slice L1."""
    start = trained(mlp(), L1(1.0), epochs=30)

    def tuned(method: L1 | BitSliceL1) -> nn.Module:
        return trained(copy.deepcopy(start), Together(MagnitudePruning(threshold=0.02), method), epochs=25)

    baseline, sliced = tuned(L1(1.0)), tuned(BitSliceL1(0.2))
    on = {"data": "digits", "chip": chip()}
    testing.assert_accuracy_drop(baseline, sliced, **on, at_most=0.015)
    program = program_of("baseline", baseline, **on)
    testing.assert_slice_sparsity(sliced, **on, at_most=0.6 * float(np.mean(nonzero_slices(program))))
    small = {0: 6, 1: 6, 2: 6}
    testing.assert_adc_bits(sliced, **on, at_most=small, by="lossless")
    with pytest.raises(AssertionError, match="1: slice 0 needs 7 bits, at most 6 allowed"):
        testing.assert_adc_bits(baseline, **on, at_most=small, by="lossless")
    assert accuracy(sliced) > 0.93  # in float32, with what it learned


def test_the_same_seed_gives_the_same_bits() -> None:
    first, second = (trained(mlp(8), BitSliceL1(0.1), epochs=2) for _ in range(2))
    assert torch.equal(first[1].weight, second[1].weight)


def test_wrong_arguments_are_told_all_at_once() -> None:
    with pytest.raises(TrainingError) as caught:
        BitSliceL1(0.0, cell_bits=9, weight_bits=2)
    assert [p.split(": ")[1] for p in caught.value.problems] == ["strength", "weight_bits", "cell_bits"]
    model = nn.Linear(2, 2)
    method = BitSliceL1(0.1)
    method.attach(nn.Sequential(model), torch.optim.SGD(model.parameters(), 0.1))
    with torch.no_grad():
        model.parametrizations.weight.original[0, 0] = float("nan")
    with pytest.raises(TrainingError, match="layer 0: weights must be finite"):
        method.penalty()
    with pytest.raises(TrainingError, match="call attach"):
        BitSliceL1(1.0).penalty()
