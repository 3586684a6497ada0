"""Walks the graph as the host does, and keeps for every tensor the stream that it belongs to and the rows it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.fx import Node
from torch.utils import _pytree as pytree

from xbar.aten import Product, find_product, is_in_place, is_view, op_name
from xbar.dataflow import Dataflow, Edge, Stream
from xbar.host import Host, user_inputs
from xbar.network import Network
from xbar.rows.pieces import Pieces, cut, edge, wait
from xbar.rows.places import Rows, input_rows, join_rows, layer_rows, row_axis, single
from xbar.rows.rules import Operation, convolved, follow
from xbar.rows.sizes import Sizes
from xbar.rows.spans import Shape, Spans, mixed, moved, nothing, spread, total

_OPS = {"activation": "activation_ops", "pooling": "pooling_ops", "other": "digital_ops"}


@dataclass(frozen=True)
class _Value:
    """A tensor: the rows of a stream that its elements are computed from; of no stream where it is constant."""

    stream: int | None
    spans: Spans


def dataflow(network: Network) -> Dataflow:
    """The dataflow of a network at the grain of rows; its own `flow` is not read."""
    return _Walk(network).flow()


class _Walk:
    def __init__(self, network: Network) -> None:
        self._network = network
        self._host = Host(network)
        self._sizes = Sizes(network)
        self._layers = {layer.node: i for i, layer in enumerate(network.layers)}
        self._digital = {node.node: node for node in network.digital}
        self._order = {node: i for i, node in enumerate(network.exported.graph.nodes)}
        self._streams: list[Stream] = []
        self._values: dict[Node, Any] = {}  # a _Value, a list of such, or a number
        self._root: dict[Node, Node] = {}  # the tensor whose memory a view shows
        self._views: dict[Node, list[Node]] = {}

    def flow(self) -> Dataflow:
        inputs = user_inputs(self._network.exported)
        for node in inputs:
            self._values[node] = self._input(node)
            self._remember(node)
        for node in self._host.steps:
            if node not in inputs:
                self._values[node] = self._step(node)
                self._remember(node)
                if is_in_place(node):
                    self._written(node)
                self._count(node)
        return Dataflow(tuple(self._streams), tuple(self._outputs()))

    def _step(self, node: Node) -> Any:
        if node.op == "placeholder":  # a stored tensor that the graph writes into
            return _Value(None, nothing(next(iter(self._sizes.shapes(node)), ())))
        if node.name in self._layers:
            return self._layer(node, self._layers[node.name])
        if node.name in self._network.bypass:
            return self._values[node.all_input_nodes[0]]
        return self._operation(node)

    def _add(
        self,
        name: str,
        kind: Literal["input", "layer", "join"],
        rows: int,
        edges: Sequence[Edge],
        layer: int | None = None,
    ) -> int:
        own = len(self._streams)
        sources = [self._streams[e.source].at for e in edges]
        at = own if kind == "layer" else max((a for a in sources if a is not None), default=None)
        self._streams.append(Stream(name, kind, layer, at, rows, tuple(edges), dict.fromkeys(_OPS.values(), 0)))
        return own

    def _cut(self, stream: int, tensors: Sequence[Spans], received: Rows | None = None) -> Pieces:
        return cut(tensors, self._streams[stream].rows, received)

    def _count(self, node: Node) -> None:
        """A digital node's operations are done on the stream that its result belongs to; on constants, on the input."""
        digital = self._digital.get(node.name)
        if digital is not None:
            values = [v for v in pytree.tree_leaves(self._values[node]) if isinstance(v, _Value)]
            stream = next((v.stream for v in values if v.stream is not None), 0)
            self._streams[stream].ops[_OPS[digital.kind]] += digital.ops_per_input

    # inputs, layers, outputs

    def _input(self, node: Node) -> _Value:
        (shape,) = self._sizes.shapes(node)
        rows = input_rows(shape, self._input_axis(node, shape))
        return _Value(self._add(node.name, "input", rows.n_rows, ()), rows.own)

    def _input_axis(self, node: Node, shape: Shape) -> int | None:
        """The axis along which an input's rows lie: the last one of [batch, channel, position] for 1-d convolutions."""
        reached, shapes = [node], self._sizes.shapes(node)
        for n in reached:
            if n.name in self._layers:
                conv = self._network.layers[self._layers[n.name]].conv
                return 2 if conv is not None and len(conv.kernel) == 1 and len(shape) == 3 else row_axis(shape)
            reached += [u for u in n.users if u.name in self._layers or self._sizes.shapes(u) == shapes]
        return row_axis(shape)

    def _layer(self, node: Node, index: int) -> _Value:
        layer, product = self._network.layers[index], self._host.products[node.name]
        value: _Value = self._values[product.activation]
        spans = moved(value.spans, product.before)
        received, rows = layer_rows(layer, spans.shape, self._sizes.batch)
        if value.stream is None:
            into = wait(0, rows.n_rows)
        else:
            pieces = self._cut(value.stream, [spans], received)
            needed = pieces.spans[0]
            if layer.conv is not None:
                space = len(spans.shape) - len(layer.conv.kernel)
                needed = mixed(needed, [space - 1, *range(space + 1, len(spans.shape))])
                needed = convolved(needed, layer.conv, 0)
            into = edge(value.stream, pieces, rows.gathered(needed), self._sizes.batch)
        stream = self._add(layer.name, "layer", rows.n_rows, [into], index)
        return _Value(stream, moved(rows.own, product.after))

    def _outputs(self) -> list[Edge]:
        names = set(self._network.exported.graph_signature.user_outputs)
        results = [v for n, v in self._values.items() if n.name in names and isinstance(v, _Value)]
        return [self._whole(v.stream, v.spans) for v in results if v.stream is not None]

    def _whole(self, stream: int, spans: Spans) -> Edge:
        """The edge to a receiver of one row, which needs all."""
        pieces = self._cut(stream, [spans])
        needs = total(pieces.spans, (1,))
        return edge(stream, pieces, (needs.first, needs.last), self._sizes.batch)

    # operations

    def _operation(self, node: Node) -> Any:
        shapes = self._sizes.shapes(node)
        if not shapes:
            return self._sizes.number(node.meta.get("val"))
        if op_name(node) == "getitem" and isinstance(self._values.get(node.all_input_nodes[0]), list):
            return self._values[node.all_input_nodes[0]][node.args[1]]
        arguments = {n: self._values[n] for n in node.all_input_nodes if n in self._values}
        tensors = [v for v in pytree.tree_leaves(list(arguments.values())) if isinstance(v, _Value)]
        found: dict[int, list[Spans]] = {}
        for stream in sorted({v.stream for v in tensors if v.stream is not None}):
            result = self._followed(node, shapes, _seen_from(stream))
            if any(spans.needed for spans in result):
                found[stream] = result
        if len(found) > 1:
            results = self._join(node, tensors, shapes, found)
        elif found:
            results = [_Value(stream if s.needed else None, s) for stream, spans in found.items() for s in spans]
        else:
            results = [_Value(None, nothing(shape)) for shape in shapes]
        return results if isinstance(node.meta["val"], tuple | list) else results[0]

    def _followed(self, node: Node, shapes: Sequence[Shape], see: Callable[[_Value], Spans]) -> list[Spans]:
        """The spans of each result of a node, where `see` says which rows a tensor needs."""
        constants = self._host.constants

        def given(n: Node) -> Any:
            if n in constants:
                return constants.value(n)
            value = self._values.get(n)
            if isinstance(value, list):
                return [see(v) for v in value]
            return see(value) if isinstance(value, _Value) else value

        product = find_product(node, constants)
        found = follow(Operation(node, given, shapes[0], product if isinstance(product, Product) else None))
        if isinstance(found, list):
            return found
        return [found if shape == shapes[0] else total([found], shape) for shape in shapes]

    def _join(
        self, node: Node, tensors: Sequence[_Value], shapes: Sequence[Shape], found: Mapping[int, list[Spans]]
    ) -> list[_Value]:
        """A new stream made of several."""
        shape = shapes[0]
        firsts = [spans[0] for spans in found.values()]
        # several results are made together
        rows = join_rows(firsts, shape, self._sizes.batch) if len(shapes) == 1 else single(shape)
        edges = []
        for stream in found:
            sent = list({id(v): v for v in tensors if v.stream == stream}.values())
            pieces = self._cut(stream, [v.spans for v in sent], rows if sent[0].spans.shape == shape else None)
            cut_up = {id(v): spans for v, spans in zip(sent, pieces.spans, strict=True)}
            needed = self._followed(node, shapes, _numbered_by(cut_up))[0]
            edges.append(edge(stream, pieces, rows.gathered(needed), self._sizes.batch))
        name = self._digital[node.name].name if node.name in self._digital else node.name
        joined = self._add(name, "join", rows.n_rows, edges)
        return [_Value(joined, rows.own if s == shape else spread(0, rows.n_rows - 1, s)) for s in shapes]

    # what is written into

    def _remember(self, node: Node) -> None:
        """Which memory the result is in: views, and what writes into its first argument, show that argument's."""
        shares = is_view(node) or is_in_place(node) or node.name in self._network.bypass
        source = node.args[0] if shares and node.args else None
        root = self._root.get(source, node) if isinstance(source, Node) else node
        self._root[node] = root
        self._views.setdefault(root, []).append(node)

    def _written(self, node: Node) -> None:
        """What a node writes into its first argument reaches everyone who reads that memory later."""
        target, value = node.args[0], self._values[node]
        if not isinstance(value, _Value) or not isinstance(target, Node) or target not in self._values:
            return
        before = self._values[target]
        for view in self._views[self._root[node]]:
            old = self._values[view]
            if view is target or _alike(old, before):
                self._values[view] = value
            elif view is not node and isinstance(old, _Value) and self._read_after(view, node):
                self._values[view] = self._partly(node, old, value)

    def _read_after(self, view: Node, node: Node) -> bool:
        return any(self._order[user] > self._order[node] for user in view.users)

    def _partly(self, node: Node, old: _Value, new: _Value) -> _Value:
        """A tensor into some of which something new was written."""
        if new.stream is None:
            return old
        if old.stream in (None, new.stream):
            return _Value(new.stream, total([old.spans, new.spans], old.spans.shape))
        edges = [self._whole(v.stream, v.spans) for v in (old, new) if v.stream is not None]
        return _Value(self._add(node.name, "join", 1, edges), spread(0, 0, old.spans.shape))


def _seen_from(stream: int) -> Callable[[_Value], Spans]:
    """Values as one stream sees them: what other streams send needs none of its rows."""
    return lambda value: value.spans if value.stream == stream else nothing(value.spans.shape)


def _numbered_by(cut_up: Mapping[int, Spans]) -> Callable[[_Value], Spans]:
    return lambda value: cut_up[id(value)] if id(value) in cut_up else nothing(value.spans.shape)


def _alike(a: Any, b: Any) -> bool:
    """Whether two values are one tensor and another name of it (a dropout that is switched off)."""
    if not (isinstance(a, _Value) and isinstance(b, _Value)) or a.stream != b.stream:
        return False
    x, y = a.spans, b.spans
    return x.shape == y.shape and torch.equal(x.first, y.first) and torch.equal(x.last, y.last)
