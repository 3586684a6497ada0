"""A ReLU network's graph as affine maps between its ReLUs; refuses by name what has no rate-coded form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse
from torch import Tensor
from torch.export.graph_signature import TensorArgument
from torch.fx import Node
from torch.fx.node import map_arg
from torch.nn import functional

from xbar.aten import Constants, Product, argument, call, find_product, is_in_place, is_view, op_name
from xbar.errors import DataError, ModelError
from xbar.host import Host, convolve, user_inputs
from xbar.network import Network

_CHUNK = 256  # lines that are pushed through the graph at once
_NOISE = 1e-6  # entries of a map below this part of its largest are rounding
_POOL = re.compile(r"(adaptive_)?avg_pool[123]d|mean")
_MOVES = re.compile(
    r"""_?(unsafe_)?view(_copy)? | reshape | (un)?flatten | (un)?squeeze | permute | transpose | t | contiguous | clone
    | alias | detach | (alpha_|feature_|native_)?dropout | expand | slice | select | narrow | split.* | chunk | unbind
    | getitem | cat | concat(enate)? | stack | (constant_)?pad(_nd)? | flip | to | _to_copy | sum | neg
    | add | sub | rsub | identity""",
    re.VERBOSE,
)
_SOFTMAX = re.compile("_?(log_)?softmax")
_REMEDIES = {
    "max_pool|amax|^max$|^maximum$": "use nn.AvgPool2d, or a stride in the convolution before",
    "elu|silu|mish|sigmoid|tanh|hardswish|soft(plus|sign)|glu|shrink|threshold|clamp|^abs$|^exp$": "use nn.ReLU",
    "softmax": "it can stand at the very end alone, where it is left out",
    "norm": "use BatchNorm after a linear or convolution layer, where it is folded into the weights",
    "attention|matmul|mm|einsum|mul|div|dot": "it multiplies or divides activations, and neurons only add",
    "lstm|gru|rnn": "unroll the recurrent loop, or use a feed-forward network",
}
_DEFAULT_REMEDY = "use linear and convolution layers with nn.ReLU, average pooling, sums and reshapes"


@dataclass(frozen=True, eq=False)
class Cut:
    """A node whose value neurons carry as rates: the input, a ReLU, a pooling with neurons of its own, the output.

    cap: the largest value, where the activation has one. values: float64 [batch, line], seen in calibration.
    """

    node: Node
    cap: float
    values: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class AffineMap:
    """z = sum over sources of x_s . matrix_s + bias, matrix [line of the source, neuron], bias [neuron]."""

    sources: tuple[Cut, ...]
    matrices: tuple[sparse.csc_array, ...]
    bias: NDArray[np.float64]

    @property
    def fan_in(self) -> int:
        """Largest number of lines that a neuron has."""
        return int(np.max(sum(np.diff(m.indptr) for m in self.matrices), initial=0))


class RateGraph:
    """The graph of a network that rates can carry, with what its activations are for calibration inputs.

    Raises ModelError with everything that has no rate-coded form, DataError for inputs that the network does not take.
    """

    def __init__(self, network: Network, calibration: Tensor) -> None:
        self.network = network
        self._host = Host(network)
        self._constants: Constants = self._host.constants
        self._matrices = {layer.node: layer for layer in network.layers}
        self._bypass = frozenset(network.bypass)
        self.softmax = False
        self.output = self._output()
        self.relus = [n for n in self._host.steps if _relu_cap(n) is not None]
        self._check(calibration)
        self._sizes: dict[Node, tuple[int, ...]] = {}
        self.cuts: dict[Node, Cut] = {}
        self._seen = self._observe(calibration)
        self.input = self.cut(user_inputs(network.exported)[0])

    def cut(self, node: Node) -> Cut:
        """Makes a node's value one that neurons carry; maps end at it from now on."""
        cap = _relu_cap(node)
        self.cuts[node] = Cut(node, inf if cap is None else cap, self._seen[node])
        return self.cuts[node]

    @property
    def is_classifier(self) -> bool:
        """Whether the output is [batch, class]."""
        size = self._sizes[self.output]
        return len(size) == 2 and size[0] == 1

    def layer_name(self, node: Node) -> str:
        """The last matrix layer on the way to a node since the cut before, else the node's own name."""
        found = [n for n in self._way_to(node) if n.name in self._matrices]
        return self._matrices[found[-1].name].name if found else node.name

    def pools_before(self, node: Node) -> list[Node]:
        """Poolings on the way to a node whose values cannot be negative, so that neurons can carry them."""
        way = [n for n in self._way_to(node) if _POOL.fullmatch(op_name(n)) and n is not node]
        return [n for n in way if self._origin(n.all_input_nodes[0]) in self.cuts]

    def map_to(self, node: Node) -> AffineMap:
        """The affine map to a node from the cuts before it; for a ReLU to what it is applied to.

        Found by pushing the rows of the unit matrix through the nodes in between, in float64.
        """
        way = self._way_to(node)
        target = node.all_input_nodes[0] if _relu_cap(node) is not None else node
        sources = [c for c in self.cuts.values() if any(c.node in self._inputs_of(n) for n in way) or c.node is target]
        chunk = self.network.fixed_batch or _CHUNK
        try:
            bias = self._push(way, target, {}, 1 if self.network.fixed_batch is None else chunk)[0]
            matrices = [self._matrix(way, target, cut, bias, chunk) for cut in sources]
        except (RuntimeError, ValueError) as error:  # a shape that holds for the traced batch alone
            raise ModelError(
                f"{self.network.name}: {node.name}: cannot be followed for single inputs ({error}); keep the inputs of "
                "a batch apart from each other"
            ) from error
        used = [(c, m) for c, m in zip(sources, matrices, strict=True) if m.nnz]
        found = AffineMap(tuple(c for c, _ in used), tuple(m for _, m in used), bias)
        self._verify(node, found)
        return found

    def _matrix(
        self, way: Sequence[Node], target: Node, cut: Cut, bias: NDArray[np.float64], chunk: int
    ) -> sparse.csc_array:
        n_lines, parts = cut.values.shape[1], []
        for first in range(0, n_lines, chunk):
            rows = torch.zeros(chunk, n_lines, dtype=torch.float64)
            count = min(chunk, n_lines - first)
            rows[torch.arange(count), first + torch.arange(count)] = 1
            part = self._push(way, target, {cut.node: rows}, chunk)[:count] - bias
            part[np.abs(part) < _NOISE * np.abs(part).max(initial=0)] = 0
            parts.append(sparse.csr_array(part))
        return sparse.csc_array(sparse.vstack(parts))

    def _push(self, way: Sequence[Node], target: Node, given: dict[Node, Tensor], n: int) -> NDArray[np.float64]:
        """Values [n, element] of the target for n rows of the given cuts, the other cuts being zero."""
        values: dict[Node, Any] = {}

        def value(node: Node) -> Any:
            if node in self._constants:
                stored = self._constants.value(node)
                return stored.double() if isinstance(stored, Tensor) and stored.is_floating_point() else stored
            if node in self.cuts and node not in values:
                size, lines = self._sizes[node], self.cuts[node].values.shape[1]
                rows = given.get(node, torch.zeros(n, lines, dtype=torch.float64))
                values[node] = rows.reshape(n * size[0], *size[1:]).clone()
            return values[node]

        with torch.no_grad():
            for node in way:
                values[node] = self._step(node, value, n)
            return np.asarray(value(target).reshape(n, -1).numpy(), np.float64)

    def _step(self, node: Node, value: Any, n: int) -> Any:
        if op_name(node) == "sym_size":
            sizes = self._sizes[node.all_input_nodes[0]]
            return n * sizes[0] if node.args[1] == 0 else sizes[int(node.args[1])]  # type: ignore[arg-type]
        if node.name in self._matrices:
            layer, product = self._matrices[node.name], find_product(node, self._constants)
            assert isinstance(product, Product)  # the host has checked it
            weight = torch.from_numpy(layer.weight).double()
            bias = None if layer.bias is None else torch.from_numpy(layer.bias).double()
            x = product.before(value(product.activation))
            if layer.conv is None:
                return product.after(functional.linear(x, weight, bias))
            return product.after(convolve(x, weight, bias, layer.conv, layer.groups))
        if node.name in self._bypass:
            return value(node.all_input_nodes[0])
        args, kwargs = map_arg((node.args, node.kwargs), value)
        return call(node, args, kwargs)

    def _inputs_of(self, node: Node) -> list[Node]:
        """The nodes whose values a step takes; a size asks for no value."""
        if op_name(node) == "sym_size":
            return []
        if node.name in self._matrices:
            product = find_product(node, self._constants)
            return [product.activation] if isinstance(product, Product) else []
        if node.name in self._bypass:
            return [node.all_input_nodes[0]]
        return [n for n in node.all_input_nodes if n not in self._constants]

    def _way_to(self, node: Node) -> list[Node]:
        """The steps between the cuts and a node, the node included; a ReLU itself is not."""
        needed: set[Node] = set()
        todo = [*self._inputs_of(node)] if _relu_cap(node) is not None else [node]
        while todo:
            step = todo.pop()
            if step not in needed and (step not in self.cuts or step is node):
                needed.add(step)
                todo += self._inputs_of(step)
        return [n for n in self._host.steps if n in needed]

    def _origin(self, node: Node) -> Node:
        """Where a node's values come from, moves aside."""
        while node not in self.cuts and (is_view(node) or node.name in self._bypass):
            node = node.all_input_nodes[0]
        return node

    def _verify(self, node: Node, found: AffineMap) -> None:
        """The map must give what the network itself computed: else the batch's inputs are mixed on the way."""
        z = found.bias + sum(c.values @ m for c, m in zip(found.sources, found.matrices, strict=True))
        cap = _relu_cap(node)
        z = z if cap is None else np.clip(z, 0, cap)
        error, largest = np.abs(z - self._seen[node]).max(initial=0), np.abs(self._seen[node]).max(initial=0)
        if error > 1e-3 * max(largest, 1e-3):
            raise ModelError(
                f"{self.network.name}: {node.name}: is no fixed sum of the activations before it, off by {error:.3g}; "
                "keep the inputs of a batch apart from each other"
            )

    def _output(self) -> Node:
        """The node whose values are the network's output, before a softmax."""
        end = next(n for n in self.network.exported.graph.nodes if n.op == "output")
        specs = self.network.exported.graph_signature.output_specs
        both = zip(specs, end.args[0], strict=True)
        node: Any = next(a for s, a in both if s.kind.name == "USER_OUTPUT" and isinstance(s.arg, TensorArgument))
        if _SOFTMAX.fullmatch(op_name(node)):
            self.softmax = True
            return node.all_input_nodes[0]
        return node

    def _observe(self, calibration: Tensor) -> dict[Node, NDArray[np.float64]]:
        """Values [batch, line] of every node that may become a cut, and the sizes of all for one input."""
        wanted = {*self.relus, self.output, *user_inputs(self.network.exported)}
        wanted |= {n for n in self._host.steps if _POOL.fullmatch(op_name(n))}
        seen: dict[Node, list[NDArray[np.float64]]] = {}
        size = self.network.fixed_batch or _CHUNK
        usable = len(calibration) // size * size if self.network.fixed_batch else len(calibration)
        for first in range(0, usable, size):
            part = calibration[first : first + size]

            def see(node: Node, value: Any, n: int = len(part)) -> None:
                if isinstance(value, Tensor) and value.dim():
                    if node in wanted and value.shape[0] % n:
                        raise ModelError(
                            f"{self.network.name}: {node.name}: has {list(value.shape)} values for {n} inputs; keep "
                            "the inputs of a batch apart from each other"
                        )
                    self._sizes[node] = (value.shape[0] // n, *value.shape[1:])
                    if node in wanted:
                        seen.setdefault(node, []).append(value.double().reshape(n, -1).numpy().copy())

            self._host.observe([part], see)
        return {node: np.concatenate(parts) for node, parts in seen.items()}

    def _check(self, calibration: Tensor) -> None:
        name, inputs = self.network.name, user_inputs(self.network.exported)
        found = list(self._refused())
        if len(inputs) != 1:
            found.append(f"{name}: must have one input, got {len(inputs)}; join them to one tensor in the model")
        if isinstance(calibration, Tensor) and calibration.numel():
            low, high = (float(v) for v in torch.aminmax(calibration))
            if low < 0 or high > 1:
                found.append(
                    f"{name}: calibration inputs must be rates from 0 to 1, got {low:g} to {high:g}; scale them, and "
                    "put a shift by the mean into the model itself"
                )
        if found:
            raise ModelError(found)
        if not isinstance(calibration, Tensor):
            raise DataError(f"{name}: calibration must be a tensor [batch, ...], got {type(calibration).__name__}")
        self._host.run(calibration)  # tells shapes and types that the network does not take
        fixed = self.network.fixed_batch
        if fixed is not None and len(calibration) < fixed:
            raise DataError(f"{name}: needs a batch of {fixed} calibration inputs, got {len(calibration)}; give more")

    def _refused(self) -> Iterator[str]:
        name = self.network.name
        after = {n for n in self._host.steps if self.softmax and self.output in n.all_input_nodes}
        for node in self._host.steps:
            op = op_name(node).removesuffix("_") if is_in_place(node) else op_name(node)
            if is_in_place(node) and self._read_elsewhere(node):
                yield f"{name}: {node.name}: writes into {node.args[0]}, which others read; write it out of place"
            if node.op == "placeholder" or node.name in self._matrices or node.name in self._bypass:
                continue
            if _relu_cap(node) is not None or not isinstance(node.meta.get("val"), Tensor | list | tuple):
                continue
            if node in after and _SOFTMAX.fullmatch(op):
                continue
            if find_product(node, self._constants) is not None:
                yield f"{name}: {node.name}: is kept digital, but cores must hold every product; leave out digital=..."
            elif not self._is_affine(node, op):
                remedy = next((r for pattern, r in _REMEDIES.items() if re.search(pattern, op)), _DEFAULT_REMEDY)
                yield f"{name}: {node.name}: {op} has no rate-coded form; {remedy}"

    def _is_affine(self, node: Node, op: str) -> bool:
        inner = [n for n in node.all_input_nodes if n not in self._constants]
        if op == "mul":
            return len(inner) == 1 and node.args[0] is not node.args[1]
        if op == "div":
            return inner == [node.args[0]] and node.args[1] is not node.args[0] and not node.kwargs
        if op == "batch_norm":
            return inner == [node.args[0]] and not argument(node, "training", False)
        return _MOVES.fullmatch(op) is not None or _POOL.fullmatch(op) is not None

    def _read_elsewhere(self, node: Node) -> bool:
        """Whether others read the memory that an operation writes into."""
        target = node
        while True:
            if not target.args or not isinstance(target.args[0], Node):
                return False
            target = target.args[0]
            if len([u for u in target.users if op_name(u) != "sym_size"]) > 1:
                return True
            if not is_view(target) and target.name not in self._bypass:
                return False


def _relu_cap(node: Node) -> float | None:
    """The largest value of a rectifier that starts at 0, infinity for ReLU; None for other nodes."""
    if node.op != "call_function":
        return None
    op = op_name(node).removesuffix("_")
    if op in ("relu", "relu6"):
        return 6.0 if op == "relu6" else inf
    names = {"hardtanh": ("min_val", "max_val"), "clamp": ("min", "max"), "clamp_min": ("min", "")}.get(op)
    if names is None or argument(node, names[0]) != 0:
        return None
    high = argument(node, names[1]) if names[1] else None
    if high is None:
        return inf
    return float(high) if isinstance(high, int | float) and high > 0 else None
