"""What of a network stays in torch, why, and how many elementary operations that is."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import Literal

from torch.fx import Node

from xbar.aten import Product, Unmappable, columns, is_in_place, is_view, op_name
from xbar.frontends.node_names import unique_names
from xbar.network import DigitalNode, MatrixLayer

Sizes = Mapping[Node, tuple[int, ...]]
Kind = Literal["activation", "pooling", "other"]

_ACTIVATION = re.compile(
    r"""(leaky_|p|r)?relu6? | [sc]?elu | gelu | silu | mish | (hard|log_?)?sigmoid | (hard)?tanh | hardswish | softplus
    | softsign | _?(log_)?softmax | threshold | clamp(_min|_max)? | glu | (hard|soft|tanh)shrink""",
    re.VERBOSE,
)
_PRODUCT = re.compile("matmul|b?mm|addmm|baddbmm|einsum|mv|dot|linear")
_NORM = re.compile("(native_)?(layer|group)_norm|instance_norm|rms_norm|local_response_norm")
_MOVE = re.compile(
    r"""reshape | contiguous | clone | (alpha_|feature_|native_)?dropout | cat | concat | stack | (constant_)?pad(_nd)?
    | roll | flip | index(_select)? | gather | repeat(_interleave)? | tile | (select|expand)_copy | unfold | im2col
    | pixel_(un)?shuffle | channel_shuffle | copy | fill | (new_)?(zeros|ones|full|empty)(_like)? | arange
    | scalar_tensor | lift_fresh_copy | tri[lu] | masked_fill | where | sym_.* | _assert_.* | item | resolve_conj""",
    re.VERBOSE,
)


def list_digital(
    steps: Sequence[Node],
    layers: Sequence[MatrixLayer],
    bypass: Sequence[str],
    sizes: Sizes,
    kept: Mapping[Node, tuple[str, Product | Unmappable]],
    n_inputs: int,
) -> tuple[DigitalNode, ...]:
    """The nodes that compute something in torch; views, copies and the like are left out.

    Operations per input: output elements; input elements for pooling; two per multiplication and addition of products.
    """
    taken = {layer.node for layer in layers} | set(bypass)
    nodes = [n for n in steps if n.op == "call_function" and n.name not in taken]
    nodes = [n for n in nodes if n in sizes and (n in kept or not _only_moves(n))]
    names = unique_names([n for n in nodes if n not in kept], [layer.name for layer in layers])
    names |= {node: name for node, (name, _) in kept.items()}
    return tuple(
        DigitalNode(names[n], n.name, op_name(n), _reason(n, kept), ops, _kind(n))
        for n in nodes
        for ops in [-(-_operations(n, sizes, kept) // n_inputs)]
    )


def _plain_name(node: Node) -> str:
    name = op_name(node)
    return name.removesuffix("_") if is_in_place(node) else name


def _only_moves(node: Node) -> bool:
    return (
        _MOVE.fullmatch(_plain_name(node)) is not None
        or (is_view(node) and not is_in_place(node))
        or getattr(node.target, "__module__", "") in ("_operator", "math")
        or node.target is operator.getitem
    )


def _kind(node: Node) -> Kind:
    name = _plain_name(node)
    if _ACTIVATION.fullmatch(name):
        return "activation"
    return "pooling" if "pool" in name else "other"


def _reason(node: Node, kept: Mapping[Node, tuple[str, Product | Unmappable]]) -> str:
    if node in kept:
        product = kept[node][1]
        why = f" ({product.reason})" if isinstance(product, Unmappable) else ""
        return f"kept digital by the user{why}"
    name = _plain_name(node)
    if _PRODUCT.fullmatch(name):
        return "a product of two activations: no stored weights"
    if "attention" in name:
        return "attention scores: products of activations, no stored weights"
    if "batch_norm" in name:
        return "no single matrix layer before it to fold it into"
    if _NORM.fullmatch(name):
        return "needs the statistics of the activations themselves"
    if "embedding" in name:
        return "a lookup, not a product"
    if _kind(node) == "pooling":
        return "compares or averages neighbours: no weights"
    return "element by element: no weights" if _kind(node) == "activation" else "no product with weights"


def _operations(node: Node, sizes: Sizes, kept: Mapping[Node, tuple[str, Product | Unmappable]]) -> int:
    outputs = prod(sizes[node])
    inputs = [sizes[n] for n in node.all_input_nodes if n in sizes]
    name = _plain_name(node)
    if node in kept:
        return _kept_operations(kept[node][1], outputs, inputs)
    if _PRODUCT.fullmatch(name) and inputs:
        return 2 * outputs * inputs[-2 if name == "baddbmm" and len(inputs) > 1 else 0][-1]
    if name == "scaled_dot_product_attention" and len(inputs) >= 3:
        query, key, value = inputs[:3]
        return 2 * prod(query[:-1]) * key[-2] * (query[-1] + value[-1])
    if _kind(node) == "pooling" and inputs:
        return prod(inputs[0])
    return outputs


def _kept_operations(product: Product | Unmappable, outputs: int, inputs: list[tuple[int, ...]]) -> int:
    weight = tuple(int(s) for s in product.operand.meta["val"].shape)
    if isinstance(product, Unmappable):
        # every activation meets the weights once along its last axis (recurrent, bilinear), or once per channel
        return 2 * (prod(inputs[0]) if inputs else outputs) * prod(weight[1:])
    rows = prod(weight[1:]) if product.conv is not None else prod(weight) // max(1, columns(product))
    return 2 * outputs * rows
