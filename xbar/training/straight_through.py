"""What the methods share that change what a layer computes, and train through it: straight-through gradients.

In the forward pass a tensor is replaced by what the hardware makes of it, in the backward pass it is not: d new / d old
is taken as 1 (Bengio, Leonard, Courville, arXiv 1308.3432).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.utils import parametrize

from xbar.errors import LayerError, TrainingError
from xbar.network import Precision
from xbar.quantization.network import quantize_weights
from xbar.training.base import MATRIX_MODULES, Treated


class _Replace(Function):
    @staticmethod
    def forward(_ctx: Any, _old: Tensor, new: Tensor) -> Tensor:
        return new.clone()

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0], None


def straight_through(old: Tensor, new: Tensor) -> Tensor:
    """`new`, exactly, with the gradient handed on to `old`; both of one shape."""
    return _Replace.apply(old, new)


def weight_integers(
    who: str, treated: Treated, precision: Precision, shown: Tensor | None = None
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """A layer's weights as `xbar.quantize` makes them: integers of the weights' shape, and steps [1] or [col_total].

    shown: what other methods made of the weights; None: the plain ones. who: the method, for the TrainingError about
    weights that are NaN or infinite, or that the layer does not use as they are (spectral norm and the like).
    """
    if parametrize.is_parametrized(treated.module, "weight"):
        chain = treated.module.parametrizations["weight"]  # type: ignore[index]
        foreign = [type(p).__name__ for p in chain if not isinstance(p, SeenWeight)]
        if foreign:
            raise TrainingError(
                f"{who}: layer {treated.name}: its weights are made of others by {', '.join(foreign)}; make them plain "
                f"first (torch.nn.utils.parametrize.remove_parametrizations), or leave it alone with "
                f"skip=['{treated.name}']"
            )
    weight = (treated.parameter if shown is None else shown).detach().cpu().to(torch.float32).numpy()
    if not np.isfinite(weight).all():
        raise TrainingError(
            f"{who}: layer {treated.name}: weights must be finite, got NaN or infinity; lower the learning rate"
        )
    integers, scale, _ = quantize_weights(weight, precision)
    return integers, scale


def check_norms(who: str, model: nn.Module, precision: Precision) -> None:
    """TrainingError where a BatchNorm makes other integers of the weights before it.

    `xbar.quantize` sees these multiplied by its factors. With a step per channel and steps that are no powers of two,
    the integers are the same.
    """
    if precision.granularity == "channel" and precision.weights != "dynamic_fixed_point":
        return
    norms = [n for n, m in model.named_modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    if norms:
        raise LayerError(
            f"{who}: {', '.join(norms)}: BatchNorm changes the integers of the weights before it with granularity: "
            f"{precision.granularity}, weights: {precision.weights}; fold it into them first "
            "(torch.nn.utils.fusion.fuse_conv_bn_eval), or use granularity: channel with uniform weights"
        )


def check_called(who: str, model: nn.Module, treated: Sequence[Treated]) -> None:
    """LayerError for layers whose inputs nobody sees, since torch's attention reads their weights without a call."""
    read = {id(m.out_proj) for m in model.modules() if isinstance(m, nn.MultiheadAttention)}
    problems = [
        f"{who}: layer {t.name}: its inputs cannot be seen, MultiheadAttention reads its weights; leave it alone with "
        f"skip=['{t.name}']"
        for t in treated
        if id(t.module) in read
    ]
    if problems:
        raise LayerError(problems)


def on_grid(integers: NDArray[Any], scale: NDArray[np.float64], like: Tensor) -> Tensor:
    """Integers, or what noise made of them, times their steps: laid out as the weights `like`, of their type."""
    steps = scale.reshape(-1, *([1] * (integers.ndim - 1)))
    return torch.from_numpy(np.asarray(integers * steps, np.float32)).to(like)


@final
class SeenWeight(nn.Module):
    """A parametrization: what `see(weight, training)` makes of a weight, in place of it. last: after the others."""

    def __init__(self, see: Callable[[Tensor, bool], Tensor], last: bool = False) -> None:
        super().__init__()
        self.see, self.last = see, last

    def forward(self, weight: Tensor) -> Tensor:
        """The weight as the layer's product sees it."""
        return self.see(weight, self.training)


def check_detached(who: str, seen: SeenWeights | None) -> None:
    """TrainingError where a method shows its layers weights already: twice would leave one behind."""
    if seen is not None and seen.shown:
        raise TrainingError(f"{who}: is attached already; call finish() first, or make another {who}")


@final
class SeenWeights:
    """All weights that a method shows its layers in another form; `remove` brings the plain ones back.

    last: this form is made of what all other methods show, those that come later too.
    """

    def __init__(
        self,
        model: nn.Module,
        treated: Sequence[Treated],
        see: Callable[[Treated], Callable[[Tensor, bool], Tensor]],
        last: bool = False,
    ) -> None:
        self._added: list[tuple[nn.Module, SeenWeight, tuple[str, ...]]] = []
        for layer in treated:
            for module in sharing(model, layer):
                seen = SeenWeight(see(layer), last)
                order = tuple(module._parameters)
                parametrize.register_parametrization(module, "weight", seen, unsafe=True)
                chain = module.parametrizations["weight"]  # type: ignore[index]
                for i, shown in enumerate(sorted(chain, key=lambda p: isinstance(p, SeenWeight) and p.last)):
                    chain[i] = shown
                self._added.append((module, seen, order))

    @property
    def shown(self) -> bool:
        """Whether they are shown still."""
        return bool(self._added)

    def remove(self) -> None:
        """Take these parametrizations away, and no others."""
        for module, seen, order in self._added:
            if not parametrize.is_parametrized(module, "weight"):
                continue
            chain = module.parametrizations["weight"]  # type: ignore[index]
            assert isinstance(chain, parametrize.ParametrizationList)
            position = [i for i, other in enumerate(chain) if other is seen]
            for i in position:
                del chain[i]
            if len(chain) == 0:
                parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
                for name in (n for n in order if n in module._parameters):  # weight before bias, as before
                    module._parameters[name] = module._parameters.pop(name)
        self._added = []


def sharing(model: nn.Module, treated: Treated) -> Iterator[nn.Module]:
    """The modules that use a layer's weights: itself, and those that share them."""
    for module in model.modules():
        if isinstance(module, MATRIX_MODULES):
            if parametrize.is_parametrized(module, "weight"):
                own = getattr(module.parametrizations["weight"], "original", None)  # type: ignore[index]
            else:
                own = module.weight
            if own is treated.parameter:
                yield module
