"""Memristor ADMM, Yuan et al., ISLPED 2019, arXiv 1908.11691: pruning convolutions by whole filters and columns to one
r-th saves 1 - 1/r of their crossbar area, and at 5 bits instead of 9, which take half of the crossbars, 1 - 0.5/r.

The savings are found by mapping a LeNet-5 with masks of the published ratios on crossbars of 32 x 32, 4-bit cells; the
masks are made by hand, accuracy is not looked at.
"""

from __future__ import annotations

import pytest
import torch
from close import approx
from models import CaffeLeNet
from small import small_chip
from torch import nn

import mapping
import xbar
from mapping import Routing
from xbar.hardware import Chip

# published ratio: (filters, columns) kept of conv1 20 x 25 and conv2 50 x 500; area saved in percent
MASKS = {17.69: ((10, 12), (30, 44)), 37.06: ((8, 10), (19, 32)), 105.52: ((6, 7), (10, 20))}
SAVED = {17.69: 94.34, 37.06: 97.30, 105.52: 99.05}


def _chip(weight_bits: int, rows: int, cols: int) -> Chip:
    """4-bit cells, a crossbar for each sign and slice."""
    return small_chip(
        crossbar__rows=rows,
        crossbar__cols=cols,
        device__cell_bits=4,
        encoding={"kind": "differential", "layout": "separate"},
        precision={"weight_bits": weight_bits, "input_bits": 8, "granularity": "layer"},
        chip__tiles=10_000,
    )


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
    chip = _chip(weight_bits, 32, 32)
    x = torch.rand(2, 1, 28, 28)
    return mapping.routing(mapping.compile(xbar.quantize(xbar.from_torch(model, x), x, chip), chip))


def _convolutions(result: Routing, what: str) -> int:
    return sum(getattr(layer, what) for layer in result.layers if layer.name.startswith("conv"))


@pytest.mark.parametrize("ratio", MASKS)
def test_area_saved_is_1_minus_1_over_the_ratio(ratio: float) -> None:
    whole, pruned = _mapped(9), _mapped(9, ratio)
    assert _convolutions(whole, "weights") / _convolutions(pruned, "weights") == approx(ratio, rel=5e-3)
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


# network: (crossbar rows, cols), rows and columns of one of its matrices, {published ratio: area saved in percent}
TABLE: dict[str, tuple[tuple[int, int], tuple[int, int], dict[float, float]]] = {
    "LeNet-5": ((32, 32), (500, 50), {17.69: 94.34, 37.06: 97.30, 105.52: 99.05}),
    "ConvNet": ((32, 32), (800, 64), {2.35: 57.45, 5.88: 82.99}),
    "VGG-16": ((128, 64), (1152, 256), {9.31: 89.26, 29.81: 96.65}),
    "ResNet-18": ((128, 64), (1152, 256), {11.75: 91.49, 20.88: 95.21}),
}
ROWS = [(net, ratio, saved) for net, (_, _, rows) in TABLE.items() for ratio, saved in rows.items()]


@pytest.mark.parametrize(("net", "ratio", "saved"), ROWS)
@pytest.mark.parametrize(("weight_bits", "planes"), [(9, 4), (5, 2)])
def test_every_row_of_the_table(net: str, ratio: float, saved: float, weight_bits: int, planes: int) -> None:
    """A matrix of the network's shape, whose whole rows and columns are pruned to the ratio, on its crossbars.

    9 bits take four crossbars of 4-bit cells, 5 bits two: then 1 - 0.5 / ratio is saved.
    """
    (rows, cols), (n_rows, n_cols), _ = TABLE[net]
    layer = nn.Linear(n_rows, n_cols, bias=False)
    kept_cols = max(1, round(n_cols / ratio**0.5))
    kept_rows = round(n_rows * n_cols / ratio / kept_cols)
    with torch.no_grad():
        layer.weight[kept_cols:] = 0
        layer.weight[:, kept_rows:] = 0
    chip = _chip(weight_bits, rows, cols)
    x = torch.rand(2, n_rows)
    found = mapping.routing(mapping.compile(xbar.quantize(xbar.from_torch(nn.Sequential(layer), x), x, chip), chip))
    assert found.cells == planes * kept_rows * kept_cols
    area_saved = 1 - found.cells / (4 * n_rows * n_cols)
    assert area_saved == pytest.approx(1 - planes / 4 / ratio, abs=0.015)
    if weight_bits == 9:
        assert 100 * area_saved == pytest.approx(saved, abs=1.5)
