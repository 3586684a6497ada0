"""The digital host: walks the exported graph in torch and hands every matrix layer to whoever computes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, TensorArgument
from torch.fx import Node
from torch.fx.node import map_arg
from torch.nn import functional

from xbar.aten import Constants, Product, call, find_product, is_in_place, sizes_of
from xbar.errors import DataError
from xbar.kernels.unroll import Unrolling, unroll
from xbar.network import ConvShape, MatrixLayer, Network

Compute = Callable[[int, MatrixLayer, Tensor], Tensor]


def run(network: Network, inputs: Tensor | Sequence[Tensor], compute: Compute | None = None) -> Tensor:
    """Output of the network for a batch of any size; `compute` stands in for the matrix layers.

    inputs: [batch, ...] in the type the model was traced with, or one tensor per argument of the model.
    compute(i, layer, x): the layer's output (bias included) for its activations x: [..., row] for a linear layer,
        [batch, channel, *space] for a convolution, always float32. None computes the float product with the folded
        weights. Where the graph insists on a batch size, the batch is split and its last part filled up with zeros,
        which `compute` sees too.
    Raises DataError for a wrong shape, type or number of inputs, and for NaN or infinity in them.
    """
    return Host(network).run(inputs, compute)


class Host:
    """A network's graph made ready to run many times: constants evaluated once, dead nodes dropped.

    steps: the nodes that run, in order, matrix layers and inputs included.
    constants: the nodes that do not depend on the input, with their values.
    products: what product each matrix layer's node is, by the node's name.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.constants = Constants(network.exported)
        self._layers = {layer.node: i for i, layer in enumerate(network.layers)}
        self._bypass = frozenset(network.bypass)
        self._placeholders = user_inputs(network.exported)
        self.steps, self._last_use = self._plan()
        self.products: dict[str, Product] = {}
        for node in self.steps:
            if node.name in self._layers:
                product = find_product(node, self.constants)
                if not isinstance(product, Product):
                    raise ValueError(f"node {node.name} of the graph is no product with weights")
                self.products[node.name] = product

    def run(self, inputs: Tensor | Sequence[Tensor], compute: Compute | None = None) -> Tensor:
        """As the function `run`."""
        tensors = self._checked(inputs)
        chosen = compute if compute is not None else float_product
        fixed = self.network.fixed_batch
        with torch.no_grad():
            if fixed is None:
                return self._first_tensor(self._walk(tensors, chosen))
            n, parts = tensors[0].shape[0], []
            for start in range(0, n, fixed):
                chunk = [
                    _filled(t[start : start + fixed], fixed) if _is_batched(p, self._placeholders[0]) else t
                    for p, t in zip(self._placeholders, tensors, strict=True)
                ]
                parts.append(self._first_tensor(self._walk(chunk, chosen)))
            return torch.cat(parts)[:n]

    def observe(self, inputs: Sequence[Tensor], see: Callable[[Node, Any], None]) -> None:
        """Run in float and show every node's value as it is computed."""
        with torch.no_grad():
            self._walk(list(inputs), float_product, see)

    def _inputs_of(self, node: Node) -> list[Node]:
        """The nodes whose values a step needs: a matrix layer takes its activations only."""
        if node.name in self._layers:
            product = find_product(node, self.constants)
            return [product.activation] if isinstance(product, Product) else []
        if node.name in self._bypass:
            return [node.all_input_nodes[0]]
        return list(node.all_input_nodes)

    def _plan(self) -> tuple[list[Node], dict[Node, list[Node]]]:
        graph = self.network.exported.graph
        needed: set[Node] = set()
        for node in reversed(list(graph.nodes)):
            if node.op == "output" or is_in_place(node) or node in needed:
                needed.add(node)
                needed.update(self._inputs_of(node))
        steps = [n for n in graph.nodes if n in needed and n not in self.constants and n.op != "output"]
        users: dict[Node, Node] = {}
        for node in steps:
            for source in self._inputs_of(node):
                users[source] = node
        kept = set(self._output_node().all_input_nodes)
        last: dict[Node, list[Node]] = {}
        for source, user in users.items():
            if source not in kept and source not in self.constants:
                last.setdefault(user, []).append(source)
        return steps, last

    def _output_node(self) -> Node:
        return next(n for n in self.network.exported.graph.nodes if n.op == "output")

    def _walk(self, inputs: list[Tensor], compute: Compute, see: Callable[[Node, Any], None] | None = None) -> Any:
        constants, values = self.constants, dict[Node, Any]()
        given = dict(zip((n.name for n in self._placeholders), inputs, strict=True))

        def value(node: Node) -> Any:
            return constants.value(node) if node in constants else values[node]

        for node in self.steps:
            if node.op == "placeholder":
                result = given[node.name] if node.name in given else constants.stored(node)
                # the graph writes into this tensor: the caller's and the stored one stay as they are
                result = result.clone() if node in constants.written and isinstance(result, Tensor) else result
            elif node.name in self._layers:
                index = self._layers[node.name]
                result = self._layer_output(node, index, value(self.products[node.name].activation), compute)
            elif node.name in self._bypass:
                result = value(node.all_input_nodes[0])
            else:
                args, kwargs = map_arg((node.args, node.kwargs), value)
                result = call(node, args, kwargs)
            values[node] = result
            if see is not None:
                see(node, result)
            for dead in self._last_use.get(node, ()):
                del values[dead]
        return map_arg(self._output_node().args[0], value)

    def _layer_output(self, node: Node, index: int, x: Tensor, compute: Compute) -> Tensor:
        product = self.products[node.name]
        y = compute(index, self.network.layers[index], product.before(x).to(torch.float32))
        return product.after(y).to(x.dtype)

    def _first_tensor(self, outputs: Any) -> Tensor:
        specs = self.network.exported.graph_signature.output_specs
        for spec, out in zip(specs, outputs, strict=True):
            if spec.kind.name == "USER_OUTPUT" and isinstance(spec.arg, TensorArgument):
                return out
        raise DataError(f"network {self.network.name}: returns no tensor")

    def _checked(self, inputs: Tensor | Sequence[Tensor]) -> list[Tensor]:
        tensors = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        name, wanted = self.network.name, self._placeholders
        if len(tensors) != len(wanted):
            raise DataError(
                f"{name}: takes {len(wanted)} input tensors, got {len(tensors)}; give a tuple of {len(wanted)}"
            )
        problems: list[str] = []
        batches = set()
        for node, x in zip(wanted, tensors, strict=True):
            batched = _is_batched(node, wanted[0])
            problems += _input_problems(f"{name}: input '{node.name}'", node, x, batched)
            if batched and isinstance(x, Tensor) and x.dim():
                batches.add(x.shape[0])
        if not problems and len(batches) > 1:
            problems.append(f"{name}: the inputs have different batch sizes, {sorted(batches)}; give one size")
        if problems:
            raise DataError(problems)
        return tensors


def user_inputs(exported: ExportedProgram) -> list[Node]:
    """Placeholders that the caller fills, in order."""
    names = [
        s.arg.name
        for s in exported.graph_signature.input_specs
        if s.kind == InputKind.USER_INPUT and not isinstance(s.arg, ConstantArgument)
    ]
    by_name = {n.name: n for n in exported.graph.nodes if n.op == "placeholder"}
    return [by_name[n] for n in names]


def _is_batched(node: Node, first: Node) -> bool:
    """Whether an input's first axis is the batch: it has a free size, or the size of the first input's."""
    sizes, reference = sizes_of(node), sizes_of(first)
    return len(sizes) > 0 and (sizes[0] is None or sizes[0] == (reference or (None,))[0])


def _input_problems(where: str, node: Node, x: object, batched: bool) -> Iterator[str]:
    expected, wanted = node.meta["val"], sizes_of(node)
    sizes = ["any" if s is None else str(s) for s in wanted]
    sizes[:1] = ["batch"] if batched else sizes[:1]
    text = f"[{', '.join(sizes)}] of {expected.dtype}"
    if not isinstance(x, Tensor):
        yield f"{where}: expected a tensor {text}, got {type(x).__name__}; convert it with torch.as_tensor"
        return
    fits = x.dim() == len(wanted) and all(
        e is None or e == s or (axis == 0 and batched) for axis, (e, s) in enumerate(zip(wanted, x.shape, strict=True))
    )
    if not fits:
        yield f"{where}: expected shape {text}, got {list(x.shape)}; reshape the data or trace the model with it"
    elif batched and x.shape[0] == 0:
        yield f"{where}: expected at least one input, got an empty batch"
    if x.dtype != expected.dtype:
        yield f"{where}: expected {expected.dtype}, got {x.dtype}; convert it with x.to({expected.dtype})"
    elif x.is_floating_point() and not bool(torch.isfinite(x).all()):
        yield f"{where}: holds NaN or infinity; clean the data"


def _filled(x: Tensor, size: int) -> Tensor:
    if x.shape[0] == size:
        return x
    return torch.cat([x, x.new_zeros(size - x.shape[0], *x.shape[1:])])


def float_product(_index: int, layer: MatrixLayer, x: Tensor) -> Tensor:
    """The layer's product in float32 with the folded weights: what the graph's node computes."""
    weight = torch.from_numpy(layer.weight)
    bias = None if layer.bias is None else torch.from_numpy(layer.bias)
    if layer.conv is None:
        return functional.linear(x, weight, bias)
    return convolve(x, weight, bias, layer.conv, layer.groups)


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None, conv: ConvShape, groups: int) -> Tensor:
    """Convolution of N space axes with its own padding before and after each axis."""
    n = len(conv.kernel)
    function = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}[n]
    if all(before == after for before, after in conv.padding):
        padding: Any = tuple(before for before, _ in conv.padding)
    else:
        x, padding = _padded(x, conv), (0,) * n
    return function(x, weight, bias, conv.stride, padding, conv.dilation, groups)


def _padded(x: Tensor, conv: ConvShape) -> Tensor:
    sides = [side for pair in reversed(conv.padding) for side in pair]
    return functional.pad(x, sides) if any(sides) else x


def output_space(space: Sequence[int], conv: ConvShape) -> tuple[int, ...]:
    """Sizes of a convolution's output axes for the sizes of its input axes (without padding)."""
    return tuple(
        (size + sum(pad) - dilation * (kernel - 1) - 1) // stride + 1
        for size, kernel, stride, pad, dilation in zip(
            space, conv.kernel, conv.stride, conv.padding, conv.dilation, strict=True
        )
    )


def vectors(x: Tensor, conv: ConvShape | None, groups: int) -> Tensor:
    """The input vectors of a matrix layer: [vector, group, row] (im2col), of x's type.

    Linear: x [..., row] with all leading axes flattened, one group. Convolution: x [batch, channel, *space]; vectors
    run over (batch, *output space), rows over (channel of the group, *kernel) as in `weight[j].ravel()`.
    Works on integers too: unrolling one-byte integers moves a quarter of the memory.
    """
    if conv is None:
        return x.reshape(-1, 1, x.shape[-1])
    n = len(conv.kernel)
    if x.dim() == n + 1:
        x = x.unsqueeze(0)
    out = output_space(x.shape[2:], conv)
    x = _padded(x, conv)
    if n < 3:
        sizes = Unrolling(_pair(out), _pair(conv.kernel), _pair(conv.stride), _pair(conv.dilation))
        images = x.reshape(*x.shape[:2], *(1, *x.shape[2:])[-2:])
        unrolled = torch.from_numpy(unroll(images.numpy(), sizes))
    else:
        unrolled = _windows(x, out, conv)
    return unrolled.reshape(x.shape[0] * prod(out), groups, -1)


def _pair(sizes: Sequence[int]) -> tuple[int, int]:
    """A one-dimensional convolution is one over a single row."""
    return (1, sizes[0]) if len(sizes) == 1 else (sizes[0], sizes[1])


def _windows(x: Tensor, out: tuple[int, ...], conv: ConvShape) -> Tensor:
    """A view [batch, *output space, channel, *kernel] of padded x."""
    axes = x.stride()[2:]
    steps = tuple(s * step for s, step in zip(axes, conv.stride, strict=True))
    taps = tuple(s * step for s, step in zip(axes, conv.dilation, strict=True))
    sizes = (x.shape[0], *out, x.shape[1], *conv.kernel)
    return x.as_strided(sizes, (x.stride(0), *steps, x.stride(1), *taps), x.storage_offset())


def fold_back(y: Tensor, x_shape: Sequence[int], conv: ConvShape | None) -> Tensor:
    """From results [vector, group, col] to the layer's output [..., col_total] or [batch, col_total, *output space]."""
    total = y.shape[1] * y.shape[2]
    if conv is None:
        return y.reshape(*x_shape[:-1], total)
    n = len(conv.kernel)
    out = output_space(x_shape[-n:], conv)
    folded = y.reshape(-1, *out, total).movedim(-1, 1).contiguous()
    return folded.squeeze(0) if len(x_shape) == n + 1 else folded
