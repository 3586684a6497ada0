"""Weights that stay at zero whatever the optimizer does, and the structures of weights that live or die together.

A layer's weights, seen as [group, filter, channel, kernel] (within a group; kernel positions in one axis), fall into
structures: `filters` are the crossbars' columns, `shapes` (one kernel position of one channel) are their rows, a
`channel` is the rows of one input. `columns` and `rows` are the same by the words of crossbars; `weights` are single.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from xbar.errors import TrainingError
from xbar.training.base import Treated

# the axes of [group, filter, channel, kernel] that lie within one structure
WITHIN: Mapping[str, tuple[int, ...]] = {
    "weights": (),
    "filters": (2, 3),
    "columns": (2, 3),
    "channels": (1, 3),
    "shapes": (1,),
    "rows": (1,),
}


def structured(treated: Treated, values: Tensor | None = None) -> Tensor:
    """The weights, or values laid out like them, as [group, filter, channel, kernel]."""
    values = treated.parameter if values is None else values
    groups = treated.groups
    return values.reshape(groups, values.shape[0] // groups, values.shape[1], -1)


def norms(treated: Treated, structure: str) -> Tensor:
    """||w||_2 of each structure, [group, filter, channel, kernel] with 1 for the axes within a structure."""
    within, values = WITHIN[structure], structured(treated)
    return torch.linalg.vector_norm(values, dim=within, keepdim=True) if within else values.abs()


def magnitudes(treated: Treated, structure: str) -> Tensor:
    """Root mean square of each structure's weights, |w| for single weights, shaped as `norms`.

    So that one threshold means the same for every size.
    """
    values = norms(treated, structure)
    size = treated.parameter.numel() // values.numel()
    return values / size**0.5


@dataclass(frozen=True, eq=False)
class Mask:
    """The weights of one layer that are kept at zero: bool, laid out as the weights, True where it is zero."""

    treated: Treated
    zero: Tensor

    @staticmethod
    def of(treated: Treated, dead: Tensor) -> Mask:
        """From bool values that broadcast to [group, filter, channel, kernel]: True for structures that die."""
        zero = dead.expand(structured(treated).shape).reshape(treated.parameter.shape)
        return Mask(treated, zero.clone())

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
