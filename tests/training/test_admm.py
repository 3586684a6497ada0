"""ADMM: its equations, its life cycle, and a network that it prunes and puts on the levels of a device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from close import approx
from digits_training import digits, steps
from hypothesis import given, settings
from hypothesis import strategies as st
from models import MLP, LeNet5
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

import xbar
from mapping import compile as compile_program
from xbar.errors import TrainingError
from xbar.frontends.torch_module import from_torch
from xbar.parts.device.resistive import ResistiveDevice
from xbar.quantization import quantize
from xbar.training.admm import Admm
from xbar.training.base import Together
from xbar.training.levels import Levels, device_levels

CELL = ResistiveDevice(cell_bits=4, g_min_S=1e-7, g_max_S=1e-6)
EVEN = Levels(tuple(range(1, 16)))


@torch.no_grad()
def _accuracy(model: Callable[[Tensor], Tensor]) -> float:
    images, labels = digits("test")
    return float((model(images).argmax(1) == labels).double().mean()) * 100


def _cnn(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    conv1, conv2 = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
    return nn.Sequential(conv1, nn.ReLU(), nn.MaxPool2d(2), conv2, nn.ReLU(), nn.Flatten(), nn.Linear(256, 10))


def _attached(model: nn.Module, optimizer: Optimizer | None = None, **choice: Any) -> Admm:
    method = Admm(**choice)
    method.attach(model, SGD(model.parameters(), 0.1) if optimizer is None else optimizer)
    return method


def _toy(seed: int, **choice: Any) -> tuple[nn.Linear, Tensor, Admm, Callable[[], None]]:
    """f = 1/2 ||W - T||²: a step of gradient descent at the rate 1 / (1 + rho) per penalty is the exact minimum."""
    torch.manual_seed(seed)
    layer = nn.Linear(6, 5, bias=False).double()
    target = torch.randn(5, 6, dtype=torch.float64)
    rho, n_sets = choice["rho"], sum(name in choice for name in ("prune", "levels"))
    optimizer = SGD(layer.parameters(), 1 / (1 + n_sets * rho))
    method = _attached(nn.Sequential(layer), optimizer, every=1, **choice)

    def step() -> None:
        optimizer.zero_grad()
        ((layer.weight - target).square().sum() / 2 + method.penalty()).backward()
        optimizer.step()
        method.after_step()

    return layer, target, method, step


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), rho=st.floats(0.1, 5), keep=st.integers(1, 6))
def test_the_course_is_that_of_the_equations(seed: int, rho: float, keep: int) -> None:
    """W = (T + rho (Y - U)) / (1 + rho); Y = the largest rows of W + U; U += W - Y; residuals by their definitions."""
    layer, target, method, step = _toy(seed, prune=keep / 6, structure="shape_column", rho=rho)

    def project(values: Tensor) -> Tensor:
        largest = values.square().sum(0).argsort(descending=True)[:keep]
        return torch.zeros_like(values).index_copy(1, largest, values[:, largest])

    Y, U = project(layer.weight.detach()), torch.zeros(5, 6, dtype=torch.float64)
    for _ in range(8):
        W = (target + rho * (Y - U)) / (1 + rho)
        before, Y = Y, project(W + U)
        U = U + W - Y
        step()
        assert torch.allclose(layer.weight, W)
        residual = method.residuals["0"]["structure"]
        assert residual.primal == pytest.approx((W - Y).norm().item(), abs=1e-9)
        assert residual.dual == pytest.approx(rho * (Y - before).norm().item(), abs=1e-9)


def test_penalty_and_its_gradient_are_those_of_the_formula() -> None:
    rho = 0.7
    layer, _, method, step = _toy(1, prune=0.5, structure="unstructured", levels=Levels((1.0, 3.0)), rho=rho)
    for _ in range(3):
        step()
    state = method.state_dict()["layers"]["0"]
    W = layer.weight.detach().clone().requires_grad_()
    (Y, U), (Z, V) = ((state[part]["value"], state[part]["dual"]) for part in ("structure", "levels"))
    formula = rho / 2 * (W - Y + U).square().sum() + rho / 2 * (W - Z + V).square().sum()
    assert method.penalty().item() == approx(formula.item())
    layer.zero_grad()
    method.penalty().backward()
    assert torch.allclose(layer.weight.grad, rho * (W - Y + U) + rho * (W - Z + V))
    assert int((Y != 0).sum()) == 15
    assert torch.equal(Z != 0, Y != 0)  # what is pruned needs no level


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("sets", [{"prune": 0.5}, {"levels": EVEN}, {"prune": 0.5, "levels": EVEN}])
def test_residuals_fall_on_a_convex_problem(seed: int, sets: dict[str, Any]) -> None:
    """With rho well above the curvature 1: the sets are not convex, and a small rho may go in circles between two."""
    layer, target, method, step = _toy(seed, structure="shape_column", rho=8.0, **sets)
    step()
    first = method.residuals["0"]
    for _ in range(150):
        step()
    last = method.residuals["0"]
    assert set(first) == {{"prune": "structure"}.get(name, name) for name in sets}
    for name in first:
        assert last[name].primal < 1e-3 * first[name].primal
        assert last[name].dual < 1e-3 * first[name].dual
    if "levels" not in sets:  # of the rows that stay, the optimum is the target
        kept = method.state_dict()["layers"]["0"]["structure"]["value"].any(0)
        assert int(kept.sum()) == 3
        assert torch.allclose(layer.weight, target * kept, atol=1e-4)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: SGD(p, 0.05, momentum=0.9, weight_decay=0.01, nesterov=True),
        lambda p: Adam(p, 1e-2, weight_decay=0.01),
        lambda p: AdamW(p, 1e-2, weight_decay=0.1),
    ],
)
def test_what_is_mapped_to_zero_stays_zero(make: Callable[[Any], Optimizer]) -> None:
    model = _cnn(0)
    optimizer = make(model.parameters())
    prune, structure = {"0": 0.5, "3": 0.3}, {"0": "filter", "3": "crossbar_block"}
    method = _attached(model, optimizer, prune=prune, structure=structure, crossbar=(9, 4), rho=0.01, every=3)
    steps(model, optimizer, method, 6)  # momentum to go on with
    method.map()
    zeros = {name: model.get_submodule(name).weight == 0 for name in prune}
    assert [int((~zeros["0"]).flatten(1).any(1).sum()), int((~zeros["3"]).sum())] == [4, 9 * 36]  # 9 of 8 x 4 blocks
    kept = {name: model.get_submodule(name).weight.detach().clone() for name in prune}
    for seed in range(3):
        steps(model, optimizer, method, 1, seed)
        assert all(torch.equal(model.get_submodule(name).weight == 0, zero) for name, zero in zeros.items())
    assert all(not torch.equal(model.get_submodule(name).weight, before) for name, before in kept.items())
    method.finish()
    assert all(torch.equal(model.get_submodule(name).weight == 0, zero) for name, zero in zeros.items())


def test_a_network_pruned_four_times_and_on_levels_is_as_good_and_maps_exactly() -> None:
    """Residuals fall; then digits on a chip of 4-bit cells, 5-bit weights, within 1.5 % of the float network."""
    model = _cnn(0)
    steps(model, Adam(model.parameters(), 3e-3), None, 180)
    before = _accuracy(model)
    optimizer = Adam(model.parameters(), 5e-3)
    method = _attached(
        model,
        optimizer,
        prune={"0": 0.5, "3": 0.22},
        structure={"0": "filter", "3": "shape_column"},
        levels=device_levels(CELL),
        rho=0.1,
        every=46,
    )
    start = method.residuals
    for seed in range(8):
        steps(model, optimizer, method, 46, seed)
    end = method.residuals
    for name in ("0", "3"):
        assert end[name]["structure"].primal < 0.3 * start[name]["structure"].primal
        assert end[name]["levels"].primal < 0.3 * start[name]["levels"].primal
    method.map()
    optimizer.param_groups[0]["lr"] = 2e-3
    steps(model, optimizer, method, 140, seed=9)
    method.finish()
    convolutions = [model[0].weight, model[3].weight]
    assert sum(w.numel() for w in convolutions) >= 4 * sum(int((w != 0).sum()) for w in convolutions)
    for t in method.treated:
        w = t.parameter.detach()
        magnitudes = w[w != 0].abs().double().unique() / w.abs().max()
        assert torch.allclose(15 * magnitudes, (15 * magnitudes).round(), atol=1e-5)
    images, _ = digits("test")
    changes = {"precision.weight_bits": 5, "precision.granularity": "layer", "device.cell_bits": 4}
    chip = xbar.load_chip("generic_1t1r", changes)
    qnet = quantize(from_torch(model, images[:8]), digits("train")[0][:256], chip)
    for layer, t in zip(qnet.layers, method.treated, strict=True):
        held = (layer.weight_q * layer.weight_scale[0]).astype(np.float32)
        np.testing.assert_allclose(held, t.parameter.detach().numpy(), rtol=1e-5, atol=0)
    program = compile_program(qnet, chip)
    on_hardware = _accuracy(lambda x: torch.as_tensor(xbar.simulate(program, x).outputs))
    assert _accuracy(model) >= before - 1.5
    assert on_hardware >= before - 1.5


@pytest.mark.parametrize("mapped", [False, True])
def test_going_on_from_a_state_gives_the_same_bits(mapped: bool, tmp_path: Any) -> None:
    def start() -> tuple[nn.Module, Optimizer, Admm]:
        model = _cnn(3)
        optimizer = Adam(model.parameters(), 5e-3)
        return (
            model,
            optimizer,
            _attached(model, optimizer, prune={"3": 0.25}, levels=device_levels(CELL, 3), rho=0.1, every=4),
        )

    def rest(model: nn.Module, optimizer: Optimizer, method: Admm) -> None:
        steps(model, optimizer, method, 7, seed=1)
        if not mapped:
            method.map()
        steps(model, optimizer, method, 7, seed=2)
        method.finish()

    model, optimizer, method = start()
    steps(model, optimizer, method, 6)
    if mapped:
        method.map()
    torch.save([part.state_dict() for part in (model, optimizer, method)], tmp_path / "state.pt")
    rest(model, optimizer, method)
    again, other, resumed = start()
    for part, state in zip((again, other, resumed), torch.load(tmp_path / "state.pt", weights_only=True), strict=True):
        part.load_state_dict(state)
    rest(again, other, resumed)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert resumed.residuals == method.residuals


def test_together_two_structures_and_levels() -> None:
    """Filters, then shape columns of the same layer, and the levels of what both leave."""
    model = _cnn(4)
    optimizer = Adam(model.parameters(), 5e-3)
    filters = Admm(prune={"3": 0.5}, structure="filter", rho=0.1, every=5)
    columns = Admm(prune={"3": 0.5}, structure="shape_column", rho=0.1, every=5)
    levels = Admm(levels=Levels((1.0, 2.0, 3.0)), rho=0.1, every=5)
    together = Together(filters, columns, levels)
    together.attach(model, optimizer)
    assert [t.name for t in together.treated] == ["3", "0", "6"]
    assert together.penalty().item() == approx(sum(m.penalty().item() for m in (filters, columns, levels)))
    steps(model, optimizer, together, 10)
    filters.map()
    columns.map()
    steps(model, optimizer, together, 10)
    together.finish()
    w = model[3].weight.detach().flatten(1)
    assert int(w.any(1).sum()) == 8
    assert int(w.any(0).sum()) == 36
    assert len(w[w != 0].abs().unique()) <= 3
    assert len(model[6].weight.unique()) <= 6
    assert not (model[6].weight == 0).any()


def test_only_what_is_asked_for_is_treated() -> None:
    model = LeNet5()
    assert [t.name for t in _attached(model, prune={"conv2": 0.5, "conv1": 0.5}).treated] == ["conv1", "conv2"]
    assert len(_attached(model, prune=0.5).treated) == 5
    assert len(_attached(model, prune={"conv1": 0.5}, levels=Levels((1.0,))).treated) == 5
    some = _attached(model, prune={"conv1": 0.5}, levels=Levels((1.0,)), layers=["conv1", "fc3"])
    assert {name: set(parts) for name, parts in some.residuals.items()} == {
        "conv1": {"structure", "levels"},
        "fc3": {"levels"},
    }
    before = model.fc1.weight.detach().clone()
    some.finish()  # maps as well
    assert torch.equal(model.fc1.weight, before)
    assert int(model.conv1.weight.flatten(1).any(1).sum()) == 3
    assert len(model.fc3.weight.unique()) == 2


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({}, "needs prune or levels"),
        ({"prune": 0.0}, "prune: all layers: must be above 0 and at most 1, got 0.0"),
        ({"prune": {"conv1": 1.01}}, "prune: conv1: must be above 0 and at most 1, got 1.01"),
        ({"prune": float("nan")}, "must be above 0 and at most 1"),
        ({"prune": 0.5, "structure": "filters"}, "structure: must be one of filter, channel"),
        ({"prune": 0.5, "crossbar": (0, 4)}, "crossbar: must be"),
        ({"prune": 0.5, "crossbar": (8.5, 4)}, "crossbar: must be"),
        ({"prune": 0.5, "structure": "crossbar_row"}, "Admm: crossbar_row: needs a crossbar's size; set crossbar="),
        ({"prune": 0.5, "rho": 0.0}, "rho: must be above 0"),
        ({"prune": 0.5, "every": 0}, "every: must be a whole number"),
    ],
)
def test_values_out_of_range_are_errors(choice: dict[str, Any], told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        Admm(**choice)


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"prune": {"conv9": 0.5}}, "no layer 'conv9'"),
        ({"prune": {"conv9": 0.5}, "levels": Levels((1.0,))}, "one of conv1, conv2, fc1, fc2, fc3, got conv9"),
        ({"prune": {"conv1": 0.1}}, "layer conv1: must keep at least one filter of 6, got keep ratio 0.1; set 0.167"),
        ({"prune": {"conv1": 0.5}, "structure": {"conv2": "filter"}}, "layer conv1: needs a structure"),
    ],
)
def test_what_a_model_cannot_give_is_an_error(choice: dict[str, Any], told: str) -> None:
    with pytest.raises(TrainingError, match=told):
        _attached(LeNet5(), **choice)


def test_all_problems_come_at_once() -> None:
    with pytest.raises(TrainingError) as caught:
        Admm(prune={"a": 0.0, "b": 2.0}, structure="x", rho=-1, every=0)
    assert len(caught.value.problems) == 5
    grouped = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3))
    with pytest.raises(TrainingError) as caught:
        _attached(grouped, prune={"0": 0.5, "1": 0.01}, structure="crossbar_block", crossbar=(8, 8))
    assert [p.split(": ")[1] for p in caught.value.problems] == ["layer 0", "layer 1"]
    assert "2 groups" in caught.value.problems[0]


def test_steps_out_of_order_are_errors() -> None:
    with pytest.raises(TrainingError, match="attach"):
        Admm(prune=0.5).penalty()
    model = MLP()
    with pytest.raises(TrainingError, match="needs something to prune"):
        _attached(model, levels=Levels((1.0,))).map()
    method = _attached(model, prune=0.5)
    method.map()
    assert method.penalty().item() == 0
    with pytest.raises(TrainingError, match="mapped already"):
        method.map()
    with pytest.raises(TrainingError, match="arguments of the run that saved it"):
        _attached(model, prune=0.5, layers=["1"]).load_state_dict(method.state_dict())
    with pytest.raises(TrainingError, match="arguments of the run that saved it"):
        _attached(model, levels=Levels((1.0,))).load_state_dict(method.state_dict())
    with torch.no_grad():
        model[3].weight[0, 0] = float("nan")
    with pytest.raises(TrainingError, match=r"layer 3: weights must be finite"):
        method.finish()
