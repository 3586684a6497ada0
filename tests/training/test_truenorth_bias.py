"""The penalty of Wen et al.: its equation, and that it makes synapses certain."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from close import approx
from torch import nn

from xbar.errors import LayerError, TrainingError
from xbar.training.base import Together
from xbar.training.tea import Tea
from xbar.training.tea_network import TeaLayer, TeaNetwork, alternating, merged
from xbar.training.truenorth_bias import TrueNorthBias


def _network(values: list[float]) -> TeaNetwork:
    """One core, whose single neuron has a synapse of each of these probabilities; one further core of one synapse."""
    n = len(values)
    first = TeaLayer(np.arange(n)[None], *alternating(1, n, 1))
    second = TeaLayer(np.array([[0]]), *alternating(1, 1, 1))
    first.connection.data = torch.tensor(values).reshape(1, n, 1)
    second.connection.data.fill_(1.0)
    return TeaNetwork(n, [first, second], merged(1, 1))


def test_the_penalty_is_the_mean_distance_to_0_or_1() -> None:
    values = [0.0, 0.1, 0.7, 1.0]
    model, method = _network(values), TrueNorthBias(2.0)
    method.attach(model, torch.optim.SGD(model.parameters(), 0.1))
    expected = sum(abs(abs(p - 0.5) - 0.5) for p in [*values, 1.0]) / 5
    penalty = method.penalty()
    assert penalty.item() == approx(2.0 * expected)
    penalty.backward()
    slopes = model.layers[0].connection.grad
    assert slopes is not None
    torch.testing.assert_close(slopes.flatten(), 2.0 / 5 * torch.tensor([1.0, 1.0, -1.0, -1.0]))
    assert model.layers[0].bias.grad is None


def test_it_grows_over_its_ramp_and_goes_on_from_a_checkpoint() -> None:
    model, method = _network([0.5, 0.5]), TrueNorthBias(3.0, ramp=3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    method.attach(model, optimizer)
    found = []
    for _ in range(5):
        found.append(method.penalty().item())
        method.after_step()
    assert found == approx([1 / 3, 2 / 3, 1.0, 1.0, 1.0])
    other = TrueNorthBias(3.0, ramp=3)
    other.attach(model, optimizer)
    other.load_state_dict({"n_steps": 1})
    assert other.penalty().item() == approx(2 / 3)


def test_synapses_without_a_loss_take_the_nearer_side() -> None:
    model = _network([0.05, 0.4, 0.6, 0.95])
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    method = Together(TrueNorthBias(1.0), Tea())
    method.attach(model, optimizer)
    for _ in range(40):
        optimizer.zero_grad()
        method.penalty().backward()
        optimizer.step()
        method.after_step()
    assert model.layers[0].connection.flatten().tolist() == [0.0, 0.0, 1.0, 1.0]


@pytest.mark.parametrize("strength", [0.0, -1.0, math.inf, math.nan])
def test_a_strength_is_a_positive_number(strength: float) -> None:
    with pytest.raises(TrainingError, match="strength: must be a positive number"):
        TrueNorthBias(strength)


def test_what_it_cannot_do_is_told() -> None:
    with pytest.raises(TrainingError, match="ramp: must be a number of steps from 0, got -1"):
        TrueNorthBias(1.0, ramp=-1)
    with pytest.raises(TrainingError, match="call attach"):
        TrueNorthBias(1.0).penalty()
    plain = nn.Linear(2, 2)
    with pytest.raises(LayerError, match="TrueNorthBias: at least one TeaLayer"):
        TrueNorthBias(1.0).attach(plain, torch.optim.SGD(plain.parameters(), 0.1))
