"""What each operation of the graph does to rows: which rows its result is computed from, given those of its arguments.

An operation without a rule is opaque: every element of its result needs all rows of all its arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.fx.node import map_arg
from torch.nn import functional
from torch.utils import _pytree as pytree

from xbar.aten import Product, argument, call, columns, is_in_place, is_view, op_name
from xbar.network import ConvShape
from xbar.rows.spans import (
    Shape,
    Spans,
    adaptive_positions,
    mixed,
    moved,
    nothing,
    packed,
    total,
    union,
    window_positions,
    windows,
)

_POINTWISE = re.compile(
    r"""hardswish | prelu | _prelu_kernel | log_sigmoid | softsign | tanhshrink | where | masked_fill | floor_divide
    | rsub | (alpha_|feature_|feature_alpha_|native_)?dropout | to | _to_copy | type_as | tri[lu] | resolve_(conj|neg)
    | lift_fresh(_copy)? | __and__ | __or__ | __xor__""",
    re.VERBOSE,
)
_MOVE = re.compile(
    r"""reshape | contiguous | pad | constant_pad_nd | roll | flip | rot90 | repeat | repeat_interleave | tile | gather
    | index | index_select | pixel_(un)?shuffle | channel_shuffle | upsample_nearest[123]d | (?!_to_|lift_).*_copy""",
    re.VERBOSE,
)
_CAT = re.compile("cat|concat|concatenate|stack|[hvd]stack")
_ALONG = re.compile(
    r"""_?(log_)?softmax | mean | sum | nansum | prod | amax | amin | max | min | argmax | argmin | median | var | std
    | var_mean | std_mean | logsumexp | norm | linalg_vector_norm | cum(sum|prod|max|min) | logcumsumexp | all | any
    | count_nonzero | sort | argsort | topk | glu""",
    re.VERBOSE,
)
_NORM = re.compile("(native_|fused_)?(layer|group|rms|batch)_norm.*|instance_norm|_native_batch_norm_legit_no_training")
_POOL = re.compile(r"(adaptive_)?(max|avg|lp)_pool[123]d(_with_indices)?")
_PAIR = re.compile("matmul|mm|bmm")
_MADE_NEW = re.compile(r"(new_)?(zeros|ones|full|empty)(_like)?|(zero|fill)_?|sym_.*")


@dataclass(frozen=True)
class Operation:
    """A node, with what its arguments stand for and the shape of its (first) result.

    given: from a node to its spans, a list of such, or the value of a constant.
    product: where the node is a product with weights.
    """

    node: Node
    given: Callable[[Node], Any]
    shape: Shape
    product: Product | None

    def argument(self, name: str, default: Any = None) -> Any:
        """An argument by its schema name."""
        return map_arg(argument(self.node, name, default), self.given)

    @property
    def tensors(self) -> list[Spans]:
        """The spans of every argument that has some."""
        leaves = pytree.tree_leaves([self.given(n) for n in self.node.all_input_nodes])
        return [leaf for leaf in leaves if isinstance(leaf, Spans)]


def follow(op: Operation) -> Spans | list[Spans]:
    """The spans of a node's result; a list where the rule gives several results."""
    found: Spans | list[Spans] | None = None
    if op.product is not None and isinstance(op.given(op.product.activation), Spans):
        found = follow_product(op.product, op.given(op.product.activation))
    elif isinstance(op.node.target, torch._ops.OpOverload):
        found = _by_name(op)
    if isinstance(found, list):
        return found
    return total(op.tensors, op.shape) if found is None or not _fits(found, op.shape) else found


def _fits(spans: Spans, shape: Shape) -> bool:
    return spans.first.dim() == len(shape) and all(a in (1, b) for a, b in zip(spans.first.shape, shape, strict=True))


def _by_name(op: Operation) -> Spans | list[Spans] | None:
    name = _plain_name(op.node)
    if _MADE_NEW.fullmatch(name):
        return nothing(op.shape)
    if name == "copy":
        return _reshaped(union([op.argument("src")], op.shape), op.shape)
    if _is_pointwise(op.node, name):
        return union(op.tensors, op.shape) if all(len(s.shape) <= len(op.shape) for s in op.tensors) else None
    if _CAT.fullmatch(name) or _MOVE.fullmatch(name) or (is_view(op.node) and not is_in_place(op.node)):
        return _move(op, name)
    if _PAIR.fullmatch(name):
        return _pair(op)
    if name == "scaled_dot_product_attention":
        return _attention(op)
    for pattern, rule in _OF_ONE:
        if pattern.fullmatch(name) and op.tensors:
            first, *rest = op.tensors
            changed = rule(op, name, first)
            return None if changed is None else _with(changed, rest, op.shape)
    return None


def _plain_name(node: Node) -> str:
    name = op_name(node)
    return name.removesuffix("_") if is_in_place(node) else name


def _is_pointwise(node: Node, name: str) -> bool:
    """By torch's own tag, which some operations lack that write into their argument."""
    if _POINTWISE.fullmatch(name):
        return True
    target = node.target
    plain = getattr(torch.ops.aten, name, None)
    overload = getattr(plain, getattr(target, "_overloadname", ""), None)
    return any(torch.Tag.pointwise in o.tags for o in (target, overload) if isinstance(o, torch._ops.OpOverload))


def _with(spans: Spans, rest: Sequence[Spans], shape: Shape) -> Spans | None:
    """These spans and all rows of the other arguments."""
    return union([spans, total(rest, shape)], shape) if _fits(spans, shape) else None


def _reshaped(spans: Spans, shape: Shape) -> Spans:
    return Spans(spans.first, spans.last, shape)


def _move(op: Operation, name: str) -> Spans | list[Spans] | None:
    """Elements change places only: the operation itself moves their rows."""
    args, kwargs = map_arg((op.node.args, op.node.kwargs), op.given)
    by_index = any(isinstance(s, Spans) for s in pytree.tree_leaves((args[1:], kwargs))) and not _CAT.fullmatch(name)
    if by_index and "index" in name + "".join(a.name for a in op.node.target._schema.arguments):  # type: ignore[union-attr]
        return None
    try:
        first, last = (_moved_side(op, name, (args, kwargs), side) for side in (0, 1))
        results = list(zip(pytree.tree_leaves(first), pytree.tree_leaves(last), strict=True))
    except (RuntimeError, TypeError, ValueError, IndexError):  # not an operation on such numbers
        return None
    if any(not isinstance(a, Tensor) or a.dtype != torch.float32 for a, _ in results):
        return None
    spans = [packed(a, b) for a, b in results]
    return spans if isinstance(first, list | tuple) else spans[0]


def _moved_side(op: Operation, name: str, arguments: Any, side: int) -> Any:
    """The operation on the first (side 0) or the last rows of its arguments."""
    none = (inf, -inf)[side]

    def tensor(leaf: Any) -> Any:
        if isinstance(leaf, Spans):
            return leaf.full[side]
        # what is constant comes from no row
        return torch.full(leaf.shape, none) if isinstance(leaf, Tensor) and _CAT.fullmatch(name) else leaf

    args, kwargs = pytree.tree_map(tensor, arguments)
    if name in ("pad", "constant_pad_nd") and op.argument("mode", "constant") == "constant":
        return functional.pad(args[0], list(op.argument("pad")), value=none)
    if name in ("view", "view_as", "_unsafe_view"):  # spans take less memory than the tensor that can be viewed so
        return args[0].reshape(op.shape)
    return call(op.node, args, kwargs)


def _pair(op: Operation) -> Spans | None:
    """[..., row, inner] times [..., inner, col]."""
    sides = []
    for node, axis in zip(op.node.args[:2], (-1, -2), strict=True):
        x = op.given(node) if isinstance(node, Node) else None
        if isinstance(x, Spans) and len(x.shape) < 2:
            return None
        sides += [mixed(x, [len(x.shape) + axis])] if isinstance(x, Spans) else []
    return union(sides, op.shape)


def _attention(op: Operation) -> Spans | None:
    """Every vector of the result needs its query, and all keys and values of its head."""
    parts = []
    for key, kept in (("query", 1), ("key", 2), ("value", 2), ("attn_mask", 1)):
        x = op.argument(key)
        if isinstance(x, Spans):
            parts.append(mixed(x, range(len(x.shape) - kept, len(x.shape))))
    heads = {s.shape[:-2] for s in parts if len(s.shape) == len(op.shape)}
    return union(parts, op.shape) if heads == {op.shape[:-2]} else None


def _along(op: Operation, _name: str, x: Spans) -> Spans | None:
    """Every element needs all along some axes, which may disappear."""
    dim = op.argument("dim", None)
    n = len(x.shape)
    if dim is None or isinstance(dim, bool) or not n:
        return None
    axes = sorted({int(d) % n for d in (dim if isinstance(dim, list | tuple) else [dim])} or range(n))
    y = mixed(x, axes)
    if len(op.shape) == n:
        return _reshaped(y, op.shape)
    return moved(y, lambda t: t.squeeze(tuple(axes)))


def _norm(op: Operation, name: str, x: Spans) -> Spans | None:
    n = len(x.shape)
    if "batch" in name:
        return None if op.argument("training", False) else x
    if "group" in name or "instance" in name:
        axes = range(1 if "group" in name else 2, n)
    else:
        axes = range(n - len(op.argument("normalized_shape")), n)
    return _reshaped(mixed(x, list(axes)), x.shape)


def _pool(op: Operation, name: str, x: Spans) -> Spans | None:
    n_axes = int(re.findall(r"[123](?=d)", name)[0])
    start = len(x.shape) - n_axes
    for i in range(n_axes):
        size, out = x.shape[start + i], op.shape[start + i]
        if name.startswith("adaptive"):
            taken = adaptive_positions(size, out)
        else:
            kernel = _of_axis(op.argument("kernel_size"), i)
            stride = _of_axis(op.argument("stride") or kernel, i)
            padding, dilation = _of_axis(op.argument("padding", 0), i), _of_axis(op.argument("dilation", 1), i)
            taken = window_positions(size, out, kernel, stride, padding, dilation)
        x = windows(x, start + i, taken)
    return x


def _of_axis(value: Any, axis: int) -> int:
    if isinstance(value, list | tuple):
        return int(value[axis] if len(value) > 1 else value[0])
    return int(value)


_OF_ONE: tuple[tuple[re.Pattern[str], Callable[[Operation, str, Spans], Spans | None]], ...] = (
    (_ALONG, _along),
    (_NORM, _norm),
    (_POOL, _pool),
)


def follow_product(product: Product, x: Spans) -> Spans:
    """The spans of a product's result: of every input vector, or of every window of a convolution."""
    a = moved(x, product.before)
    if product.conv is None:
        y = mixed(a, [len(a.shape) - 1])
        y = _reshaped(y, (*a.shape[:-1], columns(product)))
    else:
        y = mixed(a, [len(a.shape) - len(product.conv.kernel) - 1])
        for i in range(len(product.conv.kernel)):
            y = convolved(y, product.conv, i)
    return moved(y, product.after)


def convolved(x: Spans, conv: ConvShape, i: int) -> Spans:
    """The windows of a convolution along its i-th space axis."""
    axis = len(x.shape) - len(conv.kernel) + i
    kernel, stride, dilation, (before, after) = conv.kernel[i], conv.stride[i], conv.dilation[i], conv.padding[i]
    size = x.shape[axis]
    out = (size + before + after - dilation * (kernel - 1) - 1) // stride + 1
    return windows(x, axis, window_positions(size, out, kernel, stride, before, dilation))
