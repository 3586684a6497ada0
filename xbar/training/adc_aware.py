"""ADC-aware training: layers put out what simulated crossbars with the chip's ADCs do, to adapt to what these clip.

    forward: y = the layer on the chip, every column sum digitised;    backward: that of y = w^ * x^ + b

w^ and x^ are the quantized weights and inputs of `xbar.training.quantization_aware`, whose gradients follow. The engine
is that of `xbar.simulate`, so that the forward pass of the whole network is the simulation, bit for bit. The gradient
is straight-through: the error that saturation makes is seen, its slope is taken as that of the sum. What makes sums
saturate less is the penalty, on how far they exceed the range (`xbar.training.over_range`).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim import Optimizer

import mapping
from xbar.errors import LayerError, TrainingError
from xbar.frontends.torch_module import from_torch
from xbar.hardware import Chip, load_chip
from xbar.network import Network, QuantizedLayer, QuantizedNetwork
from xbar.program import Program
from xbar.sim import simulate
from xbar.training.base import Method, Treated, find_layers
from xbar.training.over_range import over_range
from xbar.training.quantization_aware import QuantizationAware, QuantizedInput
from xbar.training.straight_through import sharing, straight_through, weight_integers

_DATA = ("max", "percentile", "mse")


@final
class AdcAware(Method):
    """Quantization-aware training in which column sums go through the chip's ADCs; for fine-tuning.

    chip: or its name or file; precision, encoding, crossbars and ADCs are simulated as `xbar.simulate` does, without
        the effects of the chip's noise, which belong to `NoiseAware`. ADCs in clip mode, or with a full scale that the
        cells give (worst_case).
    strength: of the penalty, strength * sum over layers of the mean over conversions of max(0, y - top) / top, with y
        the column sum and top the largest that its ADC tells.
    In training, layers whose column sums cannot exceed the ADCs whatever the weights cost nothing beyond quantization;
    others make a step some 40 (pruned) to 80 times (dense) as long, since every conversion is simulated;
    in evaluation mode every treated layer is simulated, and outputs are those of `xbar.simulate` for the program of
    `xbar.quantize(..., input_ranges=method.input_ranges)`. That is exact where no BatchNorm is folded into layers.

    Weights must be trained as they are: methods that show a layer others (`NoiseAware`, `BitSliceL1`) have to be
    finished before, and cannot be attached beside it.
    layers, skip: which layers, as in `find_layers`. Raises TrainingError.
    """

    def __init__(
        self, chip: Chip | str, *, strength: float = 0.0, layers: Sequence[str] | None = None, skip: Sequence[str] = ()
    ) -> None:
        chip = load_chip(chip) if isinstance(chip, str) else chip
        problems = []
        if not 0 <= strength < math.inf:
            problems.append(f"AdcAware: strength: must be a finite number from 0, got {strength}; 1 is usual")
        if chip.adc.mode == "range" and chip.adc.full_scale in _DATA:
            problems.append(
                f"AdcAware: chip: adc.full_scale must not depend on data, which change with every step, got "
                f"{chip.adc.full_scale}; use adc.mode: clip, or full_scale: worst_case"
            )
        if problems:
            raise TrainingError(problems)
        self.strength = strength
        self.chip = chip.model_copy(update={"noise": chip.noise and chip.noise.only()})
        self._layers, self._skip = layers, tuple(skip)
        self._quantized = QuantizationAware(chip, layers=layers, skip=skip)
        self._hooks: list[torch.utils.hooks.RemovableHandle] = []
        self._excess: list[Tensor] = []

    @property
    def treated(self) -> tuple[Treated, ...]:
        """The layers that are simulated."""
        return self._quantized.treated

    @property
    def input_ranges(self) -> dict[str, float]:
        """The learned range of each module that has seen inputs, by its name: for `xbar.quantize`."""
        return self._quantized.input_ranges

    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Quantize weights and inputs, and digitise column sums, from now on."""
        for layer in find_layers("AdcAware", model, optimizer, self._layers, self._skip):
            _check_alone(layer.name, layer.module, 0)
        plain = {id(m): copy.deepcopy(m) for m in model.modules() if not list(m.children())}
        try:
            self._quantized.attach(model, optimizer)
        except TrainingError as error:
            raise type(error)(p.replace("QuantizationAware", "AdcAware", 1) for p in error.problems) from error
        names = {id(module): name for name, module in model.named_modules()}
        for layer in self.treated:
            for module in sharing(model, layer):
                found = self._quantized.inputs[names[id(module)]]
                see = self._excess.append if self.strength else None
                crossbars = _Crossbars(layer, plain[id(module)], found, self.chip, see)
                self._hooks.append(module.register_forward_hook(crossbars.replace))

    def penalty(self) -> Tensor:
        """That of the forward passes since the last call: at most one for each call of a layer."""
        if not self.treated:
            raise TrainingError("AdcAware: is not attached; call attach(model, optimizer) first")
        total = sum(self._excess, self._quantized.penalty())
        self._excess.clear()
        return self.strength * total

    def after_step(self) -> None:
        """Keep the ranges above 0, and forget passes whose penalty nobody asked for."""
        self._excess.clear()
        self._quantized.after_step()

    def finish(self) -> None:
        """Leave the plain float weights, of which `xbar.quantize` makes the integers that were trained."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self._quantized.finish()

    def state_dict(self) -> dict[str, Any]:
        """That of the quantization."""
        return self._quantized.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`; after `attach`."""
        self._quantized.load_state_dict(state)


def _check_alone(name: str, module: nn.Module, n_expected: int) -> None:
    """The crossbars are programmed with the plain weights: `n_expected` is how many changes of them are our own."""
    n_changes = len(module.parametrizations["weight"]) if parametrize.is_parametrized(module, "weight") else 0  # type: ignore[index]
    if n_changes > n_expected:
        raise LayerError(
            f"AdcAware: layer {name}: must be trained with its plain weights, got some that another method or "
            f"parametrization changes; finish it before, or leave the layer alone with skip=['{name}']"
        )


def may_clip(layer: Treated, chip: Chip) -> bool:
    """Whether the chip's ADCs could change any sum of a layer, whatever its weights and inputs."""
    if chip.adc_bits is None:
        return False
    if chip.is_analog:
        return True
    rows = min(layer.matrix().shape[1], chip.crossbar.rows)
    largest = rows * ((1 << chip.device.cell_bits) - 1)
    if chip.encoding.flipped:  # columns with more than half of it are stored inverted
        largest //= 2
    top_digit = (1 << chip.dac.bits) - 1
    unit = chip.encoding.kind == "offset" and rows * top_digit > (1 << max(chip.adc_bits)) - 1
    return unit or largest * top_digit > (1 << min(chip.adc_bits)) - 1


def _by_output(steps: Tensor, weights: Tensor) -> Tensor:
    """Steps [1] or [output] to divide weights [output, ...] by."""
    return steps.to(weights).reshape(-1, *[1] * (weights.dim() - 1))


@final
class _Crossbars:
    """A module's crossbars: programmed anew when its weights or its input's range have changed."""

    def __init__(
        self, layer: Treated, plain: nn.Module, found: QuantizedInput, chip: Chip, see: Callable[[Tensor], None] | None
    ) -> None:
        self._see_excess = see
        self._layer, self._plain, self._input, self._chip = layer, plain, found, chip
        self._may_clip = may_clip(layer, chip)
        self._networks: dict[torch.Size, Network] = {}
        self._programmed: tuple[Any, Program] | None = None

    def replace(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        """A forward hook, after the pre-hook that quantizes the input."""
        x = args[0].detach().cpu()
        _check_alone(self._layer.name, module, 1)
        wanted = self._may_clip or not module.training
        if not wanted or not self._input.known or not bool(torch.isfinite(x).all()):
            return output
        program = self._program(module, x)
        if self._see_excess is not None and module.training and torch.is_grad_enabled():
            self._see_excess(self._excess(program, x))
        result = simulate(program, x, batch_size=max(1, len(x)))
        return straight_through(output, result.outputs.to(output))

    def _excess(self, program: Program, x: Tensor) -> Tensor:
        """The mean excess of the column sums, with its gradient by the layer's weights."""
        mean, slope = over_range(program, x)
        parameter = self._layer.parameter
        step = torch.as_tensor(program.layers[0].weight_scale, dtype=slope.dtype)
        by_weight = self._layer.weights(slope).to(parameter) / _by_output(step, parameter)
        value = (parameter * by_weight).sum()
        return straight_through(value, torch.full_like(value, mean))

    def _program(self, module: nn.Module, x: Tensor) -> Program:
        bias = getattr(module, "bias", None)
        state = (
            self._layer.parameter._version,
            None if bias is None else bias._version,
            self._input.step,
            self._input.signed,
            x.shape[1:],
        )
        if self._programmed is None or self._programmed[0] != state:
            self._programmed = state, self._compile(x, bias)
        return self._programmed[1]

    def _compile(self, x: Tensor, bias: Tensor | None) -> Program:
        precision = self._chip.precision
        integers, scale = weight_integers("AdcAware", self._layer, precision)
        network = self._network(x)
        held = None if bias is None else bias.detach().cpu().numpy().astype(np.float32)
        quantized = QuantizedLayer(
            layer=replace(network.layers[0], bias=held),
            weight_q=integers,
            weight_scale=scale,
            weight_bits=precision.weight_bits,
            input_scale=self._input.step,
            input_bits=precision.input_bits,
            input_signed=self._input.signed,
        )
        network = replace(network, layers=(quantized.layer,))
        return mapping.compile(QuantizedNetwork(network, (quantized,), precision), self._chip)

    def _network(self, x: Tensor) -> Network:
        """The module alone, traced once for each shape of input."""
        if x.shape[1:] not in self._networks:
            plain = self._plain.cpu().eval()
            network = from_torch(plain, torch.cat([x, x])[:2].contiguous())
            weight = plain.weight.detach().numpy()  # type: ignore[operator]
            if len(network.layers) != 1 or not np.array_equal(network.layers[0].weight, weight):
                raise TrainingError(
                    f"AdcAware: layer {self._layer.name} ({type(plain).__name__}): must be one product with its "
                    f"weights, got something else; leave it alone with skip=['{self._layer.name}']"
                )
            self._networks[x.shape[1:]] = network
        return self._networks[x.shape[1:]]
