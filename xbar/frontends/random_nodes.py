"""Refuses what draws random numbers: a network gives the same outputs for the same inputs, run after run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.fx import Node

from xbar.aten import Constants, has_training_mode, is_random, op_name
from xbar.frontends.node_names import module_path


def random_problems(steps: Sequence[Node], constants: Constants, name: str) -> list[str]:
    """One line for each operation among `steps`, or in a branch of one of them, that draws random numbers."""
    return [
        f"{name}: {module_path(node) or node.name} ({op_name(node)}): draws random numbers, so that two runs differ; "
        + _remedy(node)
        for step in steps
        for node in _with_branches(step, constants)
        if is_random(node)
    ]


def _remedy(node: Node) -> str:
    if has_training_mode(node):
        return (
            "export the model in eval mode: model.eval() before torch.export.export "
            "(where it calls F.dropout and the like itself: with training=self.training)"
        )
    return "take it out of the model, or make it an input"


def _with_branches(node: Node, constants: Constants) -> Iterator[Node]:
    """The node, and all nodes of the graphs that it runs (the branches of a cond, the body of a no_grad block)."""
    yield node
    if isinstance(node.target, torch._ops.HigherOrderOperator):
        for source in node.all_input_nodes:
            graph = constants.value(source) if source.op == "get_attr" else None
            if isinstance(graph, torch.fx.GraphModule):
                for module in graph.modules():
                    yield from module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ()
