"""The penalty that makes synapses certain, so that one copy does what the average of many did.

    strength * mean over all synapses of | |c - 1/2| - 1/2 |

c is the probability of a synapse; its variance among copies is c (1 - c), nothing at 0 and 1, where the penalty's
slope drives it: +1 below 1/2, -1 above. Wen et al., A New Learning Method for Inference Accuracy, Core Occupation, and
Performance Co-optimization on TrueNorth Chip, DAC 2016, arXiv 1604.00697 (there a sum, its factor lambda = strength /
number of synapses).
"""

from __future__ import annotations

import math
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from xbar.errors import TrainingError
from xbar.training.base import Method, Treated
from xbar.training.tea import find_tea_layers


@final
class TrueNorthBias(Method):
    """Biases connection probabilities towards 0 and 1; beside `Tea`, which keeps them between.

    strength: of the penalty. ramp: steps over which it grows from 0, so that synapses take sides in the order in which
    the network can bear it. Raises TrainingError.
    """

    def __init__(self, strength: float, *, ramp: int = 0) -> None:
        problems = []
        if not 0 < strength < math.inf:
            problems.append(f"TrueNorthBias: strength: must be a positive number, got {strength}; 8 is usual")
        if ramp < 0:
            problems.append(f"TrueNorthBias: ramp: must be a number of steps from 0, got {ramp}")
        if problems:
            raise TrainingError(problems)
        self.strength, self.ramp = strength, ramp
        self._found: tuple[Treated, ...] = ()
        self._n_steps = 0

    @property
    def treated(self) -> tuple[Treated, ...]:
        """The layers of cores, with their connection probabilities."""
        return self._found

    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        self._found = find_tea_layers("TrueNorthBias", model, optimizer)

    def penalty(self) -> Tensor:
        if not self._found:
            raise TrainingError("TrueNorthBias: is not attached; call attach(model, optimizer) first")
        grown = min(1.0, (self._n_steps + 1) / self.ramp) if self.ramp else 1.0
        n = sum(layer.parameter.numel() for layer in self._found)
        # the same within 0 .. 1, but with a slope at 0 and 1 too: what got there stays
        apart = [(0.5 - (layer.parameter - 0.5).abs()).sum() for layer in self._found]
        return torch.stack(apart).sum() * (self.strength * grown / n)

    def after_step(self) -> None:
        self._n_steps += 1

    def finish(self) -> None:
        pass

    def state_dict(self) -> dict[str, Any]:
        return {"n_steps": self._n_steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._n_steps = int(state["n_steps"])
