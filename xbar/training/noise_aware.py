"""Noise-aware training: every step sees the weights as another programming of the chip would hold them.

    forward and backward:  w_noisy = step_size * cells(round(w / step_size)),   gradient: d w_noisy / d w = 1

cells: encode, programme, age, read and decode, as the chip and its noise model say. So the minimum that training finds
is flat in the directions in which programming errs (Joshi et al., Nat. Commun. 11, 2473 (2020), for phase-change
memory).
SmoothOut (Wen et al., arXiv 1805.07898) is the case of uniform noise on the weights themselves, w + a U(-1, 1).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from xbar.errors import TrainingError, XbarError
from xbar.hardware import Chip, load_chip
from xbar.noise import NoiseModel, load_noise
from xbar.rng import generator
from xbar.training.base import Method, Treated, find_layers
from xbar.training.noisy_cells import NoisyCells
from xbar.training.straight_through import (
    SeenWeights,
    check_detached,
    check_norms,
    on_grid,
    straight_through,
    weight_integers,
)


@final
class NoiseAware(Method):
    """Weights with the noise of real cells in training; in evaluation mode, and after `finish`, the plain weights.

    noise: a NoiseModel, or the name or file of one; by default the chip's own. All its effects but those of ADCs, which
        do not act on weights, are drawn anew for every step: see `xbar.training.noisy_cells`.
    chip: a Chip, or the name or file of one; its precision, encoding and device say which cells a weight becomes.
    smooth_out: largest magnitude a of uniform noise, in the unit of the weights; alone, or with a noise.
    seed: the same seed gives the same draws, step by step; a draw holds until `after_step`.
    layers, skip: which layers, as in `find_layers`.

    With methods that quantize weights (`Together`), noise comes last, whatever their order: cells hold their integers.
    Raises TrainingError with all that is wrong.
    """

    def __init__(
        self,
        noise: NoiseModel | str | Path | None = None,
        chip: Chip | str | Path | None = None,
        *,
        smooth_out: float = 0.0,
        seed: int = 0,
        layers: Sequence[str] | None = None,
        skip: Sequence[str] = (),
    ) -> None:
        problems: list[str] = []
        model = _loaded("noise", noise, NoiseModel, load_noise, problems)
        board = _loaded("chip", chip, Chip, load_chip, problems)
        known = isinstance(smooth_out, (int, float)) and not isinstance(smooth_out, bool)
        if not (known and math.isfinite(smooth_out) and smooth_out >= 0):
            problems.append(
                f"NoiseAware: smooth_out: must be a number from 0 up, got {smooth_out!r}; try a hundredth of a weight"
            )
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            problems.append(f"NoiseAware: seed: must be a whole number from 0 up, got {seed!r}; 0 is usual")
        if (noise is None or model is not None) and (chip is None or board is not None):
            model = board.noise if model is None and board is not None else model
            problems += _misfits(model, board, smooth_out)
        if problems:
            raise TrainingError(problems)
        self._cells = NoisyCells(board, model, seed) if model is not None and board is not None else None
        self._smooth_out, self._seed, self._layers, self._skip = smooth_out, seed, layers, tuple(skip)
        self._treated: tuple[Treated, ...] = ()
        self._seen: SeenWeights | None = None
        self._step = 0
        self._drawn: dict[str, tuple[int, int, Tensor]] = {}

    @property
    def treated(self) -> tuple[Treated, ...]:
        """The layers with noise."""
        return self._treated

    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Show the layers noisy weights from now on, while the model is in training mode."""
        check_detached("NoiseAware", self._seen)
        self._treated = find_layers("NoiseAware", model, optimizer, self._layers, self._skip)
        if self._cells is not None:
            check_norms("NoiseAware", model, self._cells.chip.precision)

        def see(layer: Treated) -> Callable[[Tensor, bool], Tensor]:
            return lambda weight, training: self._see(layer, weight, training)

        self._seen = SeenWeights(model, self._treated, see, last=True)

    def penalty(self) -> Tensor:
        """0: the loss of the noisy network is the method."""
        return torch.zeros((), device=self._attached()[0].parameter.device)

    def after_step(self) -> None:
        """The next step is another draw."""
        self._attached()
        self._step += 1

    def finish(self) -> None:
        """Leave the plain float weights, which `xbar.quantize` puts on the chip's grid."""
        if self._seen is not None:
            self._seen.remove()
        self._drawn.clear()

    def state_dict(self) -> dict[str, Any]:
        """How many steps have been drawn."""
        return {"step": self._step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with the draws of the step after."""
        self._step = int(state["step"])

    def _attached(self) -> tuple[Treated, ...]:
        if not self._treated:
            raise TrainingError("NoiseAware: is not attached; call attach(model, optimizer) first")
        return self._treated

    def _see(self, layer: Treated, weight: Tensor, training: bool) -> Tensor:
        if not training:
            return weight
        version = layer.parameter._version  # a draw holds for all forward passes between two steps
        step, seen, noisy = self._drawn.get(layer.name, (-1, -1, weight))
        if (step, seen) != (self._step, version):
            noisy = self._noisy(layer, weight.detach())
            self._drawn[layer.name] = (self._step, version, noisy)
        return straight_through(weight, noisy)

    def _noisy(self, layer: Treated, noisy: Tensor) -> Tensor:
        """One draw of a layer's weights."""
        shape = tuple(noisy.shape)
        if self._cells is not None:
            integers, scale = weight_integers("NoiseAware", layer, self._cells.chip.precision, noisy)
            matrix = integers.reshape(layer.groups, shape[0] // layer.groups, -1)
            noisy = on_grid(self._cells.hold(matrix, layer.name, self._step).reshape(shape), scale, noisy)
        if self._smooth_out > 0:
            uniform = generator(self._seed, "smooth out", layer.name, self._step).random(shape, np.float32)
            noisy = noisy + self._smooth_out * torch.from_numpy(2 * uniform - 1).to(noisy)
        return noisy


def _loaded(name: str, given: Any, kind: type, load: Callable[[Any], Any], problems: list[str]) -> Any:
    """A value that may be given by its name; None, and what is wrong with it, where it is neither."""
    if isinstance(given, (str, Path)):
        try:
            return load(given)
        except XbarError as error:
            problems += [f"NoiseAware: {problem}" for problem in error.problems]
            return None
    if given is not None and not isinstance(given, kind):
        problems.append(f"NoiseAware: {name}: must be a {kind.__name__}, or the name or file of one, got {given!r}")
        return None
    return given


def _misfits(noise: NoiseModel | None, chip: Chip | None, smooth_out: float) -> list[str]:
    if noise is None and not smooth_out:
        return ["NoiseAware: noise: one is needed, got none; give a noise model with its chip, or smooth_out"]
    if noise is None:
        inert = f"NoiseAware: chip: has no effect without a noise, got {chip and chip.name}; remove it, or give a noise"
        return [] if chip is None else [inert]
    if chip is None:
        return ["NoiseAware: chip: is needed to know which cells a weight becomes, got none; give one with chip="]
    others = [name for name in noise.effects if name not in noise.of_adcs]
    fix = f"leave it out with noise.only({', '.join(map(repr, others))})" if others else "give another noise"
    found = [
        f"NoiseAware: noise: effect {name} ({effect.kind}) acts on ADCs and not on weights; {fix}"
        for name, effect in noise.of_adcs.items()
    ]
    for name, effect in noise.effects.items():
        found += [f"NoiseAware: noise: effect {name}: {rule}" for rule in effect.misfits(chip.device)]
    return found
