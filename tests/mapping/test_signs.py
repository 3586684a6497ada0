"""Which layers may see negative inputs: by hand, and never against what data shows."""

from __future__ import annotations

import pytest
import torch
from models import SHAPES, inputs, traced
from torch import nn

import xbar
from mapping.signs import signed_inputs
from xbar.quantization import quantize


class Residual(nn.Module):
    """A sum of two ReLUs is positive, of a ReLU and a bare convolution not."""

    def __init__(self, bare: bool) -> None:
        super().__init__()
        self.a, self.b, self.c = (nn.Conv2d(3, 3, 3, padding=1) for _ in range(3))
        self.bare = bare

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.a(x).relu()
        z = self.b(y)
        return self.c(y + (z if self.bare else z.relu()))


def signed(*modules: nn.Module, shape: tuple[int, ...] = (2, 3, 8, 8)) -> frozenset[str]:
    return signed_inputs(xbar.from_torch(nn.Sequential(*modules), torch.rand(shape)))


def test_pixels_and_what_follows_a_relu_are_positive():
    pools = nn.MaxPool2d(2), nn.AvgPool2d(2), nn.Dropout(), nn.Flatten()
    assert signed(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), *pools, nn.Linear(16, 5)) == frozenset()
    assert signed(nn.Conv2d(3, 4, 3, padding=1), *pools, nn.Linear(16, 5)) == {"5"}
    assert signed(nn.Linear(8, 4), nn.GELU(), nn.Linear(4, 2), shape=(2, 8)) == {"2"}
    assert signed(nn.Linear(8, 4), nn.ReLU6(), nn.Linear(4, 2), shape=(2, 8)) == frozenset()
    assert signed(nn.Linear(8, 4), nn.Hardtanh(-1, 1), nn.Linear(4, 2), shape=(2, 8)) == {"2"}


def test_batch_norm_and_layer_norm_make_signs():
    norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
    assert signed(*norm, nn.Conv2d(4, 2, 1)) == {"2"}
    assert signed(*norm, nn.ReLU(), nn.Conv2d(4, 2, 1)) == frozenset()
    assert signed(nn.LayerNorm(8), nn.Linear(8, 2), shape=(2, 8)) == {"1"}


@pytest.mark.parametrize("bare", [False, True])
def test_sums_are_positive_where_all_of_them_are(bare):
    network = xbar.from_torch(Residual(bare), torch.rand(2, 3, 8, 8))
    assert signed_inputs(network) == ({"c"} if bare else frozenset())


@pytest.mark.parametrize("kind", SHAPES, ids=lambda kind: kind.__name__)
def test_no_layer_that_is_called_positive_sees_a_negative_input(kind):
    network = traced(kind)
    observed = quantize(network, [inputs(kind, 3).abs()], xbar.load_chip("isaac_isca_2016"))
    assert {q.layer.name for q in observed.layers if q.input_signed} <= signed_inputs(network)
