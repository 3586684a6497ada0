"""Non-zero slices against counting by hand, digit by digit, and what the crossbars hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from close import approx
from digits_training import chip, digits
from hypothesis import given, settings
from hypothesis import strategies as st
from small import random_weights, small_chip, small_network
from torch import nn

import mapping
from xbar.errors import XbarError
from xbar.frontends.torch_module import from_torch
from xbar.network import QuantizedNetwork
from xbar.program import Program
from xbar.quantization import quantize
from xbar.sim.slices import nonzero_slices, nonzero_slices_by_layer

# slices of two bits, here the higher one first: 5 = 1 1, 3 = 0 3, 15 = 3 3, 1 = 0 1, 4 = 1 0
FIRST = np.array([[5, -3, 0], [15, 0, 1]], np.int32)
SECOND = np.array([[0, -4]], np.int32)


def _network(*weights: np.ndarray, weight_bits: int = 5) -> QuantizedNetwork:
    """Weights [col, row] by layer."""
    return small_network(weights, weight_bits=weight_bits)


def _mapped(network: QuantizedNetwork, kind: str = "differential", cell_bits: int = 2) -> Program:
    changes: dict[str, Any] = {"encoding": {"kind": kind, "layout": "separate"}, "device__cell_bits": cell_bits}
    precision = {"weight_bits": network.precision.weight_bits, "input_bits": 4}
    return mapping.compile(network, small_chip(precision=precision, chip__tiles=100, **changes))


def _digits(word: int, cell_bits: int, n_slices: int) -> list[int]:
    """Of a number in base 2^cell_bits, the least significant first."""
    found = []
    for _ in range(n_slices):
        word, digit = divmod(word, 2**cell_bits)
        found.append(digit)
    return found


def test_by_hand() -> None:
    network = _network(FIRST, SECOND)
    program = _mapped(network)
    assert nonzero_slices_by_layer(network, 2) == {"layer0": (4 / 6, 2 / 6), "layer1": (0, 1 / 2)}
    assert nonzero_slices(network, 2) == (4 / 8, 3 / 8)  # over all weights, not the mean of the layers
    assert nonzero_slices(network, 4) == (5 / 8,)
    assert nonzero_slices(network, 3) == (5 / 8, 1 / 8)  # the upper slice has one bit: of 15 = 1 7
    assert nonzero_slices_by_layer(program) == nonzero_slices_by_layer(network, 2)
    assert nonzero_slices(program) == (4 / 8, 3 / 8)


def test_weights_that_are_left_off_the_crossbars_count_as_zero() -> None:
    sparse = np.zeros((4, 5), np.int32)
    sparse[1, 2] = 15
    program = _mapped(_network(sparse))
    assert program.layers[0].cells[0].size == 1
    assert nonzero_slices(program) == (1 / 20, 1 / 20)
    assert nonzero_slices(_mapped(_network(np.zeros((3, 2), np.int32)))) == (0, 0)
    assert nonzero_slices(_mapped(_network(np.full((3, 2), -15, np.int32)))) == (1, 1)


def test_with_offset_encoding_zero_is_a_level() -> None:
    # 5, -3, 0, 15, 0, 1 and 16 more: 21 = 1 1 1, 13 = 0 3 1, 16 = 1 0 0, 31 = 1 3 3, 16, 17 = 1 0 1
    assert nonzero_slices(_mapped(_network(FIRST), "offset")) == (4 / 6, 3 / 6, 5 / 6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), cell_bits=st.integers(1, 5), weight_bits=st.integers(3, 9))
def test_against_the_digits_of_every_weight(seed: int, cell_bits: int, weight_bits: int) -> None:
    top = 2 ** (weight_bits - 1) - 1
    weights = random_weights([(3, 4), (2, 3)], top, seed)
    n_slices = -(-(weight_bits - 1) // cell_bits)
    digits_of = [[_digits(abs(int(w)), cell_bits, n_slices) for w in layer.ravel()] for layer in weights]
    network = _network(*weights, weight_bits=weight_bits)
    by_layer = {f"layer{i}": tuple(np.mean(np.array(d) > 0, axis=0)) for i, d in enumerate(digits_of)}
    assert nonzero_slices_by_layer(network, cell_bits) == by_layer
    wanted = tuple(np.mean(np.concatenate(digits_of) > 0, axis=0))
    assert nonzero_slices(network, cell_bits) == wanted
    assert nonzero_slices(_mapped(network, cell_bits=cell_bits)) == wanted


def test_layers_of_fewer_slices_meet_at_the_least_significant() -> None:
    network = _network(FIRST, SECOND)
    narrow = replace(network.layers[1], weight_bits=3, weight_q=np.array([[0, -3]], np.int32))
    network = replace(network, layers=(network.layers[0], narrow))
    assert nonzero_slices_by_layer(network, 2) == {"layer0": (4 / 6, 2 / 6), "layer1": (1 / 2,)}
    assert nonzero_slices(network, 2) == (5 / 8, 2 / 8)


def test_groups_and_shared_weights() -> None:
    """A layer that is there twice holds its weights twice; groups hold theirs once."""

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fc = nn.Conv2d(2, 4, 3, groups=2), nn.Linear(6, 6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.fc(self.conv(torch.cat([x, x], 1)).flatten(2).sum(1)[:, :6]))

    images = digits("train")[0][:20]
    torch.manual_seed(0)
    network = quantize(from_torch(Twice(), images[:2]), images, chip())
    by_layer = nonzero_slices_by_layer(network, 2)
    assert len(by_layer) == 3
    shared = [q.layer.name for q in network.layers if q.layer.weight.shape == (6, 6)]
    assert by_layer[shared[0]] == by_layer[shared[1]]
    conv, fc = (np.array(by_layer[name]) for name in (network.layers[0].layer.name, shared[0]))
    assert nonzero_slices(network, 2) == approx((4 * 9 * conv + 2 * 36 * fc) / (4 * 9 + 2 * 36))
    assert nonzero_slices_by_layer(mapping.compile(network, chip())) == by_layer


@pytest.mark.parametrize("cell_bits", [None, 0, -1, 17])
def test_a_quantized_network_needs_the_bits_of_its_cells(cell_bits: int | None) -> None:
    with pytest.raises(XbarError, match=f"a whole number from 1 to 16, got {cell_bits}; for example 2"):
        nonzero_slices(_network(FIRST), cell_bits)


def test_a_program_has_them_from_its_chip() -> None:
    with pytest.raises(XbarError, match="cell_bits: a program has those of its chip, got 2; leave it out"):
        nonzero_slices_by_layer(_mapped(_network(FIRST)), 2)
