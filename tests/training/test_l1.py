"""L1: its equation, and that it makes weights small."""

from __future__ import annotations

import math

import pytest
import torch
from close import approx
from digits_training import accuracy, mlp, trained
from torch import nn

from xbar.errors import TrainingError
from xbar.training.l1 import L1


def test_the_penalty_is_the_mean_magnitude_of_all_weights() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1))
    model[0].weight.data = torch.tensor([[1.0, -2.0], [0.0, 3.0]])
    model[2].weight.data = torch.tensor([[-4.0, 2.0]])
    method = L1(0.6)
    method.attach(model, torch.optim.SGD(model.parameters(), 0.1))
    penalty = method.penalty()
    assert penalty.item() == approx(0.6 * 12 / 6)
    penalty.backward()
    torch.testing.assert_close(model[0].weight.grad, 0.1 * torch.tensor([[1.0, -1.0], [0.0, 1.0]]))
    torch.testing.assert_close(model[2].weight.grad, 0.1 * torch.tensor([[-1.0, 1.0]]))
    assert model[0].bias.grad is None


def test_the_penalty_scales_with_the_weights() -> None:
    model = mlp()
    method = L1(2.0)
    method.attach(model, torch.optim.SGD(model.parameters(), 0.1))
    before = method.penalty().item()
    for t in method.treated:
        t.parameter.data *= -3
    assert method.penalty().item() == approx(3 * before, rel=1e-5)


def test_layers_left_alone_have_no_part_in_it() -> None:
    model = mlp()
    method = L1(1.0, skip=["3"])
    method.attach(model, torch.optim.SGD(model.parameters(), 0.1))
    assert [t.name for t in method.treated] == ["1"]
    assert method.penalty().item() == approx(model[1].weight.abs().mean().item(), rel=1e-5)


def test_weights_become_small_at_about_the_same_accuracy() -> None:
    plain, sparse = trained(mlp(), None, epochs=12), trained(mlp(), L1(5.0), epochs=12)

    def small(model: nn.Module) -> float:
        weights = torch.cat([model[1].weight.flatten(), model[3].weight.flatten()])
        return float((weights.abs() < 0.01).double().mean())

    assert small(sparse) > 3 * small(plain)
    assert accuracy(sparse) > accuracy(plain) - 0.03


@pytest.mark.parametrize("strength", [0.0, -1.0, math.inf, math.nan])
def test_a_strength_is_a_positive_number(strength: float) -> None:
    with pytest.raises(TrainingError, match="strength: must be a positive number"):
        L1(strength)


def test_a_penalty_before_attach_is_an_error() -> None:
    with pytest.raises(TrainingError, match="call attach"):
        L1(1.0).penalty()
