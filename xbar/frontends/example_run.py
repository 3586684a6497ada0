"""Running a traced graph on example inputs: the sizes of everything in it, and whether its batch is free."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.fx import Node
from torch.utils import _pytree as pytree

from xbar.aten import op_name, sizes_of
from xbar.errors import ModelError
from xbar.host import Host, user_inputs

# operations that read beyond their hidden state, instead of refusing, where its batch is not that of the input
_TRUSTING = {"lstm", "gru", "rnn_tanh", "rnn_relu", "mkldnn_rnn_layer"}


def example_tensors(exported: ExportedProgram, example: tuple[Any, ...] | None, name: str) -> list[Tensor]:
    """The tensors to run the graph with: the user's, else those saved with the program, else zeros of its shapes.

    Raises ModelError where they do not fit the graph, or sizes other than the batch are free and nothing tells them.
    """
    wanted = user_inputs(exported)
    if not wanted:
        raise ModelError(f"{name}: takes no input tensor; a network needs one")
    saved = exported.example_inputs
    if example is None and saved is not None:
        example = saved
    if example is None:
        tensors = [_zeros(node, name) for node in wanted]
    else:
        tensors = [leaf for leaf in pytree.tree_leaves(example) if isinstance(leaf, Tensor)]
    problems = [] if len(tensors) == len(wanted) else [f"{name}: takes {len(wanted)} input tensors, got {len(tensors)}"]
    for node, tensor in zip(wanted, tensors, strict=False):
        sizes = ["any" if s is None else s for s in sizes_of(node)]
        fits = len(sizes) == tensor.dim() and all(s in ("any", t) for s, t in zip(sizes, tensor.shape, strict=True))
        if not fits or tensor.dtype != node.meta["val"].dtype:
            problems.append(
                f"{name}: example input '{node.name}': the model was traced with {sizes} of {node.meta['val'].dtype}, "
                f"got {list(tensor.shape)} of {tensor.dtype}; give an example of that shape"
            )
    if not problems and tensors[0].dim() == 0:
        problems.append(f"{name}: its first input has no axes; the first axis must be the batch")
    if problems:
        raise ModelError(problems)
    return tensors


def _zeros(node: Node, name: str) -> Tensor:
    sizes = sizes_of(node)
    if None in sizes[1:]:
        raise ModelError(f"{name}: input '{node.name}' has free sizes besides the batch; give an example_input")
    return torch.zeros([2 if s is None else s for s in sizes], dtype=node.meta["val"].dtype)


def observe_sizes(host: Host, inputs: Sequence[Tensor], name: str) -> dict[Node, tuple[int, ...]]:
    """Shape of every tensor that the graph computes from `inputs` (the first tensor of nodes that give several)."""
    sizes: dict[Node, tuple[int, ...]] = {}

    def see(node: Node, value: Any) -> None:
        first = next((v for v in pytree.tree_leaves(value) if isinstance(v, Tensor)), None)
        if first is not None:
            sizes[node] = tuple(first.shape)

    try:
        host.observe(inputs, see)
    except RuntimeError as error:  # an operation of the user's graph rejects the example
        raise ModelError(
            f"{name}: fails on its example input ({error}); check the example's shape and values"
        ) from error
    return sizes


def free_batch(host: Host, inputs: Sequence[Tensor]) -> int | None:
    """None where the graph runs any batch, else the batch size it insists on.

    A graph with a free first axis runs any batch. Many programs are exported with a fixed batch although nothing in
    them needs it: such a graph is run on more inputs at once, and is free if each gives what it gives in its own batch.
    """
    exported = host.network.exported
    size = sizes_of(user_inputs(exported)[0])[0]
    if size is None:
        return None
    if len(inputs) > 1 or any(op_name(step) in _TRUSTING for step in host.steps):
        return size
    generator = torch.Generator().manual_seed(0)
    x = inputs[0]
    # three batches of different values: rearranged where the values are indices, else scaled at random
    batches = [x, x.flip(-1) if x.dim() > 1 else x]
    if x.is_floating_point():
        batches[1:] = [x * torch.rand(x.shape, generator=generator, dtype=x.dtype) for _ in range(2)]
    try:
        apart = torch.cat([host.run(b) for b in batches])
        together = host.run(torch.cat(batches))
    except (RuntimeError, IndexError):  # a size is built into the graph: it insists on its batch
        return size
    same = apart.shape == together.shape and torch.allclose(
        apart, together, rtol=1e-4, atol=1e-4 * float(apart.abs().max())
    )
    return None if same else size
