"""What the nodes of an exported graph mean: constants, products with weights, in-place operations, views.

Knows torch's ATen operations and nothing of hardware. A product with weights has exactly one operand that is constant
(computed from parameters and buffers alone) and is one linear map of the other operand along one matrix.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind
from torch.fx import Graph, Node

from xbar.network import ConvShape


@dataclass(frozen=True)
class Product:
    """A product with weights at one node: out = after(before(x) . weight^T + bias), or a convolution.

    before, after: rearrangements of axes around a linear product (identity for aten.linear and convolutions).
    weight: from the operand's constant to [col, row] (linear) or [col, channel, *kernel] (convolution).
    """

    activation: Node
    operand: Node
    weight: Callable[[Tensor], Tensor]
    bias: Node | None = None
    bias_factor: float = 1.0
    conv: ConvShape | None = None
    groups: int = 1
    before: Callable[[Tensor], Tensor] = lambda x: x
    after: Callable[[Tensor], Tensor] = lambda y: y


@dataclass(frozen=True)
class Unmappable:
    """A product with weights that no crossbar layer can stand for, and why."""

    operand: Node
    reason: str


_DROPOUT = re.compile("(alpha_|feature_|feature_alpha_)?dropout")


def sizes_of(node: Node) -> tuple[int | None, ...]:
    """Sizes that a node's tensor was traced with; None where a size is free."""
    return tuple(s if isinstance(s, int) else s.node.maybe_as_int() for s in node.meta["val"].shape)


def op_name(node: Node) -> str:
    """Short name of a node's operation: `conv2d`, `add`, `getitem`."""
    target = node.target
    if isinstance(target, torch._ops.OpOverload):
        return target.overloadpacket.__name__
    return str(getattr(target, "__name__", target))


def _schema(node: Node) -> Any:
    return getattr(node.target, "_schema", None)


def is_in_place(node: Node) -> bool:
    """True where the operation writes into one of its arguments (relu_, copy_, ...)."""
    schema = _schema(node)
    return node.op == "call_function" and schema is not None and bool(schema.is_mutable)


def is_view(node: Node) -> bool:
    """True where the result may share memory with the first argument."""
    # a dropout that is switched off hands on its argument itself, whatever its schema says
    if node.target is operator.getitem or _DROPOUT.fullmatch(op_name(node)):
        return True
    schema = _schema(node)
    return schema is not None and any(r.alias_info is not None for r in schema.returns)


def is_random(node: Node) -> bool:
    """True where the operation draws random numbers: not in evaluation mode, and not with a dropout rate of zero."""
    if not isinstance(node.target, torch._ops.OpOverload) or torch.Tag.nondeterministic_seeded not in node.target.tags:
        return False
    if argument(node, "train", argument(node, "training")) is False:
        return False
    rates = [argument(node, key) for key in ("p", "dropout", "dropout_p")]
    return not any(rate is not None and rate == 0 for rate in rates)


def has_training_mode(node: Node) -> bool:
    """True where the operation would draw no random numbers in evaluation mode."""
    names = {a.name for a in _schema(node).arguments}
    return bool(names & {"train", "training", "dropout_p"})


def _written_nodes(graph: Graph) -> set[Node]:
    """Every node whose memory an in-place operation may change, traced back through views."""
    written: set[Node] = set()
    for node in graph.nodes:
        target = node
        if not is_in_place(node):
            continue
        while True:
            written.add(target)
            if not target.args or not isinstance(target.args[0], Node) or not (is_view(target) or is_in_place(target)):
                break
            target = target.args[0]
    return written


def call(node: Node, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What a node's operation gives for these arguments."""
    return cast(Callable[..., Any], node.target)(*args, **kwargs)


class Constants:
    """The nodes of an exported graph that do not depend on the input, and their values (each computed once)."""

    def __init__(self, exported: ExportedProgram) -> None:
        self._exported = exported
        self._values: dict[Node, Any] = {}
        self._targets: dict[str, tuple[InputKind, str]] = {}
        self.literals: dict[str, Any] = {}
        for spec in exported.graph_signature.input_specs:
            if isinstance(spec.arg, ConstantArgument):
                self.literals[spec.arg.name] = spec.arg.value
            elif spec.kind != InputKind.USER_INPUT and spec.target is not None:
                self._targets[spec.arg.name] = (spec.kind, spec.target)
        self.written = _written_nodes(exported.graph)
        self.nodes: set[Node] = set()
        for node in exported.graph.nodes:
            if self._is_constant(node):
                self.nodes.add(node)

    def _is_constant(self, node: Node) -> bool:
        if node in self.written:
            return False
        if node.op == "placeholder":
            return node.name in self._targets or node.name in self.literals
        if node.op == "get_attr":
            return True
        return (
            node.op == "call_function"
            and not is_in_place(node)
            and not is_random(node)
            and all(n in self.nodes for n in node.all_input_nodes)
        )

    def __contains__(self, node: object) -> bool:
        return node in self.nodes

    def target(self, node: Node) -> str | None:
        """The parameter's or buffer's path in the user's model (`layer1.0.conv1.weight`), None for other nodes."""
        found = self._targets.get(node.name)
        return found[1] if node.op == "placeholder" and found else None

    def value(self, node: Node) -> Any:
        """The node's value; keep it unchanged. Parameters come detached."""
        if node not in self._values:
            self._values[node] = self._evaluate(node)
        return self._values[node]

    def stored(self, node: Node) -> Any:
        """The stored tensor or literal behind a placeholder."""
        if node.name in self.literals:
            return self.literals[node.name]
        target = self._targets[node.name][1]
        state = self._exported.state_dict
        found = state[target] if target in state else self._exported.constants[target]
        return found.detach() if isinstance(found, Tensor) else found

    def paths_with_nan(self) -> list[str]:
        """Paths of the stored tensors that hold NaN (infinity is legitimate in masks)."""
        stored = {**self._exported.state_dict, **self._exported.constants}
        floats = {path: t for path, t in stored.items() if isinstance(t, Tensor) and t.is_floating_point()}
        return [path for path, tensor in floats.items() if tensor.numel() and bool(tensor.min().isnan())]

    def _evaluate(self, node: Node) -> Any:
        if node.op == "placeholder":
            return self.stored(node)
        if node.op == "get_attr":
            return operator.attrgetter(str(node.target))(self._exported.graph_module)
        args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), self.value)
        with torch.no_grad():
            return call(node, args, kwargs)


# Products that have weights but no single matrix: named in an error unless the user keeps them digital.
_NO_MATRIX = {
    "conv_transpose1d": "a transposed convolution scatters its outputs; there is no unrolling of it yet",
    "conv_transpose2d": "a transposed convolution scatters its outputs; there is no unrolling of it yet",
    "conv_transpose3d": "a transposed convolution scatters its outputs; there is no unrolling of it yet",
    "conv_tbc": "conv_tbc is not a standard convolution; use nn.Conv1d",
    "bilinear": "a bilinear form multiplies two inputs with a weight cube, not one input with a matrix",
    "lstm": "the recurrent loop is hidden in one operation",
    "gru": "the recurrent loop is hidden in one operation",
    "rnn_tanh": "the recurrent loop is hidden in one operation",
    "rnn_relu": "the recurrent loop is hidden in one operation",
    "lstm_cell": "the gates of the cell are fused in one operation",
    "gru_cell": "the gates of the cell are fused in one operation",
    "rnn_tanh_cell": "the cell is fused in one operation",
    "rnn_relu_cell": "the cell is fused in one operation",
    "_native_multi_head_attention": "fused attention hides its projections; export the module itself, or export with "
    "torch.backends.mha.set_fastpath_enabled(False)",
    "_transformer_encoder_layer_fwd": "the fused encoder layer hides its products; export the module itself, or export "
    "with torch.backends.mha.set_fastpath_enabled(False)",
    "addbmm": "a sum over a batch of matrices",
    "linalg_multi_dot": "a chain of matrices in one operation",
    "chain_matmul": "a chain of matrices in one operation",
    "_scaled_mm": "scaled 8-bit product; give the float model",
    "_int_mm": "integer product; give the float model",
    "mkldnn_rnn_layer": "the recurrent loop is hidden in one operation",
}


def find_product(node: Node, constants: Constants) -> Product | Unmappable | None:
    """What product with weights the node is, if any."""
    if node.op != "call_function" or node in constants or not isinstance(node.target, torch._ops.OpOverload):
        return None
    if node.target.namespace != "aten":
        return None
    name = op_name(node)
    if name == "linear":
        return _linear(node, constants)
    if name in ("conv1d", "conv2d", "conv3d", "convolution"):
        return _convolution(node, constants)
    if name in ("matmul", "mm", "bmm", "mv", "dot"):
        return _matmul(_given(node)[0], _given(node)[1], constants)
    if name in ("addmm", "baddbmm", "addmv"):
        return _addmm(node, constants)
    if name == "einsum":
        return _einsum(node, constants)
    if name in _NO_MATRIX:
        operand = next((n for n in node.all_input_nodes if n in constants and _dims(n) >= 2), None)
        return Unmappable(operand, _NO_MATRIX[name]) if operand else None
    return None


def columns(product: Product) -> int:
    """Columns of a product's matrix (all groups together)."""
    sizes = [int(s) for s in product.operand.meta["val"].shape]
    return int(product.weight(torch.empty(sizes, device="meta")).shape[0])


def _given(node: Node) -> list[Any]:
    return list(node.args)


def _dims(node: Node) -> int:
    value = node.meta.get("val")
    return value.dim() if isinstance(value, Tensor) else 0


def argument(node: Node, name: str, default: Any = None) -> Any:
    """An argument by its schema name, wherever it was given."""
    schema = _schema(node)
    for index, argument in enumerate(schema.arguments):
        if argument.name == name:
            if index < len(node.args):
                return node.args[index]
            return node.kwargs.get(name, argument.default_value if argument.has_default_value() else default)
    return default


def _with_bias(product: Product, bias: Any, constants: Constants) -> Product | Unmappable:
    if bias is None:
        return product
    if bias not in constants:
        return Unmappable(product.operand, "its bias is computed from the input")
    return replace(product, bias=bias)


def _linear(node: Node, constants: Constants) -> Product | Unmappable | None:
    x, weight, bias = _given(node)[0], _given(node)[1], argument(node, "bias")
    if weight not in constants:
        if x in constants:
            return Unmappable(x, "F.linear with a constant input and computed weights; write weights @ input")
        return None
    if _dims(weight) != 2:
        return _matmul(x, weight, constants) if bias is None else Unmappable(weight, "its weight is not a matrix")
    return _with_bias(Product(x, weight, lambda w: w), bias, constants)


def _per_axis(value: Any, n: int) -> tuple[int, ...]:
    values = tuple(int(v) for v in (value if isinstance(value, list | tuple) else [value]))
    return values * n if len(values) == 1 else values


def _convolution(node: Node, constants: Constants) -> Product | Unmappable | None:
    x, weight = _given(node)[0], _given(node)[1]
    if weight not in constants:
        return Unmappable(x, "a convolution of constants with computed kernels") if x in constants else None
    if argument(node, "transposed", False):
        return Unmappable(weight, _NO_MATRIX["conv_transpose2d"])
    shape = tuple(int(s) for s in weight.meta["val"].shape)
    n = len(shape) - 2
    dilation = _per_axis(argument(node, "dilation", 1), n)
    padding: Any = argument(node, "padding", 0)
    if padding == "valid":
        sides = ((0, 0),) * n
    elif padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, shape[2:], strict=True)]
        sides = tuple((t // 2, t - t // 2) for t in total)
    else:
        sides = tuple((p, p) for p in _per_axis(padding, n))
    conv = ConvShape(shape[2:], _per_axis(argument(node, "stride", 1), n), sides, dilation)
    groups = int(argument(node, "groups", 1))
    product = Product(x, weight, lambda w: w, conv=conv, groups=groups)
    return _with_bias(product, argument(node, "bias"), constants)


def _transpose(x: Tensor) -> Tensor:
    return x.transpose(-1, -2)


def _matrix(w: Tensor) -> Tensor:
    """The one matrix of a stack [1, ..., row, col]."""
    return w.reshape(w.shape[-2:])


def _matmul(left: Any, right: Any, constants: Constants) -> Product | Unmappable | None:
    if right not in constants and left not in constants:
        return None
    operand, x = (right, left) if right in constants else (left, right)
    dims, vector = _dims(operand), _dims(x) == 1
    if dims == 1:
        rows = Product(x, operand, lambda w: w.unsqueeze(0), after=lambda y: y.squeeze(-1))
        return rows if operand is right or vector else replace(rows, before=_transpose)
    if any(size != 1 for size in operand.meta["val"].shape[:-2]):
        return Unmappable(operand, "a different matrix for every batch entry")
    n_more = max(0, dims - max(_dims(x), 2))  # axes of size 1 that the result takes from a stack of one matrix

    def stacked(y: Tensor) -> Tensor:
        return y.reshape(*[1] * n_more, *y.shape)

    if operand is right:
        return Product(x, operand, lambda w: _matrix(w).t(), after=stacked)
    if vector:
        return Product(x, operand, _matrix, after=stacked)
    return Product(x, operand, _matrix, before=_transpose, after=lambda y: stacked(_transpose(y)))


def _addmm(node: Node, constants: Constants) -> Product | Unmappable | None:
    product = _matmul(_given(node)[1], _given(node)[2], constants)
    if not isinstance(product, Product):
        return product
    beta, alpha = float(argument(node, "beta", 1)), float(argument(node, "alpha", 1))
    bias = _given(node)[0]
    # only a vector along the columns is a bias: a full matrix, or a vector along the rows, is another sum
    along_columns = product.operand is _given(node)[2] and _dims(product.operand) >= 2
    if bias not in constants or _dims(bias) != 1 or not along_columns:
        return Unmappable(product.operand, "its summand is not a bias along the columns; write x @ w + summand")
    inner = product.weight
    return replace(product, weight=lambda w: inner(w) * alpha, bias=bias, bias_factor=beta)


def _einsum(node: Node, constants: Constants) -> Product | Unmappable | None:
    operands = list(_given(node)[1])
    constant = [n for n in operands if n in constants]
    if not constant or len(constant) == len(operands):
        return None
    operand = constant[0]
    if len(operands) != 2:
        return Unmappable(operand, "an einsum of more than two operands; multiply two at a time")
    equation = str(_given(node)[0]).replace(" ", "")
    side = operands.index(operand)
    x = operands[1 - side]
    parsed = _einsum_axes(equation, side, _dims(x), _dims(operand))
    refused = Unmappable(operand, f"einsum '{equation}' is not one matrix applied to every input vector")
    if parsed is None:
        return refused
    x_order, w_order, n_free, out_order = parsed
    n_kept = _dims(x) - (_dims(operand) - n_free)
    summed = zip(x_order[n_kept:], w_order[n_free:], strict=True)
    if any(sizes_of(x)[i] != operand.meta["val"].shape[j] for i, j in summed):
        return refused  # einsum spreads an axis of size 1 over the other operand's
    free = tuple(int(operand.meta["val"].shape[a]) for a in w_order[:n_free])

    def weight(w: Tensor) -> Tensor:
        rows = w.permute(w_order)
        return rows.reshape(*([-1] if n_free else [1]), int(torch.tensor(rows.shape[n_free:]).prod()))

    return Product(
        x,
        operand,
        weight,
        before=lambda t: t.permute(x_order).flatten(n_kept),
        after=lambda y: y.reshape(*y.shape[:-1], *free).permute(out_order),
    )


def _einsum_axes(
    equation: str, side: int, x_dims: int, w_dims: int
) -> tuple[list[int], list[int], int, list[int]] | None:
    """Axis orders of a two-operand einsum as one matrix product: x [kept, summed], w [free, summed], out; or None."""
    if "->" not in equation:
        letters = equation.replace(",", "")
        equation += "->" + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))
    inputs, out = equation.split("->")
    terms = inputs.split(",")
    w, x = terms[side], terms[1 - side]
    if "." in w:
        return None
    if "..." in x:
        fresh = [c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in equation][: x_dims - len(x) + 3]
        x, out = x.replace("...", "".join(fresh)), out.replace("...", "".join(fresh))
    summed = [c for c in w if c in x and c not in out]
    free = [c for c in w if c not in x]
    kept = [c for c in x if c not in summed]
    unique = all(len(set(term)) == len(term) for term in (w, x, out))
    if not unique or len(summed) + len(free) != w_dims or set(out) != set(kept + free) or not summed:
        return None
    natural = kept + free
    return (
        [x.index(c) for c in kept + summed],
        [w.index(c) for c in free + summed],
        len(free),
        [natural.index(c) for c in out],
    )
