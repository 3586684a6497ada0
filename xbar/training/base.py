"""What every training method is: an object beside the user's own loop, always with the same life cycle.

    method = BitSliceL1(strength=0.5)
    method.attach(model, optimizer)
    for x, y in batches:
        loss = criterion(model(x), y) + method.penalty()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step()
    method.finish()

Methods compose: `Together(one, other)` is a method. What a method treats, it lists (`treated`); a layer that it cannot
treat is an error. Nothing is left out in silence.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.optim import Optimizer

from xbar.errors import LayerError, TrainingError

MATRIX_MODULES = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
RANK_FALLS = "_rank_falls"  # attribute of weights whose shape rank clipping still changes


@dataclass(frozen=True, eq=False)
class Treated:
    """A layer whose weights a method works on. name: that of the module."""

    name: str
    module: nn.Module
    parameter: nn.Parameter

    @property
    def groups(self) -> int:
        return int(getattr(self.module, "groups", 1))

    def matrix(self, values: Tensor | None = None) -> Tensor:
        """The weights, or values laid out like them, as crossbars hold them: a view [group, row, col].

        Rows are the fan-in of an output in the order (channel, kernel axes), as `mapping.unroll` has them.
        """
        values = self.parameter if values is None else values
        return values.reshape(self.groups, values.shape[0] // self.groups, -1).transpose(1, 2)

    def weights(self, matrix: Tensor) -> Tensor:
        """A matrix [group, row, col] laid out as the weights."""
        return matrix.transpose(1, 2).reshape(self.parameter.shape)


class Method(ABC):
    """A training method: one file, one class below this one."""

    @property
    @abstractmethod
    def treated(self) -> tuple[Treated, ...]:
        """The layers that the method works on, in the order of the model; empty before `attach`."""

    @property
    def input_ranges(self) -> dict[str, float]:
        """Learned input ranges by module, for `xbar.quantize`; none for methods that do not learn any."""
        return {}

    @abstractmethod
    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        """Find the layers and get ready. Raises TrainingError with all that is wrong."""

    @abstractmethod
    def penalty(self) -> Tensor:
        """What to add to the loss, a scalar on the model's device; 0 where a method adds nothing."""

    @abstractmethod
    def after_step(self) -> None:
        """Right after optimizer.step()."""

    @abstractmethod
    def finish(self) -> None:
        """Project the weights onto what the hardware holds and leave a plain model, ready for `xbar.from_torch`."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must keep beside those of model and optimizer: tensors and numbers."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a `state_dict`; after `attach`."""


class Together(Method):
    """Several methods as one: their penalties add up, their steps and finishes run in the order given."""

    def __init__(self, *methods: Method) -> None:
        if not methods:
            raise TrainingError("Together: at least one method is needed, got none")
        self.methods = methods

    @property
    def treated(self) -> tuple[Treated, ...]:
        by_parameter = {id(t.parameter): t for method in self.methods for t in method.treated}
        return tuple(by_parameter.values())

    @property
    def input_ranges(self) -> dict[str, float]:
        return {name: value for method in self.methods for name, value in method.input_ranges.items()}

    def attach(self, model: nn.Module, optimizer: Optimizer) -> None:
        for method in self.methods:
            method.attach(model, optimizer)
        check_present([(type(method).__name__, method) for method in self.methods], model)

    def penalty(self) -> Tensor:
        return torch.stack([method.penalty() for method in self.methods]).sum()

    def after_step(self) -> None:
        for method in self.methods:
            method.after_step()

    def finish(self) -> None:
        for method in self.methods:
            method.finish()

    def state_dict(self) -> dict[str, Any]:
        return {str(i): method.state_dict() for i, method in enumerate(self.methods)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for i, method in enumerate(self.methods):
            method.load_state_dict(state[str(i)])


def check_present(methods: Iterable[tuple[str, Method]], model: nn.Module) -> None:
    """Raises LayerError where a method, beside its name, treats weights that another one has replaced since."""
    present = {id(p) for p in model.parameters()}
    problems = []
    for who, method in methods:
        gone = [t.name for t in method.treated if id(t.parameter) not in present]
        if gone:
            problems.append(
                f"{who}: works on weights of {', '.join(gone)} that the model has no more, since rank clipping "
                "replaced them; finish it before rank clipping is attached or finished, or attach it afterwards"
            )
    if problems:
        raise LayerError(problems)


def find_layers(
    who: str,
    model: nn.Module,
    optimizer: Optimizer,
    layers: Sequence[str] | None = None,
    skip: Sequence[str] = (),
    *,
    falling_ranks: bool = False,
) -> tuple[Treated, ...]:
    """The layers that a method treats: those named in `layers`, or every linear layer and convolution, less `skip`.

    who: the method, for errors. Weights that several modules share are treated once. falling_ranks: the method works
    on weights whose shape `RankClipping` still changes; one that projects or shows weights does not. Raises LayerError
    with every problem: an unknown name, a layer with weights of another kind, weights that the optimizer lacks, none.
    """
    found, problems = [], []
    for argument, names in (("layers", layers), ("skip", skip)):
        if isinstance(names, str) or not (names is None or all(isinstance(name, str) for name in names)):
            raise LayerError(f"{who}: {argument}: must be a list of names of layers, got {names!r}; write ['fc1']")
    modules = dict(model.named_modules())
    for asked in (*(layers or ()), *skip):
        if asked not in modules:
            problems.append(f"{who}: the model has no layer '{asked}'; it has {', '.join(_matrix_names(model))}")
    seen: set[int] = set()
    optimized = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for name, module, parameter in _weights(model):
        wanted = _is_below(name, layers) if layers is not None else True
        if not wanted or _is_below(name, skip):
            continue
        if parameter is None:
            where = f"layer {name}" if name else "the model itself"
            problems.append(
                f"{who}: {where} ({type(module).__name__}) has weights that it cannot treat, only linear layers "
                f"and convolutions; leave it alone with skip=['{name}']"
            )
        elif id(parameter) not in seen:
            seen.add(id(parameter))
            found.append(Treated(name, module, parameter))
            if getattr(parameter, RANK_FALLS, False) and not falling_ranks:
                problems.append(
                    f"{who}: layer {name}: its rank still falls, and the weights must keep their shape; finish rank "
                    f"clipping before {who} is attached"
                )
            if id(parameter) not in optimized:
                problems.append(
                    f"{who}: layer {name}: the optimizer does not have its weights; make the optimizer from them "
                    f"as well, or leave it alone with skip=['{name}']"
                )
    for asked in layers or ():
        if asked in modules and not any(_is_below(t.name, [asked]) for t in found) and not problems:
            problems.append(f"{who}: '{asked}' has no weights to treat; name a linear layer or a convolution")
    if not found and not problems:
        problems.append(f"{who}: at least one linear layer or convolution is needed, got none")
    if problems:
        raise LayerError(problems)
    return tuple(found)


def _weights(model: nn.Module) -> Iterator[tuple[str, nn.Module, nn.Parameter | None]]:
    """All layers with weights of two or more axes: (name, module, parameter); None where they are of another kind."""
    for name, module in model.named_modules():
        if isinstance(module, parametrize.ParametrizationList):
            continue  # the layer that has it is the one to name
        own = {key: p for key, p in module.named_parameters(recurse=False) if p.dim() >= 2}
        if parametrize.is_parametrized(module, "weight"):
            own["weight"] = getattr(module.parametrizations.weight, "original", None)
        if isinstance(module, MATRIX_MODULES) and set(own) == {"weight"}:
            yield name, module, own["weight"]
        elif own:
            yield name, module, None


def _matrix_names(model: nn.Module) -> list[str]:
    return [name for name, _, parameter in _weights(model) if parameter is not None]


def _is_below(name: str, parents: Sequence[str]) -> bool:
    """Whether a module is one of `parents` or within one; '' is the model's own weights."""
    return any(name == parent or name.startswith(f"{parent}.") for parent in parents)
