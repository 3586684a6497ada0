"""Quantization-aware training: the integers of `xbar.quantize`, and ranges that are learned."""

from __future__ import annotations

import copy
from typing import Any

import models
import numpy as np
import pytest
import torch
from close import approx
from digits_training import digits, pass_over
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim import SGD

from xbar.errors import TrainingError
from xbar.frontends.torch_module import from_torch
from xbar.network import Precision
from xbar.quantization import integer_forward, quantize
from xbar.training.base import Together
from xbar.training.quantization_aware import QuantizationAware, QuantizedInput

PRECISIONS: list[dict[str, Any]] = [
    {},
    {"granularity": "layer", "weight_bits": 4, "input_bits": 3},
    {"weights": "dynamic_fixed_point", "inputs": "dynamic_fixed_point", "weight_bits": 5},
    {"weights": "one_level", "input_bits": 4},
    {"weight_bits": 3, "input_range": "mse", "input_bits": 2},
]


def _attached(model: nn.Module, **precision: Any) -> tuple[QuantizationAware, SGD]:
    method, optimizer = QuantizationAware(Precision(**precision)), SGD(model.parameters(), 0.05, momentum=0.9)
    method.attach(model, optimizer)
    return method, optimizer


def _small() -> nn.Module:
    """A convolution in groups and a linear layer, for 8x8 images."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = nn.Conv2d(1, 4, 3)
        return nn.Sequential(
            first, nn.ReLU(), nn.Conv2d(4, 6, 3, 2, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(24, 5)
        )


def _train(model: nn.Module, method: QuantizationAware, optimizer: SGD, x: Tensor, steps: int = 3) -> None:
    model.train()
    for _ in range(steps):
        loss = (model(x) ** 2).mean() + method.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step()


@pytest.mark.parametrize("precision", PRECISIONS, ids=str)
def test_what_was_trained_is_what_quantize_makes(precision: dict[str, Any]) -> None:
    model, x = _small(), models.inputs(models.MLP, 6)
    method, optimizer = _attached(model, **precision)
    _train(model, method, optimizer, x)
    model.eval()
    trained = {t.name: t.module.weight.detach().numpy() for t in method.treated}
    seen = model(x).detach()
    method.finish()
    qnet = quantize(from_torch(model, x), x, Precision(**precision), input_ranges=method.input_ranges)
    for layer in qnet.layers:
        name = layer.layer.name
        steps = layer.weight_scale.reshape(-1, *[1] * (layer.weight_q.ndim - 1))
        np.testing.assert_array_equal((layer.weight_q * steps).astype(np.float32), trained[name])
        found = method.inputs[name]
        assert (layer.input_scale, layer.input_signed) == (found.step, found.signed)
    out = integer_forward(qnet, x)
    assert float((out - seen).abs().max()) <= 0.02 * float(seen.abs().max())  # one step of rounding here and there


def test_finish_leaves_a_plain_model() -> None:
    model, x = _small(), models.inputs(models.MLP, 4)
    parameters = list(model.parameters())
    method, optimizer = _attached(model)
    assert len(optimizer.param_groups) == 2
    _train(model, method, optimizer, x)
    method.finish()
    assert len(optimizer.param_groups) == 1
    assert set(optimizer.state) <= set(parameters)
    assert [id(p) for p in model.parameters()] == [id(p) for p in parameters]
    for module in model.modules():
        assert not parametrize.is_parametrized(module)
        assert not module._forward_pre_hooks
    torch.export.export(model.eval(), (x,))
    weight = parameters[0].detach()
    assert torch.unique(weight).numel() > 0.9 * weight.numel()  # float weights, not those of the grid
    method.finish()  # a second time does nothing


@given(
    st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=12),
    st.floats(0.25, 4),
    st.integers(2, 8),
    st.booleans(),
)
def test_gradients_are_the_formulas(values: list[float], full_range: float, bits: int, signed: bool) -> None:
    found = QuantizedInput("layer", Precision(input_bits=bits), torch.zeros(1))
    found.load({"range": full_range, "began": full_range, "signed": signed})
    x = torch.tensor([[abs(v) if not signed else v for v in values]], requires_grad=True)
    upstream = torch.arange(1.0, len(values) + 1)[None]
    (found.quantized(x) * upstream).sum().backward()
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    r = np.float32(full_range)
    step = float(r) / high
    of_x, of_r = [], 0.0
    for value, g in zip(x.detach()[0].numpy(), upstream[0].tolist(), strict=True):
        v = float(value) / step
        if abs(v - np.rint(v)) > 0.4999 or min(abs(v - low), abs(v - high)) < 1e-5:
            return  # where the function jumps, rounding decides
        inside = low <= v <= high
        of_x.append(g * inside)
        of_r += g * step / r * (np.rint(v) - v if inside else (low if v < low else high))
    assert x.grad is not None
    np.testing.assert_allclose(x.grad[0], of_x)
    assert found.range.grad is not None
    assert float(found.range.grad) == pytest.approx(of_r / np.sqrt(len(values)), rel=1e-3, abs=1e-4)


def test_the_range_of_a_saturated_input_is_that_of_its_clipping() -> None:
    """Where everything is clipped or on the grid, the surrogate gradient is the true one: central differences."""
    found = QuantizedInput("layer", Precision(input_bits=3), torch.zeros(1))
    x = torch.tensor([[9.0, 8.0, 0.0]], requires_grad=True)

    def value(r: float) -> Tensor:
        found.load({"range": r, "began": r, "signed": False})
        return found.quantized(x).sum()

    value(2.0).backward()
    true = (value(2.01) - value(1.99)).item() / 0.02
    assert true == approx(2.0, rel=1e-3)
    assert float(found.range.grad) == approx(true / np.sqrt(3), rel=1e-3)  # type: ignore[arg-type]


def test_weights_pass_their_gradient_straight_through() -> None:
    model = nn.Sequential(nn.Linear(3, 2, bias=False))
    method, _ = _attached(model, weight_bits=3)
    x = torch.tensor([[0.0, 1.0, 1.0]])
    (model(x) * torch.tensor([[2.0, 5.0]])).sum().backward()
    (treated,) = method.treated
    assert treated.parameter.grad is not None
    assert treated.parameter.grad.tolist() == [[0, 2, 2], [0, 5, 5]]


def test_ranges_begin_as_calibration_finds_them_and_learn_the_sign() -> None:
    model = nn.Sequential(nn.Linear(4, 3))
    method, _ = _attached(model)
    x = torch.rand(8, 4)
    assert method.input_ranges == {}
    assert torch.equal(model(0 * x), model[0].bias.expand(8, 3))
    assert method.input_ranges == {}  # nothing but zeros so far
    model(x)
    assert method.input_ranges == {"0": float(x.max())}
    assert not method.inputs["0"].signed
    model(x - 0.5)
    assert method.inputs["0"].signed
    assert method.input_ranges == {"0": float(x.max())}


def test_ranges_stay_above_zero() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 1))
    with torch.no_grad():
        model[0].weight.abs_()
        model[0].bias.abs_()  # no ReLU is dead
    method, _ = _attached(model)
    model(torch.rand(5, 4))
    with torch.no_grad():
        method.inputs["2"].range.fill_(-1.0)
    method.after_step()
    assert method.input_ranges["2"] > 0
    assert torch.isfinite(model(torch.rand(5, 4))).all()


def test_a_checkpoint_goes_on_as_if_nothing_had_happened() -> None:
    x = models.inputs(models.MLP, 8)
    straight = models.build(models.MLP)
    method, optimizer = _attached(straight, input_bits=4)
    _train(straight, method, optimizer, x, 2)
    saved = copy.deepcopy([straight.state_dict(), optimizer.state_dict(), method.state_dict()])
    resumed = models.build(models.MLP)
    again, other = _attached(resumed, input_bits=4)
    resumed.load_state_dict(saved[0])
    other.load_state_dict(saved[1])
    again.load_state_dict(saved[2])
    _train(straight, method, optimizer, x, 2)
    _train(resumed, again, other, x, 2)
    assert again.input_ranges == method.input_ranges
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), resumed.parameters(), strict=True))


def test_a_copy_of_the_model_keeps_its_weights() -> None:
    """The snapshot of a best model, taken while it trains."""
    model, x = nn.Sequential(nn.Linear(4, 3)), torch.rand(2, 4)
    method, _ = _attached(model, weight_bits=3)
    model(x)
    best = copy.deepcopy(model)
    before = best(x)
    with torch.no_grad():
        method.treated[0].parameter.mul_(-2)
    assert not torch.equal(model(x), before)
    assert torch.equal(best(x), before)


def test_a_copy_that_changed_as_often_keeps_its_weights() -> None:
    """Torch counts the changes of a tensor; those of a copy may be as many."""
    name = "0.parametrizations.weight.original"
    model, x = nn.Sequential(nn.Linear(4, 3)), torch.rand(2, 4)
    _attached(model, weight_bits=3)
    model(x)
    best = copy.deepcopy(model)
    before, (ours, theirs) = best(x), (dict(m.named_parameters())[name] for m in (model, best))
    with torch.no_grad():
        ours.mul_(-2)
        while theirs._version < ours._version:
            theirs.mul_(1)
        while ours._version < theirs._version:
            ours.mul_(1)
    assert not torch.equal(model(x), before)
    assert torch.equal(best(x), before)


class Reading(nn.Module):
    """Reads the weights of a layer that it does not call."""

    def __init__(self) -> None:
        super().__init__()
        self.read, self.called = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.called(nn.functional.linear(x, self.read.weight))
        return out


def test_layers_that_never_saw_an_input_are_told() -> None:
    model = Reading()
    method, optimizer = _attached(model, weight_bits=3)
    model(torch.rand(2, 4)).sum().backward()
    optimizer.step()
    method.after_step()
    with pytest.warns(UserWarning, match="QuantizationAware: read: never saw an input other than 0"):
        method.finish()


def test_shared_weights_are_quantized_in_every_module_that_has_them() -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.ReLU(), nn.Linear(4, 4, bias=False))
    model[2].weight = model[0].weight
    method, _ = _attached(model, weight_bits=3)
    model(torch.rand(2, 4))
    assert list(method.input_ranges) == ["0", "2"]
    assert torch.equal(model[0].weight, model[2].weight)
    assert torch.unique(model[2].weight).numel() <= 7 * 4
    method.finish()
    assert model[2].weight is model[0].weight


def test_another_method_keeps_its_parametrization() -> None:
    model = nn.Sequential(nn.Linear(4, 4))
    optimizer = SGD(model.parameters(), 0.1)
    first, second = QuantizationAware(Precision(weight_bits=3)), QuantizationAware(Precision(weight_bits=2))
    both = Together(first, second)
    both.attach(model, optimizer)
    first.finish()
    assert parametrize.is_parametrized(model[0])
    assert torch.unique(model[0].weight).numel() <= 12
    second.finish()
    assert not parametrize.is_parametrized(model[0])


def test_bad_input_is_one_clear_error() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    with pytest.raises(TrainingError, match="QuantizationAware: 1: BatchNorm changes the integers"):
        _attached(model, granularity="layer")
    _attached(model)  # a factor per channel keeps them
    linear = nn.Sequential(nn.Linear(2, 2))
    method, _ = _attached(linear, input_bits=1)
    with pytest.raises(TrainingError, match="layer 0: receives negative values, which 1 bit"):
        linear(-torch.ones(1, 2))
    method.finish()
    _attached(linear)
    with pytest.raises(TrainingError, match="layer 0: its first inputs must be finite"):
        linear(torch.full((1, 2), float("nan")))
    with torch.no_grad():
        linear[0].parametrizations.weight.original.fill_(float("nan"))
    with pytest.raises(TrainingError, match="layer 0: weights must be finite"):
        linear(torch.ones(1, 2))


def test_few_bits_lose_less_when_trained() -> None:
    (x, _), (x_test, y_test) = digits("train"), digits("test")
    precision = Precision(weight_bits=2, input_bits=2)

    def accuracy(model: nn.Module, **ranges: Any) -> float:
        qnet = quantize(from_torch(model.eval(), x[:4]), x, precision, **ranges)
        return float((integer_forward(qnet, x_test).argmax(1) == y_test).float().mean())

    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = models.MLP((64, 32, 10))
    pass_over(model, SGD(model.parameters(), 0.1, momentum=0.9), None, 10)
    before = accuracy(model)
    optimizer = SGD(model.parameters(), 0.01, momentum=0.9)
    method = QuantizationAware(precision)
    method.attach(model, optimizer)
    pass_over(model, optimizer, method, 20)
    method.finish()
    after = accuracy(model, input_ranges=method.input_ranges)
    assert after > 0.85
    assert after > before + 0.2
