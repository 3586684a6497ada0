"""Sizes for one network input, whatever the export left free."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import Dim

from xbar.frontends.torch_module import from_torch
from xbar.rows.sizes import Sizes


class Halves(nn.Module):
    """Takes two neighbours of a sequence as one vector; input [batch, 2 * half, 4]."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.reshape(x.shape[0], x.shape[1] // 2, 8))


def test_free_sizes_are_solved_for() -> None:
    half = Dim("half", min=2, max=64)
    shapes = ({0: Dim("batch", max=1024), 1: 2 * half},)
    program = torch.export.export(Halves(), (torch.zeros(3, 10, 4),), dynamic_shapes=shapes)
    network = from_torch(program, torch.zeros(3, 14, 4))
    sizes = Sizes(network)
    assert sizes.batch == 1
    by_name = {node.name: sizes.shapes(node) for node in network.exported.graph.nodes}
    assert (by_name["x"], by_name["reshape"], by_name["linear"]) == ([(1, 14, 4)], [(1, 7, 8)], [(1, 7, 3)])
    (edge,) = network.flow.streams[1].edges
    assert (edge.n_units, edge.unit_elements) == (14, 4)
    assert edge.need_last.tolist() == [1, 3, 5, 7, 9, 11, 13]


def test_a_batch_that_is_built_in_stays() -> None:
    program = torch.export.export(Halves(), (torch.zeros(3, 10, 4),))
    network = from_torch(program)
    sizes = Sizes(network)
    assert sizes.batch == 3
    assert [s.rows for s in network.flow.streams] == [10, 5]
    assert network.flow.streams[1].edges[0].unit_elements == 4
