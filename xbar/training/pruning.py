"""Magnitude pruning: the smallest weights, or structures of them, become zero and stay so (Han et al., NIPS 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from xbar.errors import TrainingError
from xbar.training.base import Method, Treated, find_layers
from xbar.training.masks import WITHIN, Mask, magnitudes, masks_from_state, masks_state


class MagnitudePruning(Method):
    """Zeroes what is small when it is attached, and keeps it at zero: attach it to a trained model, then fine-tune.

    fraction: of each layer's structures, the smallest; threshold: all below it. Give one of the two. structure:
    weights, filters (crossbar columns), channels, shapes (crossbar rows); see `xbar.training.masks`. A structure's
    magnitude is the root mean square of its weights. Every layer keeps at least one structure; a threshold that would
    leave a layer none is an error. Biases stay: the bias of a dead filter is its output.
    `prune()` prunes again with the weights as they are by then; what is zero stays zero.
    """

    def __init__(
        self,
        fraction: float | None = None,
        threshold: float | None = None,
        structure: str = "weights",
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
        if structure not in WITHIN:
            problems.append(f"MagnitudePruning: structure: must be one of {', '.join(WITHIN)}, got {structure!r}")
        if problems:
            raise TrainingError(problems)
        self.fraction, self.threshold, self.structure = fraction, threshold, structure
        self._layers, self._skip = layers, skip
        self._found: tuple[Treated, ...] = ()
        self._optimizer: Optimizer | None = None
        self.masks: tuple[Mask, ...] = ()

    @property
    def treated(self) -> tuple[Treated, ...]:
        return self._found

    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        self._found = find_layers("MagnitudePruning", model, optimizer, self._layers, self._skip)
        self._optimizer = optimizer
        self.prune()

    @torch.no_grad()
    def prune(self) -> None:
        """Zero what is small now. Raises TrainingError where a layer would be left without any structure."""
        self._attached()
        dead = [self._dead(t) for t in self._found]
        empty = [
            f"MagnitudePruning: layer {t.name}: a threshold of {self.threshold} leaves none of its {self.structure}, "
            f"whose largest is {float(magnitudes(t, self.structure).max()):.3g}; lower the threshold or skip the layer"
            for t, d in zip(self._found, dead, strict=True)
            if self.threshold is not None and bool(d.all())
        ]
        if empty:
            raise TrainingError(empty)
        before = {mask.treated.name: mask.zero for mask in self.masks}
        masks = [Mask.of(t, d) for t, d in zip(self._found, dead, strict=True)]
        self.masks = tuple(Mask(m.treated, m.zero | before.get(m.treated.name, m.zero)) for m in masks)
        self.after_step()

    def _dead(self, treated: Treated) -> Tensor:
        values = magnitudes(treated, self.structure)
        if self.threshold is not None:
            return values < self.threshold
        assert self.fraction is not None
        # as 0.29 * 100 is a little less than 29
        n_dead = min(int(self.fraction * values.numel() + 1e-9), values.numel() - 1)
        dead = torch.zeros(values.numel(), dtype=torch.bool, device=values.device)
        dead[values.flatten().argsort(stable=True)[:n_dead]] = True
        return dead.reshape(values.shape)

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
