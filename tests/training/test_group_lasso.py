"""Group lasso: its equation, its gradient, and whole groups that go to zero."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from close import approx
from digits_training import accuracy, cnn, trained
from torch import Tensor, nn

from xbar.errors import TrainingError
from xbar.training.group_deletion import GroupDeletion
from xbar.training.group_lasso import GroupLasso
from xbar.training.l1 import L1
from xbar.training.pruning import MagnitudePruning
from xbar.training.trainer import zero_share


def _attached(model: nn.Module, **arguments: Any) -> GroupLasso:
    method = GroupLasso(**{"strength": 1.0, **arguments})
    method.attach(model, torch.optim.SGD(model.parameters(), 0.1))
    return method


def test_the_penalty_of_a_linear_layer_by_hand() -> None:
    model = nn.Sequential(nn.Linear(2, 2))
    model[0].weight.data = torch.tensor([[3.0, 4.0], [0.0, 0.0]])
    assert _attached(model, structures="filter").penalty().item() == 5
    assert _attached(model, structures=["channel"]).penalty().item() == 7
    # shape columns are the channels of a linear layer: they count once
    assert _attached(model, strength=2.0).penalty().item() == 24


def test_structures_that_coincide_in_a_layer_count_once() -> None:
    """In a depthwise convolution each group is one filter of one channel; a large crossbar's columns are filters."""
    model = nn.Sequential(nn.Conv2d(3, 3, 2, groups=3))
    weight = model[0].weight.detach()
    both = weight.flatten(1).norm(dim=1).sum().item(), weight.abs().sum().item()
    assert _attached(model, structures=["filter", "channel"]).penalty().item() == approx(both[0])
    assert _attached(model).penalty().item() == approx(sum(both))
    choice = {"structures": ["crossbar_column", "filter"], "crossbar": (64, 64)}
    assert _attached(model, **choice).penalty().item() == approx(both[0])


def test_crossbar_rows_and_columns_are_the_groups_of_group_deletion() -> None:
    model = nn.Sequential(nn.Linear(9, 5), nn.Linear(5, 7))
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    deletion = GroupDeletion(0.3, crossbar=(4, 3))
    deletion.attach(model, optimizer)
    lasso = _attached(model, strength=0.3, structures=["crossbar_row", "crossbar_column"], crossbar=(4, 3))
    torch.testing.assert_close(lasso.penalty(), deletion.penalty())


def _one_by_one(weight: Tensor, groups: int) -> dict[str, Tensor]:
    """The sum of norms of each kind, group by group."""
    filters = sum(w.norm() for w in weight)
    parts = weight.chunk(groups)
    channels = sum(part[:, c].norm() for part in parts for c in range(weight.shape[1]))
    shapes = sum(
        part[:, c, i, j].norm()
        for part in parts
        for c in range(weight.shape[1])
        for i in range(weight.shape[2])
        for j in range(weight.shape[3])
    )
    return {"filter": filters, "channel": channels, "shape_column": shapes}


@pytest.mark.parametrize("groups", [1, 2])
def test_the_penalty_and_gradient_are_those_of_all_groups(groups: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(4, 6, (3, 2), groups=groups))
    method = _attached(model, strength=0.3)
    weight = model[0].weight.detach().clone().requires_grad_()
    expected = 0.3 * sum(_one_by_one(weight, groups).values(), torch.zeros(()))
    torch.testing.assert_close(method.penalty(), expected)
    method.penalty().backward()
    expected.backward()
    torch.testing.assert_close(model[0].weight.grad, weight.grad)


def test_the_gradient_of_a_dead_group_is_zero() -> None:
    model = nn.Sequential(nn.Conv2d(2, 3, 2))
    model[0].weight.data[1] = 0
    _attached(model, structures=["filter"]).penalty().backward()
    assert (model[0].weight.grad[1] == 0).all()
    torch.testing.assert_close(model[0].weight.grad[0], model[0].weight.detach()[0] / model[0].weight[0].norm())


def test_finish_zeroes_what_is_below_the_threshold() -> None:
    model = nn.Sequential(nn.Linear(3, 1))
    model[0].weight.data = torch.tensor([[1e-4, -0.99e-4, 0.5]])
    _attached(model).finish()
    assert torch.equal(model[0].weight.detach(), torch.tensor([[1e-4, 0.0, 0.5]]))


def _dead(model: nn.Module) -> float:
    """Share of the filters' and shapes' weights that lie in one that is zero."""
    dead, total = 0, 0
    for weight in (p.detach().flatten(1) for p in model.parameters() if p.dim() > 1):
        zero = (weight == 0).all(1, keepdim=True) | (weight == 0).all(0, keepdim=True)
        dead, total = dead + int(zero.expand_as(weight).sum()), total + weight.numel()
    return dead / total


def test_whole_groups_go_to_zero_where_l1_leaves_them() -> None:
    """Most zeros of group lasso lie in groups that are dead; L1 has more zeros, and no dead group."""
    dense = trained(cnn(), None, epochs=20)
    structured = trained(cnn(), GroupLasso(4e-3), epochs=20)
    scattered = trained(cnn(), L1(2.0), epochs=20)
    for p in scattered.parameters():
        p.data.masked_fill_(p.abs() < 1e-4, 0)
    assert _dead(structured) > max(0.05, 0.7 * zero_share(structured))
    assert zero_share(scattered) > zero_share(structured)
    assert _dead(scattered) < 0.02
    assert accuracy(structured) > accuracy(dense) - 0.03
    before = [p == 0 for p in structured.parameters() if p.dim() > 1]
    trained(structured, MagnitudePruning(threshold=1e-4), epochs=5)  # fine-tuning keeps the zeros
    for zero, weight in zip(before, (p for p in structured.parameters() if p.dim() > 1), strict=True):
        assert (weight[zero] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"strength": 0.0, "threshold": -1.0}, ["strength: must be", "threshold: must be"]),
        ({"strength": 1.0, "structures": ()}, ["at least one is needed"]),
        ({"strength": 1.0, "structures": ("filters", "shapes")}, ["got 'filters'", "got 'shapes'"]),
        ({"strength": 1.0, "structures": "unstructured"}, ["use L1 for it"]),
        (
            {"strength": 1.0, "structures": ("crossbar_row", "filter", "crossbar_block")},
            ["crossbar_row, crossbar_block: needs a crossbar's size; set crossbar=(rows, weights per row)"],
        ),
        ({"strength": 1.0, "crossbar": (8,)}, ["crossbar: must be (rows, weights per row)"]),
    ],
)
def test_wrong_arguments_are_told_all_at_once(arguments: dict[str, Any], told: list[str]) -> None:
    with pytest.raises(TrainingError) as caught:
        GroupLasso(**arguments)
    assert len(caught.value.problems) == len(told)
    for problem, part in zip(caught.value.problems, told, strict=True):
        assert part in problem


def test_blocks_of_a_layer_with_groups_are_an_error() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3, groups=2), nn.Conv2d(4, 4, 3))
    with pytest.raises(TrainingError) as caught:
        _attached(model, structures="crossbar_block", crossbar=(8, 8))
    assert [p.split(": ")[1] for p in caught.value.problems] == ["layer 0"]


def test_nothing_works_before_attach() -> None:
    for use in (GroupLasso(1.0).penalty, GroupLasso(1.0).finish):
        with pytest.raises(TrainingError, match="call attach"):
            use()
