"""Group Scissor, Wang et al., DAC 2017, arXiv 1702.03443: cells of rank-clipped networks, counted by mapping them.

Caffe's LeNet has 430,500 weights; at ranks 5, 12 and 36 58,625 are left, 13.62 % of the crossbar area. Caffe's
cifar10_full has 89,440; at ranks 12, 19 and 22 46,340 are left, 51.81 %. The classifier stays whole.
"""

from __future__ import annotations

import pytest
import torch
from small import small_chip
from torch import Tensor, nn

import mapping
import xbar
from mapping import Routing
from xbar.demo.models import CaffeConvNet, CaffeLeNet


def factorised(model: nn.Module, ranks: dict[str, int]) -> nn.Module:
    """The layers named as two each, W = U V^T of these ranks; the rest, classifier included, as it is."""
    for name, rank in ranks.items():
        layer = getattr(model, name)
        if isinstance(layer, nn.Conv2d):
            u = nn.Conv2d(layer.in_channels, rank, 5, padding=layer.padding, bias=False)  # type: ignore[arg-type]
            pair = nn.Sequential(u, nn.Conv2d(rank, layer.out_channels, 1))
        else:
            u = nn.Linear(layer.in_features, rank, bias=False)
            pair = nn.Sequential(u, nn.Linear(rank, layer.out_features))
        setattr(model, name, pair)
    return model


def routed(model: nn.Module, x: Tensor) -> Routing:
    """On crossbars of 64 x 64 weights."""
    chip = small_chip(
        crossbar__rows=64,
        crossbar__cols=64,
        encoding={"kind": "differential", "layout": "separate"},
        precision={"weight_bits": 8, "input_bits": 8},
        chip__tiles=10_000,
    )
    return mapping.routing(mapping.compile(xbar.quantize(xbar.from_torch(model.eval(), x), x, chip), chip))


@pytest.fixture(autouse=True)
def _weights() -> None:
    torch.manual_seed(0)


def test_lenet_has_430500_weights_and_58625_at_ranks_5_12_36() -> None:
    x = torch.rand(2, 1, 28, 28)
    whole = routed(CaffeLeNet(), x)
    assert [layer.weights for layer in whole.layers] == [25 * 20, 500 * 50, 800 * 500, 500 * 10]
    clipped = routed(factorised(CaffeLeNet(), {"conv1": 5, "conv2": 12, "fc1": 36}), x)
    assert (whole.weights, clipped.weights) == (430_500, 58_625)
    assert clipped.weights / whole.weights == pytest.approx(0.1362, abs=5e-5)
    assert whole.area_rel == clipped.area_rel == 1  # ranks delete no wires


def test_convnet_has_89440_weights_and_46340_at_ranks_12_19_22() -> None:
    x = torch.rand(2, 3, 32, 32)
    whole = routed(CaffeConvNet(), x)
    assert [layer.weights for layer in whole.layers] == [75 * 32, 800 * 32, 800 * 64, 1024 * 10]
    clipped = routed(factorised(CaffeConvNet(), {"conv1": 12, "conv2": 19, "conv3": 22}), x)
    assert (whole.weights, clipped.weights) == (89_440, 46_340)
    assert clipped.weights / whole.weights == pytest.approx(0.5181, abs=5e-5)


def test_groups_deleted_by_hand_leave_the_published_kind_of_figure() -> None:
    """A factor of 800 x 36 in blocks of 64 rows: with half of the columns of every second block and half of the rows
    gone, the wires that are left are counted, and squared."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 36, bias=False))
    with torch.no_grad():
        model[1].weight[:, ::2] = 0  # 392 of 784 rows
        for block in range(1, 13, 2):
            model[1].weight[:18, 64 * block : 64 * (block + 1)] = 0
    (layer,) = routed(model, torch.rand(2, 1, 28, 28)).layers
    n_blocks = 13
    assert layer.all_wires == 784 + n_blocks * 36
    assert layer.wires == 392 + 7 * 36 + 6 * 18
    assert layer.area_rel == ((392 + 7 * 36 + 6 * 18) / (784 + 13 * 36)) ** 2
