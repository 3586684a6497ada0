"""One-level precision: the level, the regularization's gradient, the tuning of biases, and what each step is worth."""

from __future__ import annotations

import copy
from itertools import combinations
from statistics import mean
from typing import Any

import numpy as np
import pytest
import torch
from close import approx
from digits_training import digits, steps
from hypothesis import given, settings
from hypothesis import strategies as st
from models import MLP
from torch import nn
from torch.optim import SGD, Adam, Optimizer

import xbar
from mapping import compile as compile_program
from xbar.errors import TrainingError
from xbar.frontends.torch_module import from_torch
from xbar.quantization import quantize
from xbar.training.base import Together, find_layers
from xbar.training.one_level import OneLevel, best_level, naive_one_level, to_level


@torch.no_grad()
def _accuracy(model: nn.Module) -> float:
    images, labels = digits("test")
    return float((model(images).argmax(1) == labels).double().mean()) * 100


def _attached(model: nn.Module, optimizer: Optimizer | None = None, **choice: Any) -> OneLevel:
    method = OneLevel(**{"strength": 1.0, **choice})
    method.attach(model, SGD(model.parameters(), 0.1) if optimizer is None else optimizer)
    return method


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=7))
def test_no_other_level_has_less_error(weights: list[float]) -> None:
    """Brute force: whichever set of weights is not zero, its best level is the mean of its magnitudes."""
    w = torch.tensor(weights)
    error = float((w - to_level(w, best_level(w))).double().square().sum())
    magnitudes = w.double().abs().numpy()
    sets = [list(chosen) for k in range(1, len(w) + 1) for chosen in combinations(range(len(w)), k)]
    least = min(
        float(((magnitudes[s] - magnitudes[s].mean()) ** 2).sum() + (np.delete(magnitudes, s) ** 2).sum()) for s in sets
    )
    assert error == pytest.approx(least, abs=1e-5)


def test_by_hand() -> None:
    w = torch.tensor([0.9, -1.1, 0.1, 0.49, -0.51, 0.0])
    assert torch.equal(to_level(w, 1.0), torch.tensor([1.0, -1.0, 0.0, 0.0, -1.0, 0.0]))
    assert best_level(torch.tensor([0.9, -1.1, 0.1])) == approx(1.0)
    assert best_level(torch.zeros(3)) == 1.0


def test_gradient_is_lambda_times_the_sign_of_the_distance() -> None:
    torch.manual_seed(0)
    model = MLP((4, 3, 2)).double()
    method = _attached(model, strength=0.3, ramp=0)
    method.penalty().backward()
    for t in method.treated:
        sign = (t.parameter - to_level(t.parameter, method.levels[t.name])).sign().detach()
        assert torch.equal(t.parameter.grad, 0.3 * sign)
        flat = t.parameter.data.view(-1)
        for i in range(len(flat)):  # by differences, with the levels held
            before = flat[i].item()
            flat[i] = before + 1e-7
            up = method.penalty().item()
            flat[i] = before - 1e-7
            down = method.penalty().item()
            flat[i] = before
            assert (up - down) / 2e-7 == pytest.approx(t.parameter.grad.view(-1)[i].item(), abs=1e-5)
    method.finish()
    assert method.penalty().item() == pytest.approx(0, abs=1e-6)


def test_strength_rises_and_levels_are_fitted_anew() -> None:
    model = MLP((4, 3, 2))
    method = _attached(model, strength=2.0, ramp=4, refit=3)
    distance = sum(
        float((t.parameter.detach() - to_level(t.parameter, method.levels[t.name])).abs().sum()) for t in method.treated
    )
    penalties = []
    for _ in range(6):
        penalties.append(method.penalty().item())
        method.after_step()
    np.testing.assert_allclose(penalties, [2 * distance * min(1, i / 4) for i in range(6)], rtol=1e-5)
    before = method.levels
    with torch.no_grad():
        model[1].weight.mul_(2)
    method.after_step()
    method.after_step()
    assert method.levels == before
    method.after_step()
    assert method.levels["1"] == approx(2 * before["1"])
    assert method.levels["3"] == before["3"]


@pytest.mark.parametrize("granularity", ["layer", "channel"])
def test_the_quantizer_finds_exactly_these_weights(granularity: str) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    _attached(model).finish()
    images = digits("test")[0][:8]
    chosen = {"precision.weights": "one_level", "precision.granularity": granularity, "precision.weight_bits": 2}
    chip = xbar.load_chip("generic_1t1r", {**chosen, "encoding.kind": "ternary", "device.cell_bits": 1})
    qnet = quantize(from_torch(model, images), images, chip)
    for layer, module in zip(qnet.layers, (model[0], model[3]), strict=True):
        scale = layer.weight_scale.reshape(-1, *[1] * (layer.weight_q.ndim - 1))
        np.testing.assert_array_equal((layer.weight_q * scale).astype(np.float32), module.weight.detach().numpy())
        assert set(np.unique(layer.weight_q)) == {-1, 0, 1}
    result = xbar.simulate(compile_program(qnet, chip), images)
    expected = model(images).detach()
    # what is left between the two are the 8 bits of the activations
    assert (torch.as_tensor(result.outputs) - expected).abs().max() < 0.02 * expected.abs().max()


def test_while_biases_are_tuned_nothing_else_moves() -> None:
    torch.manual_seed(2)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = SGD(model.parameters(), 0.05, momentum=0.9, weight_decay=0.1)
    method = _attached(model, optimizer, strength=1e-3)
    steps(model, optimizer, method, 5, batch=128)  # momentum to go on with
    method.tune_biases()
    before = copy.deepcopy(dict(model.named_parameters()))
    steps(model, optimizer, method, 5, batch=128)
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"1.bias", "2.bias", "4.bias"}
    for t in method.treated:
        level = method.levels[t.name]
        assert set(t.parameter.unique().tolist()) == {-level, 0.0, level}
    method.finish()
    assert torch.equal(model[1].weight, before["1.weight"])
    assert all(p.requires_grad for p in model.parameters())


def test_going_on_from_a_state_gives_the_same_bits() -> None:
    def start() -> tuple[nn.Module, Optimizer, OneLevel]:
        torch.manual_seed(3)
        model = MLP((64, 16, 10))
        optimizer = SGD(model.parameters(), 0.05, momentum=0.9)
        return model, optimizer, _attached(model, optimizer, strength=1e-3, ramp=8, refit=3)

    def rest(model: nn.Module, optimizer: Optimizer, method: OneLevel, tune: bool) -> None:
        steps(model, optimizer, method, 6, seed=1, batch=128)
        if tune:
            method.tune_biases()
        steps(model, optimizer, method, 6, seed=2, batch=128)
        method.finish()

    for tuning in (False, True):
        model, optimizer, method = start()
        steps(model, optimizer, method, 5, batch=128)
        if tuning:
            method.tune_biases()
        saved = copy.deepcopy((model.state_dict(), optimizer.state_dict(), method.state_dict()))
        rest(model, optimizer, method, not tuning)
        again, other, resumed = start()
        for part, state in zip((again, other, resumed), saved, strict=True):
            part.load_state_dict(state)
        rest(again, other, resumed, not tuning)
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
        assert all(p.requires_grad for p in again.parameters())


def test_together_with_another() -> None:
    model = MLP()
    optimizer = SGD(model.parameters(), 0.1)
    first, rest = OneLevel(1.0, ramp=0, layers=["1"]), OneLevel(2.0, ramp=0, skip=["1"])
    both = Together(first, rest)
    both.attach(model, optimizer)
    assert [t.name for t in both.treated] == ["1", "3", "5"]
    assert both.penalty().item() == approx(first.penalty().item() + rest.penalty().item())
    both.finish()
    assert all(len(p.unique()) == 3 for name, p in model.named_parameters() if name.endswith("weight"))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"strength": -1.0}, "strength: must be 0 or more and finite, got -1.0"),
        ({"strength": float("nan")}, "strength: must be 0 or more and finite, got nan"),
        ({"ramp": -1}, "ramp: must be a whole number"),
        ({"refit": 0}, "refit: must be a whole number"),
    ],
)
def test_values_out_of_range_are_errors(values: dict[str, Any], told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        OneLevel(**{"strength": 1.0, **values})


def test_misuse_is_an_error() -> None:
    with pytest.raises(TrainingError) as caught:
        OneLevel(-1.0, -1, 0)
    assert len(caught.value.problems) == 3
    with pytest.raises(TrainingError, match="attach"):
        OneLevel(1.0).penalty()
    bare = nn.Sequential(nn.Linear(4, 4, bias=False))
    with pytest.raises(TrainingError, match="needs biases"):
        _attached(bare).tune_biases()
    model = MLP()
    with pytest.raises(TrainingError, match="needs biases"):  # the optimizer does not have them
        _attached(model, SGD([p for p in model.parameters() if p.dim() > 1], 0.1)).tune_biases()
    method = _attached(model)
    method.tune_biases()
    with pytest.raises(TrainingError, match="tuned already"):
        method.tune_biases()
    with pytest.raises(TrainingError, match="the same layers"):
        _attached(model, layers=["1"]).load_state_dict(method.state_dict())
    method.finish()
    with torch.no_grad():
        model[3].weight[0, 0] = float("nan")
    with pytest.raises(TrainingError, match=r"layer 3: weights must be finite"):
        method.finish()
    with pytest.raises(TrainingError, match="level: must be above 0"):
        naive_one_level(method.treated, 0.0)


def test_each_step_adds_accuracy_ondigits() -> None:
    """Naive levels are guessed, so the mean over guesses counts; two seeds, for one may be lucky."""
    table: dict[str, list[float]] = {
        x: [] for x in ("naive", "distribution-aware", "regularization", "bias tuning", "float")
    }
    for seed in range(2):
        torch.manual_seed(seed)
        model = MLP((64, 100, 50, 10))
        steps(model, Adam(model.parameters(), 2e-3), None, 200, seed, batch=128)
        table["float"].append(_accuracy(model))
        for level in (0.05, 0.1, 0.2, 0.4):
            naive = copy.deepcopy(model)
            naive_one_level(find_layers("Test", naive, SGD(naive.parameters(), 0.1)), level)
            table["naive"].append(_accuracy(naive))
        aware = copy.deepcopy(model)
        _attached(aware).finish()
        table["distribution-aware"].append(_accuracy(aware))
        optimizer = Adam(model.parameters(), 1e-3)
        method = _attached(model, optimizer, strength=0.01, ramp=150, refit=20)
        steps(model, optimizer, method, 250, seed + 10, batch=128)
        regularized = copy.deepcopy(model)
        _attached(regularized).finish()
        table["regularization"].append(_accuracy(regularized))
        method.tune_biases()
        steps(model, optimizer, method, 100, seed + 20, batch=128)
        method.finish()
        table["bias tuning"].append(_accuracy(model))
    means = {name: mean(accuracies) for name, accuracies in table.items()}
    assert means["naive"] < means["distribution-aware"] < means["regularization"] < means["bias tuning"]
    assert means["bias tuning"] > means["float"] - 3
