"""Residual networks whose skip does not find a place: what the error tells, and that its remedy is one."""

from __future__ import annotations

import re

import pytest
import torch
from timed_chips import part, timed_chip
from torch import Tensor, nn

import mapping
import xbar
from xbar.cost.cycles import cycles
from xbar.errors import CapacityError
from xbar.network import Network

BUS = {"bus": part("bus_bits", 8)}


class Branch(nn.Module):
    """`depth` convolutions beside a skip, which has one of its own if `projected`; input [1, 10, 4]."""

    def __init__(self, depth: int, kernel: int, projected: bool, pooled: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 1)
        self.convs = nn.ModuleList(nn.Conv2d(2, 2, kernel, padding=kernel // 2) for _ in range(depth))
        self.skip = nn.Conv2d(2, 2, 1) if projected else nn.Identity()
        self.pooled = pooled

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.stem(x))
        y = x
        for conv in self.convs:
            y = torch.relu(conv(y))
        x = self.skip(x)
        if self.pooled:
            x, y = torch.max_pool2d(x, 2), torch.max_pool2d(y, 2)
        return x + y


def branch(depth: int, kernel: int = 3, projected: bool = False, pooled: bool = False) -> Network:
    return xbar.from_torch(Branch(depth, kernel, projected, pooled).eval(), torch.rand(2, 1, 10, 4), name="branch")


def refusal(network: Network, capacity_bytes: int) -> str:
    """What is said of a chip of a single tile."""
    with pytest.raises(CapacityError) as caught:
        cycles(mapping.outline(network, timed_chip(capacity_bytes, 1, BUS, tile__cores=30)), 3)
    return str(caught.value)


def test_a_skip_that_is_full_by_hand():
    """Rows of the stem have 2 x 4 numbers of 4 bits: 4 bytes. The window of each of four 3 x 3 convolutions takes two
    rows and three quarters, 11 bytes, that of the stem itself half a byte, each side of the join a row: 52.5 bytes.

    Row 0 of the join needs row 4 of the stem, through four convolutions. Two rows may wait at the stem, so the skip
    must hold the other three: two rows more, 60.5 bytes.
    """
    network = branch(4)
    windows = refusal(network, 52)
    assert windows.startswith("all buffers together must hold a window of every layer and join, 53 bytes")
    assert windows.endswith("to 61 or more")
    for capacity in (53, 60):
        text = refusal(network, capacity)
        assert text.startswith("branch on small: a deadlock after 0 of 3 inputs: ")
        assert "stem cannot send to add, whose buffer in tile 0 holds 1 of its rows and is full; " in text
        assert "stem waits until its results are sent; " in text
        assert "convs.0 waits for its input; " in text
        assert text.endswith(f"got {capacity}; set the capacity_bytes of the tiles' buffer to 61 or more")
    result = cycles(mapping.outline(network, timed_chip(61, 1, BUS, tile__cores=30)), 3)
    assert result.bits_sent == result.bits_arrived
    assert [b.high_bytes <= 61 for b in result.buffers] == [True]


@pytest.mark.parametrize(
    ("depth", "kernel", "projected", "pooled"),
    [(2, 5, False, False), (3, 3, True, False), (3, 3, False, True), (2, 5, True, True), (1, 7, False, False)],
)
def test_the_size_that_is_asked_for_is_enough(depth, kernel, projected, pooled):
    """From the first refusal on; where the skip is not a branch of its own, a byte less is not."""
    network = branch(depth, kernel, projected, pooled)
    found = re.findall(r"to (\d+) or more", refusal(network, 1))
    assert len(set(found)) == 1
    enough = int(found[0])
    cycles(mapping.outline(network, timed_chip(enough, 1, BUS, tile__cores=30)), 4)
    if not projected:
        assert f"to {enough} or more" in refusal(network, enough - 1)
