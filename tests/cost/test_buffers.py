"""Buffers that are too small, and what does not fit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from flow_networks import flow_network
from small import random_weights, small_chip, small_network
from timed_chips import part, timed_chip
from torch import Tensor, nn

import hw_configs
import mapping
import xbar
from xbar.cost.buffers import waiting_rows
from xbar.cost.cycles import cycles
from xbar.errors import CapacityError, ConfigError, DataError
from xbar.hardware import load_chip
from xbar.timing import Cycles

BUS = {"bus": part("bus_bits", 8)}
ISAAC = Path(hw_configs.__file__).with_name("isaac_isca_2016.yaml").read_text()


def run(name: str, capacity_bytes: int, tiles: int, cores: int = 1) -> Cycles:
    chip = timed_chip(capacity_bytes, tiles, BUS, core__crossbars=4, tile__cores=cores)
    return cycles(mapping.outline(flow_network(name), chip), 2)


def refusal(name: str, capacity_bytes: int, tiles: int, cores: int = 1) -> tuple[str, ...]:
    with pytest.raises(CapacityError) as caught:
        run(name, capacity_bytes, tiles, cores)
    return tuple(caught.value.problems)


def test_a_buffer_smaller_than_a_window():
    """Three tiles. conv1: rows of 2 x 5 pixels of 4 bits; a window of 3 x 3 needs two, and three fifths of the next:
    80 + 24 bits. conv2: rows of 3 x 5, two of them, of the second a fifth: 60 + 12 bits. fc: all, two rows of 4 x 2: 64
    bits.
    """
    text = (
        "{0}: the buffer of tile {1} must hold one window of its input, {2} bytes, got {3}; "
        "set the capacity_bytes of the tiles' buffer to 13 or more"
    )
    conv1, conv2, fc = ("conv1", 0, 13), ("conv2", 1, 9), ("fc", 2, 8)
    for capacity, short in ((12, [conv1]), (8, [conv1, conv2]), (7, [conv1, conv2, fc]), (1, [conv1, conv2, fc])):
        assert refusal("chain", capacity, 3) == tuple(text.format(*window, capacity) for window in short)
    assert max(b.high_bytes for b in run("chain", 13, 3).buffers) <= 13


def test_windows_that_fit_one_by_one_and_not_together():
    """One tile for all: three layers and the two sides of the join take a row of 8 x 4 bits each."""
    (problem,) = refusal("vectors", 19, 1, 9)
    assert problem == (
        "all buffers together must hold a window of every layer and join, 20 bytes (the largest: fc1, 4), got 1 x 19; "
        "set the capacity_bytes of the tiles' buffer to 20 or more"
    )
    assert (
        "fc1: the buffer of tile 0 must hold one window of its input, 4 bytes, got 3; "
        in refusal("vectors", 3, 1, 9)[0]
    )
    assert all(problem.endswith("to 20 or more") for problem in refusal("vectors", 3, 1, 9))
    result = run("vectors", 20, 1, 9)
    assert max(b.high_bytes for b in result.buffers) <= 20


def test_tiles_lend_each_other_room_and_it_is_told():
    """conv2's window of rows of 5 x 4 pixels takes 2 x 80 + 60 bits, each side of the join, in the same tile, a row of
    3 x 4: 316 bits in all, and the buffer has 36 x 8 = 288. 40 bytes hold all of them."""
    note = "{} bytes of rows that wait find no place in their tiles' buffers and lie in those of other tiles; "
    result = run("residual", 36, 8)
    assert [n for n in result.notes if n.startswith(note.format(4))] == list(result.notes)
    assert max(b.high_bytes for b in result.buffers) <= 40
    result = run("residual", 40, 8)
    assert result.notes == ()
    assert max(b.high_bytes for b in result.buffers) <= 40


def test_buffers_without_a_size_are_never_full():
    result = cycles(mapping.outline(flow_network("residual"), small_chip(chip__tiles=40)), 2)
    assert result.notes == ("buffers of tiles have no size, so they are never full",)
    assert {b.capacity_bytes for b in result.buffers} == {None}


class Attention(nn.Module):
    """Every row of the product needs all rows of one side."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.out = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.relu(self.query(x) @ self.key(x).transpose(1, 2)))


def test_maps_that_every_row_needs_lie_outside():
    network = xbar.from_torch(Attention().eval(), torch.rand(2, 6, 8))
    result = cycles(mapping.outline(network, timed_chip(8, 3, BUS, core__crossbars=4)), 2)
    assert result.notes == ("kept outside of the tiles' buffers: whole maps that are needed at once (matmul)",)
    assert max(b.high_bytes for b in result.buffers) > 8


def test_rows_that_wait_at_their_source():
    """conv1 makes 2 rows for each of the pooled ones that conv2 takes."""
    flow = flow_network("chain").flow
    assert [s.name for s in flow.streams] == ["x", "conv1", "conv2", "fc"]
    assert waiting_rows(flow.streams) == [2, 3, 2, 2]


@pytest.mark.parametrize(
    ("setting", "wrong", "problem"),
    [
        ("flit_bits: 32", "flit_bits: 0", "tile.parts.router.flit_bits: must be 1 or more, got 0"),
        ("clock_Hz: 1 GHz", "clock_Hz: 0 Hz", "tile.parts.router.clock_Hz: must be more than 0, got 0 Hz"),
        ("word_bits: 256", "word_bits: 0", "tile.parts.eDRAM buffer.word_bits: must be 1 or more, got 0"),
        ("rate_Hz: 384 GHz", "rate_Hz: 0 Hz", "tile.parts.eDRAM bus.rate_Hz: must be more than 0, got 0 Hz"),
        ("rate_Hz: 51.2 GHz", "rate_Hz: 0 Hz", "chip.parts.HyperTransport link.rate_Hz: must be more than 0, got 0 Hz"),
    ],
)
def test_ways_that_carry_nothing_are_refused_by_line(tmp_path, setting, wrong, problem):
    assert ISAAC.count(setting) == 1
    file = tmp_path / "chip.yaml"
    file.write_text(ISAAC.replace(setting, wrong))
    line = ISAAC[: ISAAC.index(setting)].count("\n") + 1
    with pytest.raises(ConfigError, match=re.escape(f"{file}:{line}: {problem}")):
        load_chip(file)


def test_more_tiles_than_there_are():
    chip = timed_chip(64, 2, BUS, core__crossbars=4)
    with pytest.raises(CapacityError, match="the network needs 3 tiles, got 2"):
        mapping.outline(flow_network("chain"), chip)


@pytest.mark.parametrize("n_inputs", [0, -3])
def test_no_inputs(n_inputs):
    program = mapping.compile(small_network(random_weights([(4, 4)])), small_chip())
    with pytest.raises(DataError, match=f"n_inputs: must be 1 or more, got {n_inputs}"):
        cycles(program, n_inputs)
