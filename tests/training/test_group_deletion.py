"""Group connection deletion: its groups are the mapping's crossbars; penalty, gradient, deletion, and digits."""

from __future__ import annotations

import copy
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from close import approx
from hypothesis import given, settings
from models import MLP, CaffeLeNet
from small import small_chip
from torch import Tensor, nn
from torch.optim import SGD, Adam, Optimizer

import mapping
from xbar import datasets
from xbar.demo.models import accuracy, digits_cnn
from xbar.errors import TrainingError
from xbar.frontends.torch_module import from_torch
from xbar.hardware import Chip
from xbar.program import Program
from xbar.quantization import quantize
from xbar.training.base import Together
from xbar.training.group_deletion import GroupDeletion, Wires, largest_divisor
from xbar.training.rank_clipping import RankClipping


def _attached(model: nn.Module, optimizer: Optimizer | None = None, **settings: Any) -> GroupDeletion:
    method = GroupDeletion(**{"strength": 1.0, **settings})
    method.attach(model, optimizer or SGD(model.parameters(), 0.1))
    return method


def _linear(matrix: Tensor) -> nn.Sequential:
    """A linear layer without bias that holds the matrix [row, col]."""
    model = nn.Sequential(nn.Linear(*matrix.shape, bias=False))
    model[0].weight.data = matrix.T.clone(memory_format=torch.contiguous_format)
    return model


def _random(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_penalty_and_wires_by_hand() -> None:
    """3 x 3 weights on crossbars of 2 x 2: rows (5, 0, 0, 4) and (0, 0, 12); columns likewise."""
    matrix = torch.tensor([[3.0, 4.0, 0.0], [0.0, 0.0, 0.0], [0.0, 5.0, 12.0]])
    method = _attached(_linear(matrix), strength=2.0, crossbar=(2, 2))
    # upper left: row 5, columns 3 and 4; lower left: row 5, column 5; lower right: row 12, column 12
    assert method.penalty().item() == approx(2 * ((5 + 3 + 4) + (5 + 5) + (12 + 12)))
    (wires,) = method.wires
    assert wires == Wires("0", 3, 3, (2, 2), left=7, total=12)
    assert wires.left_rel == 7 / 12
    assert method.routing_area_rel == approx((7 / 12) ** 2)


def _mapped(model: nn.Module, shape: tuple[int, ...], chip: Chip) -> Program:
    x = _random((2, *shape), 2)
    return mapping.compile(quantize(from_torch(model, x), x, chip), chip)


@pytest.mark.parametrize("layout", ["interleaved", "separate"])
@pytest.mark.parametrize("cell_bits", [1, 3])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(19, 11), (19,)),
        (nn.Linear(3, 17), (3,)),
        (nn.Conv2d(3, 5, 3), (3, 4, 4)),
        (nn.Conv2d(4, 18, 3, groups=2), (4, 4, 4)),
    ],
)
def test_the_groups_are_rows_and_columns_of_mapped_crossbars(
    layer: nn.Module, shape: tuple[int, ...], cell_bits: int, layout: str
) -> None:
    chip = small_chip(encoding={"kind": "differential", "layout": layout}, device__cell_bits=cell_bits, chip__tiles=99)
    model = nn.Sequential(copy.deepcopy(layer))
    weight = _random(tuple(layer.weight.shape))
    weight = weight.sign() * (1 + weight.abs().clamp(max=1))  # so that none becomes 0 by quantization
    model[0].weight.data = weight
    method = _attached(model, chip=chip)
    (mapped,) = _mapped(model, shape, chip).layers
    matrices = weight.reshape(mapped.groups, len(weight) // mapped.groups, -1).transpose(1, 2)
    norms = 0.0
    for (first, last), row_block, cols in {(b.groups, b.row_block, b.cols) for b in mapped.blocks}:
        pieces = matrices[first:last, slice(*mapped.row_edges[row_block : row_block + 2]), slice(*cols)]
        norms += float(pieces.norm(dim=1).sum() + pieces.norm(dim=2).sum())
    assert method.penalty().item() == approx(norms, rel=1e-5)
    model[0].weight.data[_random(tuple(weight.shape), 1) > -0.5] = 0  # some rows and columns are empty now
    (wires,), (routed,) = method.wires, mapping.routing(_mapped(model, shape, chip)).layers
    assert 0 < wires.left < wires.total
    assert (wires.left, wires.total) == (routed.wires, routed.all_wires)


@settings(deadline=None, max_examples=30)
@given(
    n=st.integers(1, 9), m=st.integers(1, 9), rows=st.integers(1, 4), cols=st.integers(1, 4), seed=st.integers(0, 99)
)
def test_gradient(n: int, m: int, rows: int, cols: int, seed: int) -> None:
    """dR/dw = strength (w / ||row of w|| + w / ||column of w||), 0 for groups that are 0; against differences too."""
    if n <= rows and m <= cols:
        rows, cols, n = 1, 1, n + 1
    matrix = _random((n, m), seed).double()
    matrix[_random((n, m), seed + 1) > 0.5] = 0
    model = _linear(matrix)
    method = _attached(model, strength=0.7, crossbar=(rows, cols))
    method.penalty().backward()
    got = model[0].weight.grad.T
    for i in range(n):
        for j in range(m):
            r, c = i // rows * rows, j // cols * cols
            norms = matrix[i, c : c + cols].norm(), matrix[r : r + rows, j].norm()
            wanted = sum(0.7 * matrix[i, j] / norm for norm in norms if norm > 0)
            assert got[i, j].item() == pytest.approx(float(wanted), abs=1e-9)
    i, j = divmod(int(matrix.abs().argmax()), m)
    values, h = [], 1e-6
    for step in (h, -h):
        with torch.no_grad():
            model[0].weight[j, i] = matrix[i, j] + step
        values.append(method.penalty().item())
    assert got[i, j].item() == approx((values[0] - values[1]) / (2 * h), rel=1e-5)


def test_zero_weights_have_gradient_zero_and_no_nan() -> None:
    model = _linear(torch.zeros(5, 5))
    method = _attached(model, crossbar=(2, 2))
    method.penalty().backward()
    assert torch.equal(model[0].weight.grad, torch.zeros(5, 5))
    method.finish()
    assert method.routing_area_rel == 0
    assert method.penalty().item() == 0


def test_the_cut_of_the_paper() -> None:
    assert [largest_divisor(n, 64) for n in (500, 800, 75, 64, 65, 67, 36)] == [50, 50, 25, 64, 13, 1, 36]
    model = CaffeLeNet()
    clipping = RankClipping()
    clipping.attach(model, SGD(model.parameters(), 0.1))
    clipping.load_state_dict({"steps": 0, "finished": False, "ranks": {"conv1": 5, "conv2": 12, "fc1": 36, "fc2": 10}})
    clipping.finish()
    method = _attached(model, crossbar=(64, 64), cut="divisor")
    assert {w.name: w.block for w in method.wires} == {
        "conv2.u": (50, 12),
        "fc1.u": (50, 36),
        "fc1.v": (36, 50),
        "fc2": (50, 10),
    }
    assert method.untreated == ("conv1.u", "conv1.v", "conv2.v")


def test_published_routing_area() -> None:
    """Wang 2017: what remains of the wires, and the mean of their squares, 8.1 %."""
    wires = [Wires("", 0, 0, (50, 50), left, 1000) for left in (475, 248, 67, 180)]
    assert np.mean([w.routing_area_rel for w in wires]) == pytest.approx(0.08100, abs=5e-6)


@pytest.mark.parametrize("make", [lambda p: SGD(p, 0.1, momentum=0.9, weight_decay=0.1), lambda p: Adam(p, 0.1)])
def test_freeze_deletes_wires_and_leaves_the_rest_free(make: Any) -> None:
    matrix = torch.ones(4, 4)
    matrix[0, :2] = 0.9e-4  # a row of the upper left crossbar
    matrix[2:, 3] = 0  # a column of the lower right one
    matrix[1, 2] = 0.9e-4  # a weight whose wires both stay
    model = _linear(matrix)
    optimizer = make(model.parameters())
    method = _attached(model, optimizer, crossbar=(2, 2))
    optimizer.zero_grad()
    model(torch.ones(1, 4)).sum().backward()
    with torch.no_grad():
        method.freeze()
    assert method.frozen
    assert method.penalty().item() == 0
    for _ in range(3):
        optimizer.step()
        method.after_step()
    dead = torch.zeros(4, 4, dtype=torch.bool)
    dead[0, :2] = dead[2:, 3] = True
    left = model[0].weight.detach().T
    assert torch.equal(left == 0, dead)
    assert method.wires[0].left == 16 - 2
    method.finish()
    assert torch.equal(model[0].weight.detach().T, left)


def test_small_weights_are_zeroed_after_each_step() -> None:
    model = _linear(torch.tensor([[2e-4, 0.5e-4, -0.9e-4], [-1.1e-4, 1.0, 0.0]]))
    method = _attached(model, crossbar=(1, 1))
    method.after_step()
    assert torch.equal(model[0].weight.detach().T != 0, torch.tensor([[True, False, False], [True, True, False]]))


def _loop(model: nn.Module, optimizer: Optimizer, method: GroupDeletion, steps: range) -> None:
    for step in steps:
        if step == 8:
            method.freeze()
        x = _random((16, 9), step)
        loss = (model(x) - x[:, :6]).square().mean() + method.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step()


@pytest.mark.parametrize("killed", [0, 5, 8, 9, 12])
def test_a_run_that_was_killed_ends_with_the_same_bits(killed: int) -> None:
    def started() -> tuple[nn.Module, Optimizer, GroupDeletion]:
        model = nn.Sequential(_linear(_random((9, 12)) / 100), _linear(_random((12, 6)) / 100))
        optimizer = SGD(model.parameters(), 0.05, momentum=0.9)
        return (
            model,
            optimizer,
            _attached(model, optimizer, strength=0.05, crossbar=(4, 4), threshold=3e-3),
        )

    whole, first, second = started(), started(), started()
    _loop(*whole, range(15))
    whole[2].finish()
    assert 0 < whole[2].routing_area_rel < 1
    _loop(*first, range(killed))
    for part, before in zip(second, first, strict=True):
        part.load_state_dict(copy.deepcopy(before.state_dict()))
    _loop(*second, range(killed, 15))
    second[2].finish()
    for a, b in zip(whole[0].parameters(), second[0].parameters(), strict=True):
        assert torch.equal(a, b)
    assert second[2].wires == whole[2].wires


def test_ranks_may_fall_while_the_penalty_acts_but_not_after_freeze() -> None:
    model = _linear(_random((40, 40)))
    optimizer = SGD(model.parameters(), 0.01)
    both = Together(RankClipping(eps=0.4, every=2), GroupDeletion(strength=1e-3, crossbar=(16, 16)))
    both.attach(model, optimizer)
    clipping, deletion = both.methods
    assert isinstance(deletion, GroupDeletion)
    assert [w.cols for w in deletion.wires] == [40, 40]
    for _ in range(2):
        loss = both.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        both.after_step()
    rank = clipping.ranks["0"]  # type: ignore[attr-defined]
    assert [(w.rows, w.cols) for w in deletion.wires] == [(40, rank), (rank, 40)]
    deletion.freeze()
    both.after_step()
    with pytest.raises(TrainingError, match=r"layer 0\.u: must keep its shape after freeze"):
        both.after_step()


def test_layers_that_rank_clipping_put_back_are_told() -> None:
    model = _linear(_random((40, 40)))
    both = Together(RankClipping(), GroupDeletion(strength=1e-3, crossbar=(16, 16)))
    both.attach(model, SGD(model.parameters(), 0.01))
    with pytest.raises(TrainingError, match=r"which has no more 0\.u, 0\.v; finish rank clipping before"):
        both.finish()


def test_wrong_use_is_an_error() -> None:
    with pytest.raises(TrainingError, match="no crossbar size known; give chip="):
        GroupDeletion(strength=1e-3)
    with pytest.raises(TrainingError, match="has crossbars of its own"):
        GroupDeletion(strength=1e-3, crossbar=(8, 8), chip="isaac_isca_2016")
    with pytest.raises(TrainingError) as caught:
        GroupDeletion(-1, crossbar=(0, True), cut="half", threshold=float("nan"))  # type: ignore[arg-type]
    assert len(caught.value.problems) == 4
    with pytest.raises(
        TrainingError, match=r"larger than a crossbar of 128 x 16 weights, got 1 \(64 x 12\), 3 \(12 x 10\)"
    ):
        _attached(MLP((64, 12, 10)), chip="isaac_isca_2016")
    for use in (GroupDeletion.penalty, GroupDeletion.after_step, GroupDeletion.freeze, GroupDeletion.finish):
        with pytest.raises(TrainingError, match="not attached yet"):
            use(GroupDeletion(1e-3, (8, 8)))
    frozen, other = (_attached(_linear(torch.ones(n, 9)), crossbar=(8, 8)) for n in (9, 10))
    frozen.freeze()
    with pytest.raises(TrainingError, match="the mask must have the weights' shape"):
        other.load_state_dict(frozen.state_dict())


def test_digits_from_end_to_end() -> None:
    """The demo's network on crossbars of 16 x 16 weights: fewer wires at nearly the same accuracy."""
    train, test = (datasets.load("digits", part) for part in ("train", "test"))
    (x, y), (x_test, y_test) = ((torch.from_numpy(s.images), torch.from_numpy(s.labels)) for s in (train, test))
    model = digits_cnn()
    before = accuracy(model, x_test, y_test)
    optimizer = SGD(model.parameters(), 0.01, momentum=0.9)
    method = _attached(model, optimizer, strength=0.02, crossbar=(16, 16), threshold=4e-3)
    assert method.untreated == ("conv1",)
    assert method.routing_area_rel == 1
    generator = torch.Generator().manual_seed(0)
    for epoch in range(10):
        model.train()
        if epoch == 8:
            method.freeze()
        for chosen in torch.randperm(len(x), generator=generator).split(64):
            loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen]) + method.penalty()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            method.after_step()
    method.finish()
    assert method.routing_area_rel < 0.7
    assert accuracy(model, x_test, y_test) > before - 0.02
    held = {layer.name: np.asarray(layer.weight) for layer in from_torch(model, x[:2]).layers}
    assert {name: (w == 0).sum() for name, w in held.items()} == {
        name: int((module.weight == 0).sum()) for name, module in model.named_modules() if name in held
    }
