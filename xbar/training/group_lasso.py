"""Group lasso, as structured sparsity learning (SSL) uses it: whole filters, channels and shapes go to zero together.

Wen et al., "Learning Structured Sparsity in Deep Neural Networks", NIPS 2016 (arXiv 1608.03665).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from xbar.errors import LayerError, TrainingError
from xbar.training.base import Method, Treated, find_layers
from xbar.training.structures import Crossbar, Tile, misfits, structure_problems, sum_of_norms, tile_of


class GroupLasso(Method):
    """Adds strength * sum_g ||w_g||_2 to the loss, over all groups in the network; `finish` zeroes small weights.

    structures: names of `xbar.training.structures`; each tile is a group g. The sum has no factor for the size of a
        group, as in the authors' code; ||w_g|| has gradient 0 at w_g = 0. Structures that coincide in a layer count
        once: channel and shape_column in a linear layer or a 1x1 convolution. The layers of SSL (a group that is a
        whole layer, behind a shortcut) are not offered, nor is unstructured, which is `L1`.
    crossbar: rows, and weights per row, of one crossbar; the crossbar_... structures need it.
    threshold: what `finish` takes for zero, |w| < 1e-4 in the authors' code. An optimizer leaves a dead group within
        its learning rate * strength of zero, so let the learning rate fall. To fine-tune with the zeros kept, attach
        `MagnitudePruning(threshold=1e-4)` afterwards.
    layers, skip: names of layers to treat, or to leave alone.
    """

    def __init__(
        self,
        strength: float,
        structures: Sequence[str] = ("filter", "channel", "shape_column"),
        crossbar: Crossbar | None = None,
        threshold: float = 1e-4,
        layers: Sequence[str] | None = None,
        skip: Sequence[str] = (),
    ) -> None:
        problems = []
        if not 0 < strength < float("inf"):
            problems.append(f"GroupLasso: strength: must be a positive number, got {strength}; try 0.001")
        structures = (structures,) if isinstance(structures, str) else tuple(structures)
        if not structures:
            problems.append("GroupLasso: structures: at least one is needed, got none; choose filter, for example")
        if "unstructured" in structures:
            problems.append("GroupLasso: structures: must be of more than one weight, got unstructured; use L1 for it")
        problems += structure_problems("GroupLasso", structures, crossbar)
        if not 0 <= threshold < float("inf"):
            problems.append(f"GroupLasso: threshold: must be a number from 0 up, got {threshold}; 1e-4 is usual")
        if problems:
            raise TrainingError(problems)
        self.strength, self.structures, self.crossbar, self.threshold = strength, structures, crossbar, threshold
        self._layers, self._skip = layers, skip
        self._found: tuple[Treated, ...] = ()

    @property
    def treated(self) -> tuple[Treated, ...]:
        return self._found

    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        found = find_layers("GroupLasso", model, optimizer, self._layers, self._skip, falling_ranks=True)
        problems = misfits("GroupLasso", self.structures, found)
        if problems:
            raise LayerError(problems)
        self._found = found

    def penalty(self) -> Tensor:
        self._attached()
        return self.strength * torch.stack([sum_of_norms(t, self._tiles(t)) for t in self._found]).sum()

    def _tiles(self, treated: Treated) -> list[Tile]:
        """The tiles of the structures, each once."""
        return list(dict.fromkeys(tile_of(structure, treated, self.crossbar) for structure in self.structures))

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
