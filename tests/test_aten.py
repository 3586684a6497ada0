"""What the nodes of an exported graph mean."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from xbar.aten import Constants, find_product, is_in_place, is_view, op_name, sizes_of


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.arange(12.0).reshape(3, 4))
        self.register_buffer("seen", torch.zeros(2), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        table = torch.zeros(2, 3)
        table[:, 0] = 7  # written: no constant, although nothing in it depends on the input
        noise = torch.rand(3)
        y = torch.relu_(x @ self.w.t()).view(-1, 3) + table.sum(0)
        self.seen.add_(y[0, :2])  # type: ignore[operator, union-attr]
        return y + noise


@pytest.fixture(scope="module")
def program() -> torch.export.ExportedProgram:
    with torch.no_grad():
        return torch.export.export(Mixed(), (torch.randn(2, 4),), dynamic_shapes=({0: torch.export.Dim.AUTO},))


def test_constants_are_what_parameters_alone_determine(program: torch.export.ExportedProgram) -> None:
    constants = Constants(program)
    ops = {op_name(n) for n in constants.nodes if n.op == "call_function"}
    assert "t" in ops
    assert not ops & {"zeros", "rand", "add_", "relu_", "matmul", "sum"}
    paths = {constants.target(n) for n in program.graph.nodes} - {None}
    assert {"w", "seen"} <= paths
    assert "seen" not in {constants.target(n) for n in constants.nodes}


def test_products_are_found_with_their_weights(program: torch.export.ExportedProgram) -> None:
    constants = Constants(program)
    found = {op_name(n): p for n in program.graph.nodes if (p := find_product(n, constants)) is not None}
    assert list(found) == ["matmul"]
    weight = found["matmul"].weight(constants.value(found["matmul"].operand))  # type: ignore[union-attr]
    assert torch.equal(weight, torch.arange(12.0).reshape(3, 4))
    assert not weight.requires_grad


def test_in_place_operations_and_views(program: torch.export.ExportedProgram) -> None:
    nodes = {op_name(n): n for n in program.graph.nodes if n.op == "call_function"}
    assert is_in_place(nodes["relu_"])
    assert not is_in_place(nodes["matmul"])
    assert is_view(nodes["view"])
    assert not is_view(nodes["matmul"])


def test_free_sizes_are_none(program: torch.export.ExportedProgram) -> None:
    (x,) = [n for n in program.graph.nodes if n.name == "x"]
    assert sizes_of(x) == (None, 4)
