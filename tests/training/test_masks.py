"""Zeros that no optimizer moves, and their state."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from close import approx
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrize

from xbar.errors import TrainingError
from xbar.training.base import Treated, find_layers
from xbar.training.masks import Mask, masks_from_state, masks_state

OPTIMIZERS: dict[str, Any] = {
    "SGD": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
    "Adam": lambda p: torch.optim.Adam(p, 0.01, weight_decay=0.1, amsgrad=True),
    "AdamW": lambda p: torch.optim.AdamW(p, 0.01),
    "RMSprop": lambda p: torch.optim.RMSprop(p, 0.01, momentum=0.9, centered=True),
    "Adagrad": lambda p: torch.optim.Adagrad(p, 0.01),
}


def _treated(layer: nn.Module) -> Treated:
    model = nn.Sequential(layer)
    (found,) = find_layers("Test", model, torch.optim.SGD(model.parameters(), 0.1))
    return found


def _trained(model: nn.Module, optimizer: torch.optim.Optimizer, n_steps: int, mask: Mask | None) -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(n_steps):
        x, y = torch.randn(8, 6, generator=generator), torch.randn(8, 4, generator=generator)
        optimizer.zero_grad()
        functional.mse_loss(model(x), y).backward()
        optimizer.step()
        if mask is not None:
            mask.apply(optimizer)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_zeros_stay_and_the_optimizer_forgets_them(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4))
    optimizer = OPTIMIZERS[name](model.parameters())
    _trained(model, optimizer, 3, None)  # momentum that would go on
    (treated,) = find_layers("Test", model, optimizer)
    mask = Mask(treated, torch.rand(4, 6) < 0.5)
    mask.apply(optimizer)
    before = treated.parameter.detach().clone()
    _trained(model, optimizer, 5, mask)
    assert (treated.parameter[mask.zero] == 0).all()
    assert (treated.parameter != before)[~mask.zero].all()
    remembered = [v for v in optimizer.state[treated.parameter].values() if v is not None and v.shape == (4, 6)]
    assert remembered
    for value in remembered:
        assert (value[mask.zero] == 0).all()
        assert (value[~mask.zero] != 0).all()


def test_zeros_stay_through_nan_in_the_optimizer() -> None:
    treated = _treated(nn.Linear(2, 1))
    treated.parameter.data.fill_(float("nan"))
    Mask(treated, torch.tensor([[True, False]])).apply(torch.optim.SGD([treated.parameter], 0.1))
    assert treated.parameter.isnan().tolist() == [[False, True]]


def test_the_mask_reaches_the_original_of_a_parametrized_weight() -> None:
    model = nn.Sequential(nn.Linear(6, 4))
    parametrize.register_parametrization(model[0], "weight", nn.Identity())
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    (treated,) = find_layers("Test", model, optimizer)
    mask = Mask(treated, torch.ones(4, 6, dtype=torch.bool))
    mask.apply(optimizer)
    _trained(model, optimizer, 2, mask)
    assert (model[0].weight == 0).all()
    assert mask.zero_rel == 1.0


def test_a_mask_of_the_matrix_covers_the_weights_that_it_names() -> None:
    """2 channels of 2 x 2, 3 filters: row 6 is channel 1, position (1, 0)."""
    dead = torch.zeros(1, 8, 3, dtype=torch.bool)
    dead[0, 6, 2] = dead[0, :, 1] = True
    mask = Mask.of(_treated(nn.Conv2d(2, 3, 2)), dead)
    wanted = torch.zeros(3, 2, 2, 2, dtype=torch.bool)
    wanted[2, 1, 1, 0] = wanted[1] = True
    assert torch.equal(mask.zero, wanted)
    assert mask.zero_rel == approx(9 / 24)


def test_a_state_brings_the_masks_back_and_a_wrong_one_is_an_error() -> None:
    treated = _treated(nn.Linear(3, 2))
    zero = torch.tensor([[True, False, True], [False, False, True]])
    state: dict[str, Tensor] = masks_state([Mask(treated, zero)])
    (again,) = masks_from_state("Test", [treated], state)
    assert torch.equal(again.zero, zero)
    with pytest.raises(TrainingError) as caught:
        masks_from_state("Test", [treated], {"fc9": zero})
    assert [p.split(":")[1] for p in caught.value.problems] == [" load_state_dict"] * 2
    with pytest.raises(TrainingError, match=r"layer 0: the mask must have the weights' shape \[2, 3\], got \[3, 2\]"):
        masks_from_state("Test", [treated], {"0": zero.t()})
