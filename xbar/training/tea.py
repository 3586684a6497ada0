"""Tea learning: synapses that are there with a trained probability (Esser et al., NIPS 2015).

model = tea_mnist_4()                              # or a `TeaNetwork` of your own
method = Tea()                                     # keeps probabilities in 0 .. 1, biases in what a leak holds
...                                                # any training loop
network = to_bernoulli(model)                      # for the mapping, which draws the synapses of each copy
"""

from __future__ import annotations

from typing import Any, final

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from xbar.errors import LayerError, TrainingError
from xbar.frontends.tea_model import TEA_NETWORK, bernoulli_of
from xbar.spiking.bernoulli import WEIGHTS, BernoulliNetwork
from xbar.training.base import Method, Treated
from xbar.training.tea_network import TeaLayer, TeaNetwork


@final
class Tea(Method):
    """Projects each step's result: c onto 0 .. 1, b onto the leaks -255 .. 255; `finish` rounds b to integers."""

    def __init__(self) -> None:
        self._found: tuple[Treated, ...] = ()

    @property
    def treated(self) -> tuple[Treated, ...]:
        """The layers of cores, with their connection probabilities."""
        return self._found

    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        self._found = find_tea_layers("Tea", model, optimizer)
        self.after_step()

    def penalty(self) -> Tensor:
        if not self._found:
            raise TrainingError("Tea: is not attached; call attach(model, optimizer) first")
        return torch.zeros((), device=self._found[0].parameter.device)

    @torch.no_grad()
    def after_step(self) -> None:
        for layer in self._found:
            layer.parameter.clamp_(0, 1)
            _bias(layer).clamp_(*WEIGHTS)

    @torch.no_grad()
    def finish(self) -> None:
        self.after_step()
        for layer in self._found:
            _bias(layer).round_()

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


def find_tea_layers(who: str, model: nn.Module, optimizer: Optimizer) -> tuple[Treated, ...]:
    """All `TeaLayer`s of a model, each once, with their connection probabilities.

    who: the method, for errors. Raises LayerError where there are none, or the optimizer lacks them.
    """
    modules = [(name, module) for name, module in model.named_modules() if isinstance(module, TeaLayer)]
    optimized = {id(p) for group in optimizer.param_groups for p in group["params"]}
    if not modules:
        raise LayerError(
            f"{who}: at least one TeaLayer is needed, got none; train a TeaNetwork, such as tea-mnist-4, with it"
        )
    problems = [
        f"{who}: layer {name}: the optimizer does not have its connection probabilities; make it from them as well"
        for name, module in modules
        if id(module.connection) not in optimized
    ]
    if problems:
        raise LayerError(problems)
    return tuple(Treated(name, module, module.connection) for name, module in modules)


def to_bernoulli(model: TeaNetwork) -> BernoulliNetwork:
    """What leaves training: probabilities as they are, biases rounded to integers. Raises ModelError."""
    return bernoulli_of(model.state_dict(), model.n_inputs, _layer_names(model))


def tea_structure(model: nn.Module) -> dict[str, Any]:
    """What a `.pt2` file must say beside the tensors of a `TeaNetwork`, by entry; nothing of other models."""
    if not isinstance(model, TeaNetwork):
        return {}
    return {TEA_NETWORK: {"n_inputs": model.n_inputs, "layers": _layer_names(model)}}


def _layer_names(model: TeaNetwork) -> list[str]:
    return [f"layers.{i}" for i in range(len(model.layers))]


def _bias(layer: Treated) -> Tensor:
    assert isinstance(layer.module, TeaLayer)
    return layer.module.bias
