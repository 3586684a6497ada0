"""Memristor ADMM, Yuan et al., ISLPED 2019, arXiv 1908.11691: pruning convolutions by whole filters and columns to one
r-th saves 1 - 1/r of their crossbar area, and at 5 bits instead of 9, which take half of the crossbars, 1 - 0.5/r.

The savings are found by mapping a LeNet-5 with masks of the published ratios on crossbars of 32 x 32, 4-bit cells; the
masks are made by hand, accuracy is not looked at.
"""

from __future__ import annotations

import pytest
import torch
from models import CaffeLeNet
from small import small_chip

import mapping
import xbar
from mapping import Routing

# published ratio: (filters, columns) kept of conv1 20 x 25 and conv2 50 x 500; area saved in percent
MASKS = {17.69: ((10, 12), (30, 44)), 37.06: ((8, 10), (19, 32)), 105.52: ((6, 7), (10, 20))}
SAVED = {17.69: 94.34, 37.06: 97.30, 105.52: 99.05}


def _mapped(weight_bits: int, ratio: float | None = None) -> Routing:
    """The network, pruned to the ratio, at the bits: 9 bits in 2 cells per polarity, 5 in one."""
    torch.manual_seed(0)
    model = CaffeLeNet().eval()
    if ratio is not None:
        with torch.no_grad():
            for conv, (filters, columns) in zip((model.conv1, model.conv2), MASKS[ratio], strict=True):
                matrix = conv.weight.view(len(conv.weight), -1)
                keep = torch.zeros_like(matrix, dtype=torch.bool)
                rows, cols = (torch.randperm(n)[:k] for n, k in zip(matrix.shape, (filters, columns), strict=True))
                keep[rows[:, None], cols] = True
                matrix[~keep] = 0
    chip = small_chip(
        crossbar__rows=32,
        crossbar__cols=32,
        device__cell_bits=4,
        encoding={"kind": "differential", "layout": "separate"},
        precision={"weight_bits": weight_bits, "input_bits": 8, "granularity": "layer"},
        chip__tiles=10_000,
    )
    x = torch.rand(2, 1, 28, 28)
    return mapping.routing(mapping.compile(xbar.quantize(xbar.from_torch(model, x), x, chip), chip))


def _convolutions(result: Routing, what: str) -> int:
    return sum(getattr(layer, what) for layer in result.layers if layer.name.startswith("conv"))


@pytest.mark.parametrize("ratio", MASKS)
def test_area_saved_is_1_minus_1_over_the_ratio(ratio: float) -> None:
    whole, pruned = _mapped(9), _mapped(9, ratio)
    assert _convolutions(whole, "weights") / _convolutions(pruned, "weights") == pytest.approx(ratio, rel=5e-3)
    assert _convolutions(whole, "cells") == 4 * 25_500
    saved = 1 - _convolutions(pruned, "cells") / _convolutions(whole, "cells")
    assert saved == pytest.approx(1 - 1 / ratio, abs=0.015)
    assert 100 * saved == pytest.approx(SAVED[ratio], abs=1.5)


@pytest.mark.parametrize("ratio", MASKS)
def test_at_5_bits_half_of_the_rest_goes(ratio: float) -> None:
    saved = 1 - _convolutions(_mapped(5, ratio), "cells") / _convolutions(_mapped(9), "cells")
    assert saved == pytest.approx(1 - 0.5 / ratio, abs=0.015)


def test_whole_crossbars_go_too() -> None:
    """33 crossbars per plane, 500 x 50 in 16 x 2 and 25 x 20 in one; pruned, 44 x 30 in 2 and 12 x 10 in one."""
    assert _convolutions(_mapped(9), "crossbars") == 4 * 33
    assert _convolutions(_mapped(9, 17.69), "crossbars") == 4 * 3
