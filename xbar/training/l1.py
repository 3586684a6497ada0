"""L1 regularization: the baseline that methods for sparse weights are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from xbar.errors import TrainingError
from xbar.training.base import Method, Treated, find_layers


class L1(Method):
    """Adds strength * sum |w| / N to the loss, over the N weights of all treated layers.

    With N, a strength means the same for small and large networks (10 on MNIST, 20 on CIFAR-10 in the public code of
    bit-slice L1, arXiv 1909.08496; that code counts biases as weights, here they are left alone). |w| has gradient 0 at
    w = 0. Small weights come near zero, not to it: prune them afterwards (`MagnitudePruning`).
    """

    def __init__(self, strength: float, layers: Sequence[str] | None = None, skip: Sequence[str] = ()) -> None:
        if not 0 < strength < float("inf"):
            raise TrainingError(f"L1: strength: must be a positive number, got {strength}; 10 is usual for MNIST")
        self.strength = strength
        self._layers, self._skip = layers, skip
        self._found: tuple[Treated, ...] = ()

    @property
    def treated(self) -> tuple[Treated, ...]:
        return self._found

    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        self._found = find_layers("L1", model, optimizer, self._layers, self._skip, falling_ranks=True)

    def penalty(self) -> Tensor:
        if not self._found:
            raise TrainingError("L1: is not attached; call attach(model, optimizer) first")
        n = sum(t.parameter.numel() for t in self._found)
        return torch.stack([t.parameter.abs().sum() for t in self._found]).sum() * (self.strength / n)

    def after_step(self) -> None:
        pass

    def finish(self) -> None:
        pass

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass
