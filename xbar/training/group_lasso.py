"""Group lasso, as structured sparsity learning (SSL) uses it: whole filters, channels and shapes go to zero together.

Wen et al., "Learning Structured Sparsity in Deep Neural Networks", NIPS 2016 (arXiv 1608.03665).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from xbar.errors import TrainingError
from xbar.training.base import Method, Treated, find_layers
from xbar.training.masks import WITHIN, norms

GROUPS = tuple(structure for structure in WITHIN if structure != "weights")


class GroupLasso(Method):
    """Adds strength * sum_g ||w_g||_2 to the loss, over all groups in the network; `finish` zeroes small weights.

    groups: filters (crossbar columns), channels, shapes (crossbar rows); see `xbar.training.masks`. The sum has no
    factor for the size of a group, as in the authors' code; ||w_g|| has gradient 0 at w_g = 0. Kinds that are the same
    groups count once: channels and shapes in a linear layer or a 1x1 convolution.
    The layers of SSL (a group that is a whole layer, behind a shortcut) are not offered.
    threshold: what `finish` takes for zero, |w| < 1e-4 in the authors' code. An optimizer leaves a dead group within
    its learning rate * strength of zero, so let the learning rate fall. To fine-tune with the zeros kept, attach
    `MagnitudePruning(threshold=1e-4)` afterwards.
    """

    def __init__(
        self,
        strength: float,
        groups: Sequence[str] = ("filters", "channels", "shapes"),
        threshold: float = 1e-4,
        layers: Sequence[str] | None = None,
        skip: Sequence[str] = (),
    ) -> None:
        problems = []
        if not 0 < strength < float("inf"):
            problems.append(f"GroupLasso: strength: must be a positive number, got {strength}; try 0.001")
        groups = (groups,) if isinstance(groups, str) else tuple(groups)
        if not groups:
            problems.append(f"GroupLasso: groups: at least one is needed, got none; choose from {', '.join(GROUPS)}")
        problems += [
            f"GroupLasso: groups: must be of {', '.join(GROUPS)}, got {group!r}"
            for group in groups
            if group not in GROUPS
        ]
        if not 0 <= threshold < float("inf"):
            problems.append(f"GroupLasso: threshold: must be a number from 0 up, got {threshold}; 1e-4 is usual")
        if problems:
            raise TrainingError(problems)
        self.strength, self.groups, self.threshold = strength, groups, threshold
        self._layers, self._skip = layers, skip
        self._found: tuple[Treated, ...] = ()

    @property
    def treated(self) -> tuple[Treated, ...]:
        return self._found

    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        self._found = find_layers("GroupLasso", model, optimizer, self._layers, self._skip)

    def penalty(self) -> Tensor:
        self._attached()
        sums = [norms(t, structure).sum() for t in self._found for structure in self._distinct(t)]
        return self.strength * torch.stack(sums).sum()

    def _distinct(self, treated: Treated) -> list[str]:
        """The kinds of groups, each once: without a kernel, channels and shapes are the same."""
        one_position = treated.parameter[0, 0].numel() == 1
        by_axes = {tuple(a for a in WITHIN[s] if not (one_position and a == 3)): s for s in self.groups}
        return list(by_axes.values())

    def after_step(self) -> None:
        pass

    @torch.no_grad()
    def finish(self) -> None:
        self._attached()
        for t in self._found:
            t.parameter.masked_fill_(t.parameter.abs() < self.threshold, 0)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass

    def _attached(self) -> None:
        if not self._found:
            raise TrainingError("GroupLasso: is not attached; call attach(model, optimizer) first")
