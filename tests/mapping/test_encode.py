"""Encodings must hold exactly the weights, whatever the bits, the blocks and the flips."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mapping.encode import Encoded, encode
from mapping.partition import row_edges


def block_products(coded: Encoded, x: np.ndarray, edges: tuple[int, ...], cell_bits: int) -> np.ndarray:
    """The right-hand side of the identity in mapping/encode.py: x int64 [group, row] -> [group, col]."""
    group, _, col = coded.cells.shape[1:]
    total = np.zeros((group, col), dtype=np.int64)
    for b, (first, last) in enumerate(pairwise(edges)):
        xb = x[:, first:last]
        for p, s in enumerate(coded.plane_slice):
            sums = np.einsum("gr,grc->gc", xb, coded.cells[p, :, first:last].astype(np.int64))
            total += (1 << (cell_bits * s)) * coded.plane_sign[p, b].astype(np.int64) * sums
        if coded.unit_coef is not None:
            total += coded.unit_coef[b] * xb.sum(axis=1)[:, None]
    return total


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["differential", "offset", "flipped", "ternary"]),
    weight_bits=st.integers(2, 16),
    cell_bits=st.integers(1, 8),
    group=st.integers(1, 3),
    row=st.integers(1, 40),
    col=st.integers(1, 5),
    block=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_encoding_computes_the_exact_product(kind, weight_bits, cell_bits, group, row, col, block, seed):
    rng = np.random.default_rng(seed)
    if kind == "ternary":
        weight_bits, cell_bits = 2, 1
    top = (1 << (weight_bits - 1)) - 1
    slices = -(-(weight_bits - (kind not in ("offset", "flipped"))) // cell_bits)
    weights = rng.integers(-top, top + 1, (group, row, col), dtype=np.int32)
    weights[:, :, 0] = top  # a heavy column, which flips
    x = rng.integers(-5, 256, (group, row))
    edges = row_edges(row, block)
    name = "offset" if kind == "flipped" else kind
    coded = encode(weights, edges, name, weight_bits, cell_bits, slices, kind == "flipped")
    assert len(coded.cells) == slices * (1 if name == "offset" else 2)
    assert coded.cells.max(initial=0) < 1 << cell_bits
    expected = np.einsum("gr,grc->gc", x, weights.astype(np.int64))
    np.testing.assert_array_equal(block_products(coded, x, edges, cell_bits), expected)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), skew=st.floats(0.05, 20), weight_bits=st.integers(2, 16))
def test_flipped_columns_of_128_rows_and_2_bit_cells_need_8_bits(seed, skew, weight_bits):
    """Shafiee 2016: 128 rows of 2-bit cells would need 9 bits; flipped columns bring every sum to 8."""
    top = (1 << (weight_bits - 1)) - 1
    u = np.random.default_rng(seed).random((1, 300, 6)) ** skew
    weights = np.rint(u * 2 * top - top).astype(np.int32)
    edges = row_edges(300, 128)
    coded = encode(weights, edges, "offset", weight_bits, 2, -(-weight_bits // 2), flipped=True)
    assert np.add.reduceat(coded.cells, edges[:-1], axis=2, dtype=np.int64).max() <= 128 * 3 // 2 < 2**8


def test_without_flipping_9_bits_can_be_needed():
    weights = np.full((1, 128, 1), 127, dtype=np.int32)
    coded = encode(weights, (0, 128), "offset", 8, 2, 4, flipped=False)
    assert coded.cells.sum(axis=2, dtype=np.int64).max() == 384 > 2**8


def test_hand_sized_offset_with_one_flip():
    """Weights 5 and -2 in 4 bits: 13 = 0b1101 and 6 = 0b0110; 2-bit slices: low (1, 2), high (3, 1).

    High slice: the sum 4 exceeds half of 2 x 3, so it is stored as (0, 2) with sign -1, and 3 x 4 joins the unit
    column.
    """
    coded = encode(np.array([[[5], [-2]]], dtype=np.int32), (0, 2), "offset", 4, 2, 2, flipped=True)
    np.testing.assert_array_equal(coded.cells[:, 0, :, 0], [[1, 2], [0, 2]])
    np.testing.assert_array_equal(coded.plane_sign[:, 0, 0, 0], [1, -1])
    assert coded.unit_coef is not None
    assert coded.unit_coef.tolist() == [[[-8 + 12]]]


def test_hand_sized_differential():
    """Weights 6 and -5 in 4 bits over 2-bit cells: magnitudes 0b110 and 0b101."""
    coded = encode(np.array([[[6], [-5]]], dtype=np.int32), (0, 2), "differential", 4, 2, 2, flipped=False)
    np.testing.assert_array_equal(coded.cells[:, 0, :, 0], [[2, 0], [1, 0], [0, 1], [0, 1]])
    assert coded.plane_slice == (0, 1, 0, 1)
    assert coded.plane_sign[:, 0, 0, 0].tolist() == [1, 1, -1, -1]
    assert coded.unit_coef is None
