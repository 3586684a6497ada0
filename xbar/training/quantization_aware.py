"""Quantization-aware training: weights on the grid that `xbar.quantize` gives them, inputs in ranges that are learned.

Weights: w^ = s_w q(w), exactly the integers and steps of `xbar.quantize`; d w^ / d w = 1. Inputs of a layer, with a
learned range r, s = r / Q_p (or the power of two that dynamic fixed point makes of it), v = x / s:

    x^ = s clip(round(v), -Q_n, Q_p)        unsigned: Q_n = 0, Q_p = 2^b - 1; signed: Q_n = 2^(b-1), Q_p = Q_n - 1
    d x^ / d x = 1 where -Q_n <= v <= Q_p, else 0
    d x^ / d r = (s / r) (round(v) - v) inside,  -(s / r) Q_n below,  (s / r) Q_p = 1 above

which are the gradients of the step in LSQ (Esser et al., ICLR 2020, arXiv 1902.08153, equation 3) by s = r / Q_p; above
the range they are those of PACT (Choi et al., arXiv 1805.06085). Summed over the batch and multiplied by 1 / sqrt(N), N
the number of values that one input of the network gives the layer, as LSQ keeps steps and weights in balance. Data that
carry no gradient (the network's own input) keep the range that they began with.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.optim import Optimizer

from xbar.errors import TrainingError
from xbar.hardware import Chip, load_chip
from xbar.network import Precision
from xbar.quantization.calibration import Observed
from xbar.quantization.network import calibrated_range, input_scale
from xbar.quantization.uniform import top_code
from xbar.training.base import Method, Treated, find_layers
from xbar.training.straight_through import (
    SeenWeights,
    check_called,
    check_detached,
    check_norms,
    on_grid,
    sharing,
    straight_through,
    weight_integers,
)

_LEAST = 1e-6  # of the range that a layer began with


@final
class QuantizationAware(Method):
    """Trains the very integers that a chip will hold; `input_ranges` go to `xbar.quantize` with the finished model.

    chip: a chip, its name or file, of which only `precision` is used, or a Precision.
    A layer's range begins as `precision.input_range` finds it in the first batch that it sees, signed if that batch has
    a negative value; any later one makes it signed, as it would a calibration. The ranges join the optimizer in a group
    of their own without weight decay (with its default learning rate): attach before making a schedule of it. `finish`
    takes the group out again.
    Weights that a BatchNorm follows are quantized as they are, while `xbar.quantize` sees them multiplied by its factor
    per channel; that gives the same integers for granularity: channel with uniform or one-level weights, and is an
    error else.

    layers, skip: which layers, as in `find_layers`. Raises TrainingError.
    """

    def __init__(
        self, chip: Chip | Precision | str, *, layers: Sequence[str] | None = None, skip: Sequence[str] = ()
    ) -> None:
        chip = load_chip(chip) if isinstance(chip, str) else chip
        self._precision = chip if isinstance(chip, Precision) else chip.precision
        self._layers, self._skip = layers, tuple(skip)
        self._treated: tuple[Treated, ...] = ()
        self._seen: SeenWeights | None = None
        self._inputs: dict[str, QuantizedInput] = {}
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        self._optimizer: Optimizer | None = None
        self._stepped = False
        self._drawn: dict[str, tuple[Tensor | None, int, Tensor]] = {}

    @property
    def treated(self) -> tuple[Treated, ...]:
        """The quantized layers."""
        return self._treated

    @property
    def inputs(self) -> dict[str, QuantizedInput]:
        """How the inputs of each module are quantized, by its name."""
        return dict(self._inputs)

    @property
    def input_ranges(self) -> dict[str, float]:
        """The learned range of each module that has seen inputs, by its name: for `xbar.quantize`."""
        return {name: found.full_range for name, found in self._inputs.items() if found.known}

    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Quantize weights and inputs from now on, in training and in evaluation."""
        check_detached("QuantizationAware", self._seen)
        treated = find_layers("QuantizationAware", model, optimizer, self._layers, self._skip)
        check_norms("QuantizationAware", model, self._precision)
        check_called("QuantizationAware", model, treated)
        self._treated, self._optimizer = treated, optimizer
        names = {id(module): name for name, module in model.named_modules()}
        for layer in treated:
            for module in sharing(model, layer):
                name = names[id(module)]
                found = QuantizedInput(name, self._precision, layer.parameter)
                self._inputs[name] = found
                self._hooks.append(module.register_forward_pre_hook(found.replace))
        self._seen = SeenWeights(model, treated, lambda layer: lambda weight, _: self._see(layer, weight))
        ranges = [found.range for found in self._inputs.values()]
        optimizer.add_param_group({"params": ranges, "weight_decay": 0.0})

    def penalty(self) -> Tensor:
        """0: the loss of the quantized network is the method."""
        return torch.zeros((), device=self._attached()[0].parameter.device)

    def after_step(self) -> None:
        """Keep the ranges above 0."""
        self._attached()
        self._stepped = True
        for found in self._inputs.values():
            found.keep_positive()

    def finish(self) -> None:
        """Leave the plain float weights, of which `xbar.quantize` makes the integers that were trained.

        Warns of layers that never saw an input: other modules read their weights, and nothing quantized what they get.
        """
        unseen = [name for name, found in self._inputs.items() if not found.known]
        if self._stepped and unseen and self._optimizer is not None:
            text = f"QuantizationAware: {', '.join(unseen)}: never saw an input other than 0, and none was quantized"
            warnings.warn(text, stacklevel=2)
        if self._seen is not None:
            self._seen.remove()
        for hook in self._hooks:
            hook.remove()
        if self._optimizer is not None:
            ranges = {id(found.range) for found in self._inputs.values()}
            groups = self._optimizer.param_groups
            groups[:] = [g for g in groups if not {id(p) for p in g["params"]} <= ranges]
            for found in self._inputs.values():
                self._optimizer.state.pop(found.range, None)
        self._hooks, self._optimizer = [], None
        self._drawn.clear()

    def state_dict(self) -> dict[str, Any]:
        """Ranges, where they began, and signs, by module."""
        return {name: found.state() for name, found in self._inputs.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`; after `attach`."""
        for name, found in self._inputs.items():
            found.load(state[name])

    def _attached(self) -> tuple[Treated, ...]:
        if not self._treated:
            raise TrainingError("QuantizationAware: is not attached; call attach(model, optimizer) first")
        return self._treated

    def _see(self, layer: Treated, weight: Tensor) -> Tensor:
        of, version, quantized = self._drawn.get(layer.name, (None, -1, weight))
        # a copy of the model has weights of its own, and what another method shows is made anew every time
        if of is not weight or version != weight._version:
            integers, scale = weight_integers("QuantizationAware", layer, self._precision, weight)
            quantized = on_grid(integers, scale, weight.detach())
            self._drawn[layer.name] = (weight, weight._version, quantized)
        return straight_through(weight, quantized)


@final
class QuantizedInput:
    """A module's input on the grid of a learned range; the range is 0 until there was an input other than 0."""

    def __init__(self, name: str, precision: Precision, like: Tensor) -> None:
        self._name, self._precision = name, precision
        self.range = nn.Parameter(torch.zeros((), device=like.device, dtype=torch.float32))
        self.signed = False
        self._began = 0.0

    @property
    def known(self) -> bool:
        """Whether there was an input other than 0."""
        return self._began > 0

    @property
    def full_range(self) -> float:
        """The activation that the largest integer stands for."""
        return float(self.range.detach())

    @property
    def step(self) -> float:
        """What one integer stands for."""
        return input_scale(self.full_range, self._precision, self.signed)

    def replace(self, _module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """A forward pre-hook."""
        return (self.quantized(args[0]), *args[1:])

    def quantized(self, x: Tensor) -> Tensor:
        """x on its grid, with the gradients of the module's docstring."""
        self._look(x.detach())
        if not self.known:
            return x
        bits = self._precision.input_bits
        low, high = -(2 ** (bits - 1)) if self.signed else 0, top_code(bits, self.signed)
        factor = 1 / math.sqrt(max(1, x[0].numel()))
        # the gradient by the range of plain data would cost one by the data
        full_range = self.range if x.requires_grad else self.range.detach()
        return _Quantize.apply(x, full_range, self.step, low, high, factor)

    def keep_positive(self) -> None:
        """Steps of the optimizer must not take the range to 0 or below."""
        with torch.no_grad():
            self.range.clamp_(min=_LEAST * self._began)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"range": self.full_range, "began": self._began, "signed": self.signed}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        with torch.no_grad():
            self.range.fill_(state["range"])
        self._began, self.signed = float(state["began"]), bool(state["signed"])

    def _look(self, x: Tensor) -> None:
        if not self.signed and x.numel() and bool(x.amin() < 0):
            self.signed = True
            if self._precision.input_bits == 1:
                raise TrainingError(
                    f"QuantizationAware: layer {self._name}: receives negative values, which 1 bit of "
                    "precision.input_bits cannot hold; use 2 bits"
                )
        if self.known:
            return
        observed = Observed(with_histogram=self._precision.input_range != "max")
        observed.add(x.cpu())
        if not math.isfinite(observed.largest):
            raise TrainingError(
                f"QuantizationAware: layer {self._name}: its first inputs must be finite, got NaN or infinity; "
                "check weights and data"
            )
        self._began = calibrated_range(observed, self._precision)
        with torch.no_grad():
            self.range.fill_(self._began)


class _Quantize(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, full_range: Tensor, step: float, low: int, high: int, factor: float) -> Tensor:
        v = x / step
        q = torch.round(v).clamp_(low, high)
        ctx.save_for_backward(v, full_range)
        ctx.limits = step, low, high, factor
        return q * step

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None, None]:
        (v, full_range), (step, low, high, factor) = ctx.saved_tensors, ctx.limits
        held = v.clamp(low, high)
        inside = held == v
        slope = torch.where(inside, torch.round(v).sub_(v), held)
        of_range = torch.dot(grads[0].reshape(-1), slope.reshape(-1)) * (step * factor) / full_range
        return grads[0] * inside, of_range, None, None, None, None
