"""One-level precision: weights in {-q, 0, +q} per layer (Wang et al., ASP-DAC 2017, arXiv 1701.01791).

Three steps, each of which adds to the one before:

1. distribution-aware level: Q(w) = q sign(w) where |w| > q/2, else 0, each layer with its q of least sum (w - Q(w))²;
2. quantization regularization: lambda sum |w - Q(w)| added to the loss, whose gradient is lambda sign(w - Q(w)), lambda
   rising from 0 and q fitted anew every so often;
3. bias tuning: weights frozen at Q, only the biases train.

    method = OneLevel(strength=1e-4)
    method.attach(model, optimizer)
    ...                         # as with every method
    method.tune_biases()
    ...                         # the same loop again
    method.finish()

`finish` alone, after `attach` on a trained model, is step 1. What is left are exactly the weights that `xbar.quantize`
finds with `precision.weights: one_level`; behind a BatchNorm, which `xbar.from_torch` folds into the weights by
channel, those that it finds with `precision.granularity: channel`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from xbar.errors import TrainingError
from xbar.quantization import one_level
from xbar.training.base import Method, Treated, find_layers


def best_level(weight: Tensor) -> float:
    """The level q of least sum (w - Q(w))², as `xbar.quantize` fits it, rounded to float32; 1 where all are zero."""
    level = one_level.weight_scale(weight.detach().float().cpu().numpy(), per_channel=False)
    return float(np.float32(level[0]))


def to_level(weight: Tensor, level: float) -> Tensor:
    """Q(w) = level sign(w) where |w| > level / 2, else 0; laid out as `weight`."""
    weight = weight.detach()
    return torch.where(weight.abs() > level / 2, weight.sign() * level, 0.0)


@torch.no_grad()
def naive_one_level(layers: Iterable[Treated], level: float) -> None:
    """The naive baseline: one global level for the weights of all layers, set in place; 0 leaves nothing, an error."""
    if not (math.isfinite(level) and level > 0):
        raise TrainingError(f"naive_one_level: level: must be above 0 and finite, got {level}; try 0.1")
    for layer in layers:
        layer.parameter.copy_(to_level(layer.parameter, level))


@final
class OneLevel(Method):
    """Weights in {-q, 0, +q}, q by layer.

    strength: lambda of the regularization, once it has risen; 0 turns it off. ramp: steps in which lambda rises from 0
    in a straight line. refit: steps between two fits of q. layers, skip: what to treat; by default every linear layer
    and convolution. Raises TrainingError, here or in `attach`, for all that is wrong at once.
    """

    def __init__(
        self,
        strength: float,
        ramp: int = 1000,
        refit: int = 100,
        layers: Sequence[str] | None = None,
        skip: Sequence[str] = (),
    ) -> None:
        self.strength, self.ramp, self.refit = strength, ramp, refit
        self.layers, self.skip = layers, skip
        self._treated: tuple[Treated, ...] = ()
        self._levels: dict[str, float] = {}
        self._step = 0
        self._tuning = False
        self._biases: list[nn.Parameter] = []
        self._others: list[nn.Parameter] = []
        self._frozen: list[nn.Parameter] = []
        found = []
        if not (math.isfinite(strength) and strength >= 0):
            found.append(f"OneLevel: strength: must be 0 or more and finite, got {strength}")
        if not (isinstance(ramp, int) and ramp >= 0):
            found.append(f"OneLevel: ramp: must be a whole number of steps from 0 up, got {ramp}")
        if not (isinstance(refit, int) and refit >= 1):
            found.append(f"OneLevel: refit: must be a whole number of steps from 1 up, got {refit}")
        if found:
            raise TrainingError(found)

    @property
    def treated(self) -> tuple[Treated, ...]:
        """The layers that get one level."""
        return self._treated

    @property
    def levels(self) -> dict[str, float]:
        """The level q of each layer, by its name."""
        return dict(self._levels)

    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Find the layers and fit their levels. Raises TrainingError with all that is wrong."""
        self._treated = find_layers("OneLevel", model, optimizer, self.layers, self.skip)
        optimized = {id(p) for group in optimizer.param_groups for p in group["params"]}
        named = [(name.rpartition(".")[2], p) for name, p in model.named_parameters()]
        self._biases = [p for name, p in named if name == "bias" and id(p) in optimized]
        biases = {id(p) for p in self._biases}
        self._others = [p for p in model.parameters() if id(p) not in biases and p.requires_grad]
        self._step, self._tuning, self._frozen = 0, False, []
        self._fit()

    def penalty(self) -> Tensor:
        """lambda sum |w - Q(w)| over all layers, Q held; 0 while biases are tuned."""
        treated = self._attached()
        strength = 0.0 if self._tuning else self._strength_now()
        if strength == 0:
            return torch.zeros((), device=treated[0].parameter.device)
        terms = [(t.parameter - to_level(t.parameter, self._levels[t.name])).abs().sum() for t in treated]
        return strength * torch.stack(terms).sum()

    def after_step(self) -> None:
        """Count; fit the levels anew every `refit` steps; while biases are tuned, hold the weights at theirs."""
        self._attached()
        self._step += 1
        if self._tuning:
            self._project()
        elif self._step % self.refit == 0:
            self._fit()

    def tune_biases(self) -> None:
        """Freeze the weights at Q and let nothing but biases train, from now to `finish`.

        Raises TrainingError if the optimizer has no biases of the model, or they are tuned already.
        """
        self._attached()
        if not self._biases:
            raise TrainingError(
                "OneLevel: tune_biases: needs biases that the optimizer trains, got none; build the layers with "
                "bias=True, or go on to finish()"
            )
        if self._tuning:
            raise TrainingError("OneLevel: tune_biases: biases are tuned already; go on to finish()")
        self._fit()
        self._project()
        self._freeze()

    def finish(self) -> None:
        """Set the weights to {-q, 0, +q} and let everything train again."""
        self._attached()
        if not self._tuning:
            self._fit()
        self._project()
        for parameter in self._frozen:
            parameter.requires_grad_(True)
        self._frozen, self._tuning = [], False

    def state_dict(self) -> dict[str, Any]:
        """Steps, levels, and whether biases are tuned."""
        self._attached()
        return {"step": self._step, "levels": dict(self._levels), "tuning": self._tuning}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`; TrainingError where it belongs to other layers."""
        names = [t.name for t in self._attached()]
        if sorted(state["levels"]) != sorted(names):
            raise TrainingError(
                f"OneLevel: load_state_dict: must be the state of the same layers ({', '.join(names)}), got "
                f"{', '.join(state['levels'])}; give OneLevel the arguments of the run that saved it"
            )
        self._step, self._levels = state["step"], dict(state["levels"])
        if state["tuning"] and not self._tuning:
            self._freeze()

    def _strength_now(self) -> float:
        return self.strength * (min(1.0, self._step / self.ramp) if self.ramp else 1.0)

    def _freeze(self) -> None:
        self._tuning = True
        self._frozen = self._others
        for parameter in self._frozen:
            parameter.requires_grad_(False)
            parameter.grad = None  # an optimizer would go on with one that is left, and with its momentum

    def _fit(self) -> None:
        bad = [t.name for t in self._treated if not torch.isfinite(t.parameter).all()]
        if bad:
            raise TrainingError(
                f"OneLevel: layer {name}: weights must be finite, got NaN or infinity at step {self._step}; go back to "
                "a checkpoint and lower the learning rate"
                for name in bad
            )
        self._levels = {t.name: best_level(t.parameter) for t in self._treated}

    @torch.no_grad()
    def _project(self) -> None:
        for t in self._treated:
            t.parameter.copy_(to_level(t.parameter, self._levels[t.name]))

    def _attached(self) -> tuple[Treated, ...]:
        if not self._treated:
            raise TrainingError("OneLevel: must be attached first; call attach(model, optimizer)")
        return self._treated
