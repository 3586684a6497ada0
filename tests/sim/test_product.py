"""Exact products in floating point."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xbar.sim.product import ExactProduct


@pytest.mark.parametrize(
    ("rows", "top", "largest", "cuts", "dtype"),
    [
        (100, 100, 255, 1, torch.float32),
        (3000, 120, 255, 6, torch.float32),
        (300, 2**15, 2**15, 1, torch.float64),
        (1, 2**15, 2**15, 1, torch.float64),
    ],
)
@pytest.mark.parametrize("groups", [1, 3])
def test_exact_at_the_edge(rows: int, top: int, largest: int, cuts: int, dtype: torch.dtype, groups: int) -> None:
    weights = np.full((groups, rows, 2), top, np.int64)
    weights[:, ::2, 1] *= -1
    product = ExactProduct.of(weights, largest)
    assert (len(product.weights), product.weights[0].dtype) == (cuts, dtype)
    x = np.full((3, groups, rows), largest)
    x[1, :, ::2] -= 1
    wanted = np.einsum("vgr,grc->vgc", x, weights)
    np.testing.assert_array_equal(product(torch.from_numpy(x).float()).numpy(), wanted)


def test_no_weights_no_work() -> None:
    product = ExactProduct.of(np.zeros((1, 5, 2), np.int64), 255)
    assert product.is_zero
    assert not product(torch.ones(3, 1, 5)).any()


def test_float64_where_torch_may_shorten_float32() -> None:
    torch.set_float32_matmul_precision("medium")
    try:
        product = ExactProduct.of(np.ones((1, 5, 2), np.int64), 255)
    finally:
        torch.set_float32_matmul_precision("highest")
    assert product.weights[0].dtype == torch.float64
