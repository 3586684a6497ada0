"""Which layers may see negative inputs, from the graph alone: where no data says it."""

from __future__ import annotations

from torch.fx import Node

from xbar.aten import argument, op_name
from xbar.network import Network

_POSITIVE = frozenset(
    {"relu", "relu_", "relu6", "sigmoid", "softmax", "_softmax", "hardsigmoid", "abs", "exp", "square"}
)
_POOLS = {f"{kind}_pool{n}d" for kind in ("max", "avg", "adaptive_avg", "adaptive_max") for n in (1, 2, 3)}
_VIEWS = {
    "flatten",
    "view",
    "reshape",
    "permute",
    "transpose",
    "t",
    "squeeze",
    "unsqueeze",
    "getitem",
    "slice",
    "select",
}
_COPIES = {"contiguous", "clone", "dropout", "dropout_", "expand", "to", "_to_copy", "detach", "alias"}
_KEEPS = _POOLS | _VIEWS | _COPIES | {"mean", "cat", "stack", "pad", "constant_pad_nd", "add", "add_"}


def signed_inputs(network: Network) -> frozenset[str]:
    """Names of the layers whose inputs may be negative; the network's own inputs are taken for positive (pixels).

    An input is positive behind a ReLU, a sigmoid or a softmax, also through pooling, reshaping, padding, and sums and
    concatenations of positive values.
    """
    graph = network.exported.graph
    known: dict[Node, bool] = {}
    inputs = set(network.exported.graph_signature.user_inputs)
    for node in graph.nodes:  # in the order of computation
        name = op_name(node) if node.op == "call_function" else ""
        if node.op == "placeholder":
            known[node] = node.name in inputs
        elif node.name in network.bypass:
            known[node] = False
        elif name in ("clamp", "hardtanh", "clamp_", "clamp_min"):
            low = argument(node, "min", argument(node, "min_val", None))
            known[node] = isinstance(low, int | float) and low >= 0
        else:
            sources = [known.get(source, False) for source in node.all_input_nodes]
            known[node] = name in _POSITIVE or (name in _KEEPS and bool(sources) and all(sources))
    nodes = {node.name: node for node in graph.nodes}
    return frozenset(
        layer.name for layer in network.layers if not known[argument(nodes[layer.node], "input", nodes[layer.node])]
    )
