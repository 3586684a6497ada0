"""Sizes of a graph's tensors for one network input, from the sizes that its export recorded."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from xbar.host import user_inputs
from xbar.network import Network
from xbar.rows.spans import Shape


class Sizes:
    """Sizes for a batch of `batch`: 1 where the graph leaves the batch free, else what it was exported with.

    Other sizes that are free are those of the network's first input, or of the export's example. A size that nothing
    tells (how many matches the data will hold) counts as 1.
    """

    def __init__(self, network: Network) -> None:
        self._values: dict[Any, Any] = {}
        self._known: dict[Any, int] = {}
        first, *others = [node.meta["val"].shape for node in user_inputs(network.exported)]
        for size, wanted in zip(first, (1, *network.input_shape), strict=True):
            self._learn(size, wanted)
        for shape in others:
            for axis, size in enumerate(shape):
                self._learn(size, None if axis else 1)
        self.batch = int(self.number(first[0]))

    def _learn(self, size: Any, wanted: int | None) -> None:
        """What the symbol in a size of an input stands for, if the size is linear in it."""
        if not isinstance(size, torch.SymInt):
            return
        expr = size.node.expr
        wanted = int(size.node.hint or 1) if wanted is None else wanted
        unknown = expr.free_symbols - self._known.keys()
        for symbol in unknown if len(unknown) == 1 else ():
            zero, one = (expr.subs({**self._known, symbol: value}) for value in (0, 1))
            root = (wanted - zero) / (one - zero)
            if root.is_integer and root > 0 and expr.subs({**self._known, symbol: root}) == wanted:
                self._known[symbol] = int(root)

    def number(self, size: Any) -> Any:
        """A size, or any number that the graph computes from sizes."""
        if not isinstance(size, torch.SymInt | torch.SymFloat | torch.SymBool):
            return size
        expr = size.node.expr
        if expr not in self._values:
            known = {symbol: self._known.get(symbol, 1) for symbol in expr.free_symbols}
            self._values[expr] = size.node.pytype(expr.subs(known))
        return self._values[expr]

    def shapes(self, node: Node) -> list[Shape]:
        """Shapes of the tensors that a node gives, in order."""
        value = node.meta.get("val")
        tensors = value if isinstance(value, tuple | list) else [value]
        return [tuple(int(self.number(s)) for s in t.shape) for t in tensors if isinstance(t, Tensor)]
