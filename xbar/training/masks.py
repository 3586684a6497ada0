"""Weights that stay at zero whatever the optimizer does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from xbar.errors import TrainingError
from xbar.training.base import Treated


@dataclass(frozen=True, eq=False)
class Mask:
    """The weights of one layer that are kept at zero: bool, laid out as the weights, True where it is zero."""

    treated: Treated
    zero: Tensor

    @staticmethod
    def of(treated: Treated, dead: Tensor) -> Mask:
        """From bool values laid out as the layer's crossbar matrix [group, row, col]: True for weights that die."""
        return Mask(treated, treated.weights(dead).contiguous())

    @property
    def zero_rel(self) -> float:
        """Share of the weights that are zero."""
        return float(self.zero.double().mean())

    @torch.no_grad()
    def apply(self, optimizer: Optimizer) -> None:
        """Zero the weights, and what the optimizer remembers of them: momentum must not move them again."""
        parameter = self.treated.parameter
        parameter.masked_fill_(self.zero, 0)
        for value in optimizer.state.get(parameter, {}).values():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                value.masked_fill_(self.zero, 0)


def masks_state(masks: Sequence[Mask]) -> dict[str, Any]:
    """The masks by layer, as a checkpoint keeps them."""
    return {mask.treated.name: mask.zero.clone() for mask in masks}


def masks_from_state(who: str, treated: Sequence[Treated], state: Mapping[str, Any]) -> tuple[Mask, ...]:
    """The masks of a `masks_state`. Raises TrainingError where it is of other layers; `who` is the method."""
    problems = [
        f"{who}: load_state_dict: no mask for layer {t.name}; give the state of the same method on the same model"
        for t in treated
        if t.name not in state
    ]
    names = {t.name for t in treated}
    problems += [
        f"{who}: load_state_dict: has a mask for {name}, which is not treated; attach to the same layers as before"
        for name in state
        if name not in names
    ]
    problems += [
        f"{who}: load_state_dict: layer {t.name}: the mask must have the weights' shape {list(t.parameter.shape)}, "
        f"got {list(state[t.name].shape)}; give the state of the same model"
        for t in treated
        if t.name in state and state[t.name].shape != t.parameter.shape
    ]
    if problems:
        raise TrainingError(problems)
    return tuple(Mask(t, state[t.name].to(t.parameter.device, torch.bool, copy=True)) for t in treated)
