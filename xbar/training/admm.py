"""ADMM: structured pruning and the levels of a device, trained for (Yuan et al., ISLPED 2019, arXiv 1908.11691).

min f(W) with W in P (at most a share of the structures is non-zero) and W in Q (each non-zero weight is a level), by
two copies of the weights, Y in P and Z in Q, with scaled duals U and V:

    W        minimises f(W) + rho/2 ||W - Y + U||² + rho/2 ||W - Z + V||²     some steps of your optimizer
    Y, Z     = project_P(W + U), project_Q(W + V)
    U, V    += W - Y, W - Z

Then `map()` (masked mapping): W takes its projection onto P, and the zeros are frozen. Training on (retraining with Q
alone) and `finish()`, the projection onto the levels, follow:

    admm = Admm(prune={"conv1": 0.5, "conv2": 0.1}, levels=device_levels(chip.device))
    admm.attach(model, optimizer)
    ...                         # as with every method
    admm.map()
    ...                         # the same loop again
    admm.finish()

A BatchNorm that `xbar.from_torch` folds into a layer scales its levels by channel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from xbar.errors import LayerError, TrainingError
from xbar.training.base import Method, Treated, find_layers
from xbar.training.levels import Levels
from xbar.training.masks import Mask, masks_from_state, masks_state
from xbar.training.structures import (
    Crossbar,
    Tile,
    largest_tiles,
    misfits,
    n_in,
    n_tiles,
    structure_problems,
    tile_of,
)


class Residual(NamedTuple):
    """How far a layer is from its copy (primal, ||W - Y||) and how far the copy moved (dual, rho ||Y - Y_before||)."""

    primal: float
    dual: float


@dataclass(eq=False)
class _Copy:
    """A copy of a layer's weights that keeps to one set, and its scaled dual."""

    weight: nn.Parameter
    project: Callable[[Tensor], Tensor]
    value: Tensor = field(init=False)
    dual: Tensor = field(init=False)
    residual: Residual = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        weight = self.weight.detach()
        self.value, self.dual = self.project(weight), torch.zeros_like(weight)
        self.residual = Residual(_norm(weight - self.value), 0.0)

    def distance(self) -> Tensor:
        return (self.weight - (self.value - self.dual)).square().sum()

    def update(self, rho: float) -> None:
        weight, before = self.weight.detach(), self.value
        self.value = self.project(weight + self.dual)
        self.dual = self.dual + weight - self.value
        self.residual = Residual(_norm(weight - self.value), rho * _norm(self.value - before))


@dataclass(eq=False)
class _Layer:
    """A treated layer: tile and n_kept of its structures (None: not pruned), its copies, its mask once mapped."""

    treated: Treated
    tile: Tile | None
    n_kept: int
    copies: dict[str, _Copy] = field(default_factory=dict)  # "structure" (P), then "levels" (Q), whose zeros are P's
    mask: Mask | None = None

    def kept(self, values: Tensor) -> Tensor:
        """Which weights the projection of values onto P keeps, bool of their shape."""
        if self.tile is None:
            return torch.ones_like(values, dtype=torch.bool)
        return self.treated.weights(largest_tiles(self.treated.matrix(values), self.tile, self.n_kept))

    def kept_now(self) -> Tensor | float:
        """Which weights may be levels: those that the mask, or as yet the copy in P, does not have at zero."""
        if self.mask is not None:
            return ~self.mask.zero
        return self.copies["structure"].value != 0 if "structure" in self.copies else 1.0

    def in_use(self) -> dict[str, _Copy]:
        """All copies; once mapped, that of the levels alone."""
        return {name: copy for name, copy in self.copies.items() if name == "levels" or self.mask is None}


@final
class Admm(Method):
    """Structured pruning and levels by ADMM.

    prune: share of the structures that each layer keeps, above 0 and at most 1: by name of the layer (the paper prunes
        convolutions only), or one number for every treated layer; None: no pruning. Of n, floor(keep n) stay.
    structure: a name of `xbar.training.structures`, or one for each pruned layer by its name.
    crossbar: rows, and weights per row, of one crossbar; the crossbar_... structures need it. Of a chip they are
        chip.crossbar.rows and chip.crossbar.cols // chip.columns_per_weight.
    levels: what non-zero weights may be, see `device_levels`; None: anything. Each layer has its own scale, the one
        with the least squared error. Zeros of P, and weights that another method holds at zero, stay zero.
    rho: of both penalties; every: steps between two updates of copies and duals. The defaults are those of the group's
        public code for LeNet-5 (Adam 1e-3, weight decay 5e-5, 30 updates, then 20,000 masked steps; batches of 50).
    layers, skip: what to treat; by default the layers in `prune`, or with `levels` or one number every layer.
    Raises TrainingError, here or in `attach`, for all that is wrong at once.
    """

    def __init__(
        self,
        prune: Mapping[str, float] | float | None = None,
        structure: str | Mapping[str, str] = "filter",
        crossbar: Crossbar | None = None,
        levels: Levels | None = None,
        rho: float = 2e-4,
        every: int = 5000,
        layers: Sequence[str] | None = None,
        skip: Sequence[str] = (),
    ) -> None:
        self.prune = dict(prune) if isinstance(prune, Mapping) else prune
        self.structure = dict(structure) if isinstance(structure, Mapping) else structure
        self.crossbar, self.levels, self.rho, self.every = crossbar, levels, rho, every
        self.layers, self.skip = layers, skip
        self._layers: tuple[_Layer, ...] = ()
        self._step, self._mapped = 0, False
        self._optimizer: Optimizer
        problems = self._problems()
        if problems:
            raise TrainingError(problems)

    @property
    def treated(self) -> tuple[Treated, ...]:
        """The layers that are pruned or get levels."""
        return tuple(layer.treated for layer in self._layers)

    @property
    def residuals(self) -> dict[str, dict[str, Residual]]:
        """Those of the last update by layer and by set, `structure` (P) and `levels` (Q); before it, of the start."""
        return {x.treated.name: {name: copy.residual for name, copy in x.in_use().items()} for x in self._layers}

    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Find the layers and take the first copies. Raises TrainingError with all that is wrong."""
        layers = self.layers
        if layers is None and self.levels is None and isinstance(self.prune, dict):
            layers = list(self.prune)
        found = find_layers("Admm", model, optimizer, layers, self.skip)
        problems = self._unknown([t.name for t in found])
        made = [self._layer(treated, problems) for treated in found]
        if problems:
            raise LayerError(problems)
        self._layers = tuple(layer for layer in made if layer.tile is not None or self.levels is not None)
        self._optimizer, self._step, self._mapped = optimizer, 0, False
        for layer in self._layers:
            self._start(layer)

    def penalty(self) -> Tensor:
        """rho/2 ||W - Y + U||² + rho/2 ||W - Z + V||² summed over the layers; once mapped, the second alone."""
        layers = self._attached()
        terms = [copy.distance() for layer in layers for copy in layer.in_use().values()]
        device = layers[0].treated.parameter.device
        return self.rho / 2 * torch.stack(terms).sum() if terms else torch.zeros((), device=device)

    @torch.no_grad()
    def after_step(self) -> None:
        """Count; keep what is mapped at zero; every so often renew copies and duals. TrainingError for NaN weights."""
        self._step += 1
        for layer in self._attached():
            if layer.mask is not None:
                layer.mask.apply(self._optimizer)
        if self._step % self.every == 0:
            self._check_finite()
            for layer in self._layers:
                for copy in layer.in_use().values():
                    copy.update(self.rho)

    @torch.no_grad()
    def map(self) -> None:
        """Masked mapping: project the weights onto P; from now on its zeros stay zero and only Q is trained for.

        The duals of Q start anew. Raises TrainingError if nothing is pruned or it was mapped before.
        """
        layers = self._attached()
        if self.prune is None:
            raise TrainingError("Admm: map: needs something to prune, got prune=None; go on to finish()")
        if self._mapped:
            raise TrainingError("Admm: map: the weights are mapped already; go on to finish()")
        self._check_finite()
        self._mapped = True
        for layer in layers:
            if layer.tile is not None:
                layer.mask = Mask(layer.treated, ~layer.kept(layer.treated.parameter))
                layer.mask.apply(self._optimizer)
            if "levels" in layer.copies:
                layer.copies["levels"].start()

    @torch.no_grad()
    def finish(self) -> None:
        """Project onto P, unless mapped already, and onto the levels: what is not zero is one of them."""
        layers = self._attached()
        if self.prune is not None and not self._mapped:
            self.map()
        self._check_finite()
        for layer in layers:
            if self.levels is not None:
                layer.treated.parameter.copy_(self.levels.project(layer.treated.parameter))

    def state_dict(self) -> dict[str, Any]:
        """Steps, for each layer the copies with duals and residuals, and the masks once mapped."""
        layers = {
            x.treated.name: {
                name: {"value": copy.value, "dual": copy.dual, "residual": tuple(copy.residual)}
                for name, copy in x.copies.items()
            }
            for x in self._attached()
        }
        masks = masks_state([x.mask for x in self._layers if x.mask is not None])
        return {"step": self._step, "mapped": self._mapped, "layers": layers, "masks": masks}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`; TrainingError where it belongs to other layers or settings."""
        own, given = _content(self.state_dict()), _content(state)
        if own != given:
            raise TrainingError(
                f"Admm: load_state_dict: must be the state of the same layers, prune and levels, {own}, got {given}; "
                "give Admm the arguments of the run that saved it"
            )
        pruned = [x.treated for x in self._layers if x.tile is not None] if state["mapped"] else []
        masks = {mask.treated.name: mask for mask in masks_from_state("Admm", pruned, state["masks"])}
        self._step, self._mapped = state["step"], state["mapped"]
        for layer in self._layers:
            layer.mask = masks.get(layer.treated.name)
            device = layer.treated.parameter.device
            for name, copy in layer.copies.items():
                saved = state["layers"][layer.treated.name][name]
                copy.value, copy.dual = saved["value"].to(device), saved["dual"].to(device)
                copy.residual = Residual(*saved["residual"])

    def _start(self, layer: _Layer) -> None:
        weight = layer.treated.parameter
        if layer.tile is not None:
            layer.copies["structure"] = _Copy(weight, lambda values: values * layer.kept(values))
        if self.levels is not None:
            to_levels = self.levels.project
            layer.copies["levels"] = _Copy(weight, lambda values: to_levels(values * layer.kept_now()))

    def _layer(self, treated: Treated, problems: list[str]) -> _Layer:
        """The layer with its tiles; notes why it cannot be pruned as asked."""
        keep = self.prune.get(treated.name) if isinstance(self.prune, dict) else self.prune
        if keep is None:
            return _Layer(treated, None, 0)
        name = self.structure if isinstance(self.structure, str) else self.structure.get(treated.name)
        where = f"Admm: layer {treated.name}"
        if name is None:
            problems.append(f"{where}: needs a structure, got none in structure; add it, or leave it out of prune")
            return _Layer(treated, None, 0)
        misfit = misfits("Admm", [name], [treated])
        if misfit:
            problems += misfit
            return _Layer(treated, None, 0)
        tile = tile_of(name, treated, self.crossbar)
        n = n_tiles(tuple(treated.matrix().shape), tile)
        if n_in(keep, n) == 0:
            problems.append(
                f"{where}: must keep at least one {name} of {n}, got keep ratio {keep:g}; set {1 / n:.3g} or more"
            )
        return _Layer(treated, tile, n_in(keep, n))

    def _unknown(self, names: list[str]) -> list[str]:
        asked = [*(self.prune if isinstance(self.prune, dict) else ())]
        asked += [x for x in (self.structure if isinstance(self.structure, dict) else ()) if x not in asked]
        rule = f"must be a treated layer, one of {', '.join(names)}"
        return [f"Admm: prune or structure: {rule}, got {x}; name a layer itself" for x in asked if x not in names]

    def _problems(self) -> list[str]:
        found = []
        if self.prune is None and self.levels is None:
            found.append("Admm: needs prune or levels, got neither; set prune={'conv1': 0.5}, for example")
        keeps = self.prune if isinstance(self.prune, dict) else {"all layers": self.prune}
        for name, keep in keeps.items():
            if keep is not None and not 0 < keep <= 1:
                found.append(f"Admm: prune: {name}: must be above 0 and at most 1, got {keep}; it is the share kept")
        structures = [self.structure] if isinstance(self.structure, str) else list(self.structure.values())
        found += structure_problems("Admm", structures, self.crossbar)
        if not (math.isfinite(self.rho) and self.rho > 0):
            found.append(f"Admm: rho: must be above 0 and finite, got {self.rho}")
        if not (isinstance(self.every, int) and self.every >= 1):
            found.append(f"Admm: every: must be a whole number of steps from 1 up, got {self.every}")
        return found

    def _attached(self) -> tuple[_Layer, ...]:
        if not self._layers:
            raise TrainingError("Admm: must be attached first; call attach(model, optimizer)")
        return self._layers

    def _check_finite(self) -> None:
        bad = [x.treated.name for x in self._attached() if not torch.isfinite(x.treated.parameter).all()]
        if bad:
            raise TrainingError(
                f"Admm: layer {name}: weights must be finite, got NaN or infinity at step {self._step}; go back to a "
                "checkpoint and lower the learning rate"
                for name in bad
            )


def _content(state: dict[str, Any]) -> dict[str, dict[str, tuple[int, ...]]]:
    """Shapes of the copies in a state, by layer and set."""
    return {
        layer: {name: tuple(copy["value"].shape) for name, copy in copies.items()}
        for layer, copies in state["layers"].items()
    }


def _norm(values: Tensor) -> float:
    return float(torch.linalg.vector_norm(values.double()))
