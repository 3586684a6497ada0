"""From an exported graph to a Network: finds and names the matrix layers, folds BatchNorm, lists what stays digital."""

from __future__ import annotations

import difflib
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node

from xbar.aten import Constants, Product, Unmappable, argument, find_product, is_in_place, is_view, op_name
from xbar.dataflow import Dataflow
from xbar.errors import ModelError
from xbar.frontends.digital_nodes import list_digital
from xbar.frontends.example_run import example_tensors, free_batch, observe_sizes
from xbar.frontends.node_names import name_products
from xbar.frontends.random_nodes import random_problems
from xbar.host import Host
from xbar.network import MatrixLayer, Network
from xbar.rows import dataflow

Products = Mapping[Node, Product | Unmappable]


@dataclass(frozen=True)
class _Found:
    """A matrix layer in the making: where it stands, and its weights with BatchNorm folded in."""

    name: str
    node: Node
    product: Product
    weight: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    bypass: tuple[Node, ...]
    memory: tuple[Any, ...]  # the same for layers that share their weights


def build_network(
    exported: ExportedProgram, example: tuple[Any, ...] | None, digital: tuple[str, ...], name: str
) -> Network:
    """The Network of an exported program; `example` stands in for the example inputs that a program may lack.

    Raises ModelError with every problem found.
    """
    _check_place(exported, name)
    inputs = example_tensors(exported, example, name)
    n, shape = inputs[0].shape[0], tuple(inputs[0].shape[1:])
    nothing = Dataflow((), ())
    bare = Host(Network(name, exported, (), (), (), shape, None, nothing))
    constants = bare.constants
    products = {node: p for node in bare.steps if (p := _product(node, constants)) is not None}
    names = name_products(products, constants)
    kept = _kept_digital(digital, names, name)
    _refuse(products, names, kept, bare.steps, constants, name)
    found = [
        _find(names[node], node, product, constants)
        for node, product in products.items()
        if isinstance(product, Product) and node not in kept
    ]
    if not found:
        hint = "keep fewer layers digital" if kept else "it needs a linear or convolution layer with trained weights"
        raise ModelError(f"{name}: has no product with weights for a crossbar; {hint}")
    _check_finite(found, constants, name)
    sizes = observe_sizes(bare, inputs, name)
    layers = _layers(found, bare.steps, sizes, n)
    bypass = tuple(node.name for f in found for node in f.bypass)
    fixed = free_batch(bare, inputs)
    unlisted = Network(name, exported, layers, bypass, (), shape, fixed, nothing)
    steps = Host(unlisted).steps
    listed = list_digital(steps, layers, bypass, sizes, {m: (names[m], products[m]) for m in kept}, n)
    network = replace(unlisted, digital=listed)
    return replace(network, flow=dataflow(network))


def _check_place(exported: ExportedProgram, name: str) -> None:
    devices = {str(t.device) for t in exported.state_dict.values()} - {"cpu"}
    if devices:
        raise ModelError(f"{name}: weights are on {', '.join(sorted(devices))}; move the model with model.cpu()")


def _product(node: Node, constants: Constants) -> Product | Unmappable | None:
    found = find_product(node, constants)
    if isinstance(found, Product) and not found.operand.meta["val"].is_floating_point():
        return Unmappable(found.operand, f"its weights are {found.operand.meta['val'].dtype}, not real numbers")
    if found is None and isinstance(node.target, torch._ops.HigherOrderOperator):
        return _hidden_product(node, constants)
    return found


def _hidden_product(node: Node, constants: Constants) -> Unmappable | None:
    """Products inside the branches of a control-flow operation, which the host runs as one node."""
    weights = [n for n in node.all_input_nodes if n in constants and n.op != "get_attr" and "val" in n.meta]
    matrices = [n for n in weights if isinstance(n.meta["val"], Tensor) and n.meta["val"].dim() >= 2]
    inner = [constants.value(n) for n in node.all_input_nodes if n.op == "get_attr"]
    products = {"linear", "conv1d", "conv2d", "conv3d", "convolution", "matmul", "mm", "addmm", "einsum"}
    if matrices and any(
        op_name(m) in products for g in inner if isinstance(g, torch.fx.GraphModule) for m in g.graph.nodes
    ):
        return Unmappable(matrices[0], f"it lies inside a {op_name(node)} of the graph")
    return None


def _kept_digital(digital: tuple[str, ...], names: Mapping[Node, str], name: str) -> set[Node]:
    """Nodes that the user keeps digital: a layer by its name, all layers of a module by the module's."""
    kept, problems = set(), []
    for wanted in digital:
        matching = {m for m, n in names.items() if n == wanted or n.startswith((f"{wanted}.", f"{wanted}:"))}
        kept |= matching
        if not matching:
            near = difflib.get_close_matches(wanted, names.values(), 1)
            hint = f"did you mean '{near[0]}'?" if near else f"the layers are {', '.join(names.values())}"
            problems.append(f"{name}: digital: there is no layer '{wanted}'; {hint}")
    if problems:
        raise ModelError(problems)
    return kept


def _refuse(
    products: Products,
    names: Mapping[Node, str],
    kept: set[Node],
    steps: Sequence[Node],
    constants: Constants,
    name: str,
) -> None:
    problems = [
        f"{name}: layer {names[node]} ({op_name(node)}) cannot be mapped to a crossbar: {product.reason}; change it, "
        f"or keep it digital with digital=('{names[node]}',)"
        for node, product in products.items()
        if isinstance(product, Unmappable) and node not in kept
    ]
    for node in steps:
        if (
            "batch_norm" in op_name(node)
            and argument(node, "training", False)
            and argument(node, "running_mean") is not None
        ):
            problems.append(
                f"{name}: {node.name}: exported in training mode; call model.eval() before torch.export.export"
            )
    problems += random_problems(steps, constants, name)
    if problems:
        raise ModelError(problems)


def _find(name: str, node: Node, product: Product, constants: Constants) -> _Found:
    value = constants.value(product.operand)
    weight = product.weight(value)
    memory = (value.data_ptr(), weight.shape, weight.stride())
    bias = None
    if product.bias is not None:
        bias = constants.value(product.bias).to(torch.float64) * product.bias_factor
    bypass = _batch_norm_after(node, product, constants)
    if bypass:
        weight, bias = _fold(bypass[0], weight.to(torch.float64), bias, constants)
    return _Found(
        name,
        node,
        product,
        np.ascontiguousarray(weight.to(torch.float32, copy=True).numpy()),
        None if bias is None else np.ascontiguousarray(bias.to(torch.float32).numpy()),
        bypass,
        memory,
    )


def _batch_norm_after(node: Node, product: Product, constants: Constants) -> tuple[Node, ...]:
    """The BatchNorm that alone takes the product's result and can be folded into it, with what unpacks its result."""
    if len(node.users) != 1:
        return ()
    norm = next(iter(node.users))
    if "batch_norm" not in op_name(norm) or norm.args[0] is not node or argument(norm, "training", False):
        return ()
    statistics = [argument(norm, key) for key in ("running_mean", "running_var")]
    affine = [argument(norm, key) for key in ("weight", "bias")]
    if any(s not in constants for s in statistics) or any(a is not None and a not in constants for a in affine):
        return ()
    dims = node.meta["val"].dim()
    plain = op_name(node) in ("linear", "addmm") or (
        op_name(node) in ("mm", "matmul") and product.operand is node.args[1]
    )
    over_columns = dims == len(product.conv.kernel) + 2 if product.conv is not None else plain and dims == 2
    if not over_columns:
        return ()
    if isinstance(norm.meta["val"], Tensor):
        return (norm,)
    users = list(norm.users)
    unpacked = all(user.target is operator.getitem and user.args[1] == 0 for user in users)
    return (norm, *users) if unpacked else ()


def _fold(norm: Node, weight: Tensor, bias: Tensor | None, constants: Constants) -> tuple[Tensor, Tensor]:
    """w' = w * gamma / sqrt(var + eps), b' = (b - mean) * gamma / sqrt(var + eps) + beta, per output channel."""

    def stored(key: str, default: float) -> Tensor:
        node = argument(norm, key)
        return torch.full_like(variance, default) if node is None else constants.value(node).double()

    variance = constants.value(argument(norm, "running_var")).double()
    factor = stored("weight", 1.0) / torch.sqrt(variance + float(argument(norm, "eps")))
    shifted = -stored("running_mean", 0.0) if bias is None else bias - stored("running_mean", 0.0)
    return weight * factor.reshape(-1, *([1] * (weight.dim() - 1))), shifted * factor + stored("bias", 0.0)


def _check_finite(found: Sequence[_Found], constants: Constants, name: str) -> None:
    problems = []
    for f in found:
        for what, array in (("weights", f.weight), ("biases", f.bias)):
            # NaN and infinity show in the extremes, without a copy of large weights
            if array is not None and array.size and not np.isfinite([array.min(), array.max()]).all():
                bad = int(np.count_nonzero(~np.isfinite(array)))
                problems.append(
                    f"{name}: layer {f.name}: {bad} of its {what} are NaN or infinite; train it again or load an "
                    "earlier checkpoint"
                )
    problems += [
        f"{name}: parameter {path}: holds NaN; train it again or load an earlier checkpoint"
        for path in constants.paths_with_nan()
        if not problems
    ]
    if problems:
        raise ModelError(problems)


def _layers(
    found: Sequence[_Found], steps: Sequence[Node], sizes: Mapping[Node, tuple[int, ...]], n_inputs: int
) -> tuple[MatrixLayer, ...]:
    sources = _sources(steps, {f.node: f.name for f in found})
    first_use: dict[tuple[Any, ...], str] = {}
    layers = []
    for f in found:
        elements = prod(sizes[f.product.activation])
        rows = prod(f.weight.shape[1:])
        n_vectors = prod(sizes[f.node]) // f.weight.shape[0] if f.product.conv is not None else elements // rows
        # one weight with different BatchNorms folded in is as many weights
        tied = first_use.setdefault((*f.memory, f.weight.tobytes() if f.bypass else b""), f.name)
        layers.append(
            MatrixLayer(
                name=f.name,
                node=f.node.name,
                weight=f.weight,
                bias=f.bias,
                conv=f.product.conv,
                groups=f.product.groups,
                sources=sources[f.node],
                vectors_per_input=-(-n_vectors // n_inputs),
                input_elements=-(-elements // n_inputs),
                tied_to=None if tied == f.name else tied,
            )
        )
    return tuple(layers)


def _sources(steps: Sequence[Node], names: Mapping[Node, str]) -> dict[Node, tuple[str, ...]]:
    """For each matrix layer the nearest matrix layers before it, in the order of the graph."""
    order = {name: i for i, name in enumerate(names.values())}
    reach: dict[Node, set[str]] = {}
    result = {}
    for node in steps:
        before = set().union(*(({names[m]} if m in names else reach.get(m, set())) for m in node.all_input_nodes))
        reach[node] = before
        if node in names:
            result[node] = tuple(sorted(before, key=order.__getitem__))
        # what is written into a tensor reaches everyone who reads that tensor later
        target = node
        while (is_in_place(target) or is_view(target)) and is_in_place(node) and isinstance(target.args[0], Node):
            target = target.args[0]
            if target not in names:
                reach[target] = reach.get(target, set()) | before
    return result
