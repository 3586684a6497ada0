"""Receivers that get no bits, and chips that wait for the outside: both run to their end."""

from __future__ import annotations

import pytest
import torch
from flow_networks import flow_network
from small import CHIP, small_chip
from timed_chips import part, timed_chip
from torch import Tensor, nn

import mapping
import xbar
from xbar.cost.cycles import cycles
from xbar.traffic import edge_flows, takers


class Constant(nn.Module):
    """The second layer waits for the input, and takes nothing of it."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.first(x)) + self.second(torch.ones_like(x))


class Means(nn.Module):
    """A join of one number of 4 bits on the ten tiles of its layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(8, 40), nn.Linear(8, 40), nn.Linear(1, 3)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.first(x).mean(-1, keepdim=True), self.second(x).mean(-1, keepdim=True)
        return self.head(torch.relu(first + second))


@pytest.mark.parametrize("model", [Constant, Means])
def test_who_gets_no_bits_is_told_that_they_are_ready(model):
    network = xbar.from_torch(model().eval(), torch.rand(2, 8))
    outline = mapping.outline(network, small_chip(core__crossbars=1, tile__cores=1, chip__tiles=30))
    for stream in outline.flow.streams:
        for edge in stream.edges:
            reached = {tile for flow in edge_flows(outline, edge, stream) for tile in flow.targets}
            assert reached == set(takers(outline, stream))
    result = cycles(outline, 3)
    assert len(result.end_s) == 3
    assert result.bits_sent == result.bits_arrived


def test_a_slow_edge_of_the_chip_is_named_as_a_link():
    """4 bits per cycle over the edge, where the rest is fast."""
    chip = timed_chip(1000, 3, {}, core__crossbars=4).to_dict()
    slow = small_chip(
        **{section: chip[section] for section in ("crossbar", "core", "tile")},
        chip={"tiles": 3, "parts": {"link": {**CHIP["chip"]["parts"]["link"], **part("offchip_bits", 4)}}},
    )
    result = cycles(mapping.outline(flow_network("sequence"), slow), 8)
    assert result.bottleneck.startswith("link ")
    assert "faster links off the chip help" in result.bottleneck
