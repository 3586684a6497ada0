"""Which rows really depend on which: not-a-number is put into one row of an input, and shows in all that it reaches."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from xbar.dataflow import Dataflow, Edge
from xbar.host import Host
from xbar.network import Network

Reach = NDArray[np.bool_]


def predicted(flow: Dataflow, input_stream: int) -> dict[int, Reach]:
    """For each stream, [row, input row]: whether the dataflow lets it depend on that row of an input."""
    n = flow.streams[input_stream].rows
    reach: dict[int, Reach] = {}
    for i, stream in enumerate(flow.streams):
        reach[i] = np.eye(n, dtype=bool) if i == input_stream else np.zeros((stream.rows, n), bool)
        for edge in stream.edges:
            reach[i] |= through(edge, reach[edge.source])
    return reach


def through(edge: Edge, source: Reach) -> Reach:
    """What the receiver's rows depend on, by an edge from a stream that depends on `source`."""
    pieces = [source[a : b + 1].any(0) for a, b in zip(edge.source_first, edge.source_last, strict=True)]
    return np.array([np.any(pieces[a : b + 1], 0) for a, b in zip(edge.need_first, edge.need_last, strict=True)])


def observed(network: Network, inputs: Sequence[Tensor], which: int, axis: int | None) -> dict[str, Reach]:
    """For each layer, [row, input row]: whether not-a-number in that row (along `axis`) of an input reaches it.

    Of one network input; with plain kernels, since fast ones carry it to their neighbours.
    """
    host, found = Host(network), {layer.name: [] for layer in network.layers}
    for row in range(1 if axis is None else inputs[which].shape[axis]):
        given = [x.clone() for x in inputs]
        (given[which] if axis is None else given[which].select(axis, row)).fill_(torch.nan)

        def see(node: object, value: object) -> None:
            for layer in network.layers:
                if getattr(node, "name", None) == layer.node:
                    found[layer.name].append(_rows(value, len(layer.conv.kernel) if layer.conv else None))

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "TF32", UserWarning)  # torch about a setting that stays as it is
            with torch.backends.mkldnn.flags(enabled=False), sdpa_kernel(SDPBackend.MATH):
                host.observe(given, see)
    return {name: np.array(rows).T for name, rows in found.items()}


def _rows(value: object, n_space: int | None) -> Reach:
    """The rows of a layer's result that hold not-a-number: of each map, or the vectors."""
    assert isinstance(value, Tensor)
    bad = torch.isnan(value)
    if n_space is None:
        return bad.any(-1).flatten().numpy()
    channels_last = bad.movedim(-n_space - 1, -1)
    return channels_last.reshape(-1, prod(channels_last.shape[-n_space:])).any(-1).numpy()
