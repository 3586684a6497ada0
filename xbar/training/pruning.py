"""Magnitude pruning: the smallest weights, or structures of them, become zero and stay so (Han et al., NIPS 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from xbar.errors import LayerError, TrainingError
from xbar.training.base import Method, Treated, find_layers
from xbar.training.masks import Mask, masks_from_state, masks_state
from xbar.training.structures import (
    Crossbar,
    Tile,
    misfits,
    n_in,
    root_mean_squares,
    spread,
    structure_problems,
    tile_of,
)


class MagnitudePruning(Method):
    """Zeroes what is small when it is attached, and keeps it at zero: attach it to a trained model, then fine-tune.

    fraction: of each layer's structures, the smallest; threshold: all below it. Give one of the two. Every layer keeps
        at least one structure; a threshold that would leave a layer none is an error.
    structure: a name of `xbar.training.structures`; its magnitude is the root mean square of its weights.
    crossbar: rows, and weights per row, of one crossbar; the crossbar_... structures need it.

    Biases stay: the bias of a dead filter is its output.
    `prune()` prunes again with the weights as they are by then; what is zero stays zero.
    """

    def __init__(
        self,
        fraction: float | None = None,
        threshold: float | None = None,
        structure: str = "unstructured",
        crossbar: Crossbar | None = None,
        layers: Sequence[str] | None = None,
        skip: Sequence[str] = (),
    ) -> None:
        problems = []
        if (fraction is None) == (threshold is None):
            got = "both" if fraction is not None else "none"
            problems.append(f"MagnitudePruning: needs either fraction or threshold, got {got}; give one of them")
        if fraction is not None and not 0 <= fraction < 1:
            problems.append(
                f"MagnitudePruning: fraction: must be from 0 to below 1, got {fraction}; 0.9 leaves a tenth"
            )
        if threshold is not None and not 0 <= threshold < float("inf"):
            problems.append(f"MagnitudePruning: threshold: must be a number from 0 up, got {threshold}; 0.01 is usual")
        problems += structure_problems("MagnitudePruning", [structure], crossbar)
        if problems:
            raise TrainingError(problems)
        self.fraction, self.threshold, self.structure, self.crossbar = fraction, threshold, structure, crossbar
        self._layers, self._skip = layers, skip
        self._found: tuple[Treated, ...] = ()
        self._optimizer: Optimizer | None = None
        self.masks: tuple[Mask, ...] = ()

    @property
    def treated(self) -> tuple[Treated, ...]:
        return self._found

    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        found = find_layers("MagnitudePruning", model, optimizer, self._layers, self._skip)
        problems = misfits("MagnitudePruning", [self.structure], found)
        if problems:
            raise LayerError(problems)
        self._found, self._optimizer = found, optimizer
        self.prune()

    @torch.no_grad()
    def prune(self) -> None:
        """Zero what is small now. Raises TrainingError where a layer would be left without any structure."""
        self._attached()
        dead = [self._dead(t) for t in self._found]
        empty = [
            f"MagnitudePruning: layer {t.name}: structure {self.structure}: a threshold of {self.threshold} leaves "
            f"none, the largest has {float(self._magnitudes(t).max()):.3g}; lower the threshold or skip the layer"
            for t, d in zip(self._found, dead, strict=True)
            if self.threshold is not None and bool(d.all())
        ]
        if empty:
            raise TrainingError(empty)
        before, masks = {mask.treated.name: mask.zero for mask in self.masks}, []
        for t, d in zip(self._found, dead, strict=True):
            mask = Mask.of(t, spread(d, self._tile(t), t.matrix().shape))
            masks.append(Mask(t, mask.zero | before.get(t.name, mask.zero)))
        self.masks = tuple(masks)
        self.after_step()

    def _tile(self, treated: Treated) -> Tile:
        return tile_of(self.structure, treated, self.crossbar)

    def _magnitudes(self, treated: Treated) -> Tensor:
        return root_mean_squares(treated.matrix(), self._tile(treated))

    def _dead(self, treated: Treated) -> Tensor:
        """The structures that die, bool [group, row tile, col tile]."""
        values = self._magnitudes(treated)
        if self.threshold is not None:
            return values < self.threshold
        assert self.fraction is not None
        n_dead = min(n_in(self.fraction, values.numel()), values.numel() - 1)
        by_output = values.mT  # so that of equal weights the first of the first output go
        dead = torch.zeros(values.numel(), dtype=torch.bool, device=values.device)
        dead[by_output.flatten().argsort(stable=True)[:n_dead]] = True
        return dead.reshape(by_output.shape).mT

    def penalty(self) -> Tensor:
        self._attached()
        return torch.zeros((), device=self._found[0].parameter.device)

    def after_step(self) -> None:
        optimizer = self._attached()
        for mask in self.masks:
            mask.apply(optimizer)

    def finish(self) -> None:
        self.after_step()

    def state_dict(self) -> dict[str, Any]:
        return masks_state(self.masks)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._attached()
        self.masks = masks_from_state("MagnitudePruning", self._found, state)
        self.after_step()

    def _attached(self) -> Optimizer:
        if self._optimizer is None:
            raise TrainingError("MagnitudePruning: is not attached; call attach(model, optimizer) first")
        return self._optimizer
