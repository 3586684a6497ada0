"""torch.nn.Module, ExportedProgram or .pt2 file -> Network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.utils import _pytree as pytree

from xbar.errors import ModelError
from xbar.frontends.graph_layers import build_network
from xbar.frontends.tea_model import TEA_NETWORK
from xbar.network import Network
from xbar.pt2 import load_exported, load_extra, load_input_ranges, quiet


def from_torch(
    model: nn.Module | ExportedProgram | str | Path,
    example_input: Tensor | Sequence[Any] | None = None,
    digital: Sequence[str] = (),
    name: str | None = None,
) -> Network:
    """Trace a trained network: every product with weights becomes a matrix layer, the rest stays a torch graph.

    model: any torch.nn.Module that torch.export can trace (it is traced in evaluation mode and left as it was), an
        ExportedProgram, or the path of a `.pt2` file written by torch.export.save.
    example_input: one tensor [batch, ...] or a tuple of the model's arguments; needed for a Module, and for programs
        saved without one.
    digital: names of layers, or of modules holding layers, that stay in torch. The only way to keep a layer off the
        crossbars, also one that cannot be mapped.
    name: of the network in reports; default the class of the module or the stem of the file.

    The first tensor that the model returns is the network's output. BatchNorm is folded into the product before it.
    A file that `xbar train` wrote brings the input ranges that were learned.
    Files: torch.export.load alone unpickles objects, loads libraries and evaluates text that an archive may carry;
    `xbar.pt2.load_exported` refuses such archives first, so that a stranger's file runs no code.

    Raises ModelError, listing every problem: cannot be traced, cannot be read, a product that cannot be mapped, NaN or
    infinite weights, unknown names in `digital`, no matrix layer at all.
    """
    inputs = _arguments(example_input)
    if isinstance(digital, str):
        digital = (digital,)
    if isinstance(model, nn.Module):
        if inputs is None:
            raise ModelError(f"{type(model).__name__}: tracing needs an example input; give a tensor [batch, ...]")
        model = _unwrapped(model)
        exported, used = _export(model, inputs)
        return build_network(exported, used, tuple(digital), name or type(model).__name__)
    if isinstance(model, ExportedProgram):
        return build_network(model, inputs, tuple(digital), name or "network")
    if isinstance(model, str | Path):
        exported = load_exported(model)
        if load_extra(model, TEA_NETWORK) is not None:
            raise ModelError(
                f"{model}: is a network of connection probabilities for spiking cores; run it with `xbar spike {model}`"
            )
        network = build_network(exported, inputs, tuple(digital), name or Path(model).stem)
        return replace(network, input_ranges=_of_layers(network, load_input_ranges(model)))
    raise ModelError(
        "model: expected a torch.nn.Module, a torch.export.ExportedProgram or the path of a .pt2 file, "
        f"got {type(model).__name__}"
    )


def _of_layers(network: Network, by_module: Mapping[str, float]) -> dict[str, float]:
    """Ranges by layer: a module's hold wherever the network uses it, those of modules kept in torch are not needed."""
    names = [(layer.name, layer.name.partition(":")[0]) for layer in network.layers]
    return {name: by_module[module] for name, module in names if module in by_module}


def _arguments(example_input: Tensor | Sequence[Any] | None) -> tuple[Any, ...] | None:
    if example_input is None:
        return None
    if isinstance(example_input, Tensor):
        return (example_input,)
    if isinstance(example_input, tuple | list):
        return tuple(example_input)
    raise ModelError(f"example_input: expected a tensor or a tuple of arguments, got {type(example_input).__name__}")


def _unwrapped(model: nn.Module) -> nn.Module:
    """The user's module inside torch.compile or DataParallel, which cannot be exported themselves."""
    inner = model.module if isinstance(model, nn.DataParallel) else model._modules.get("_orig_mod")
    return model if inner is None else _unwrapped(inner)


def _at_least_two(x: Tensor) -> Tensor:
    """torch.export takes a batch of 1 for a constant; so it sees two."""
    return torch.cat([x, x]) if x.dim() and x.shape[0] == 1 else x


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Evaluation mode and plain attention kernels, everything restored afterwards."""
    training = [(module, module.training) for module in model.modules()]
    fast_path = torch.backends.mha.get_fastpath_enabled()
    try:
        model.eval()
        # fused attention would hide its projections in one opaque operation
        torch.backends.mha.set_fastpath_enabled(False)
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for module, mode in training:
            module.training = mode


def _export(model: nn.Module, inputs: tuple[Any, ...]) -> tuple[ExportedProgram, tuple[Any, ...]]:
    """The program with a free batch, else, where the model insists on it, with the example's; and the example used."""
    free = pytree.tree_map_only(Tensor, _at_least_two, inputs)
    shapes = pytree.tree_map(lambda leaf: {0: Dim.AUTO} if isinstance(leaf, Tensor) and leaf.dim() else None, free)
    # without gradients, a `with torch.no_grad()` inside the model changes nothing and hides no layers
    with _evaluation_mode(model), torch.no_grad(), quiet():
        try:
            exported, used = torch.export.export(model, free, dynamic_shapes=shapes), free
        except Exception as error:  # export fails in as many ways as models do; each becomes one clear line
            try:
                exported, used = torch.export.export(model, inputs), inputs
            except Exception:  # the first failure is the one to tell: it is about the more general program
                raise ModelError(_untraceable(model, error)) from error
    _own_weights(exported)
    return exported, used


def _untraceable(model: nn.Module, error: Exception) -> str:
    return (
        f"{type(model).__name__}: torch.export cannot trace it ({_reason(error)}); replace branches and loops that "
        "depend on the values of tensors (torch.where, torch.cond), check the shape of the example input, or export "
        "the model yourself and give the ExportedProgram"
    )


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:300]}" if lines else type(error).__name__


def _own_weights(exported: ExportedProgram) -> None:
    """Copy the weights, so that training the model further leaves the network as it is; tied ones stay tied."""
    copies: dict[Any, Tensor] = {}
    for stored in (exported.state_dict, exported.constants):
        for key, value in stored.items():
            if not isinstance(value, Tensor):
                continue
            memory = (value.data_ptr(), value.shape, value.stride(), value.dtype)
            if memory not in copies:
                copied = value.detach().clone()
                copies[memory] = nn.Parameter(copied, False) if isinstance(value, nn.Parameter) else copied
            stored[key] = copies[memory]
