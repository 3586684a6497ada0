"""The digital host gives what the model gives; unrolling is the convolution."""

from __future__ import annotations

from functools import cache
from itertools import product

import models
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from xbar import host
from xbar.errors import DataError
from xbar.frontends.torch_module import from_torch
from xbar.network import ConvShape, MatrixLayer, Network


@cache
def _traced_with_one(kind: type[nn.Module]) -> Network:
    return from_torch(models.build(kind), models.inputs(kind, 1, seed=9))


@pytest.mark.parametrize("kind", models.SHAPES, ids=lambda k: k.__name__)
@pytest.mark.parametrize("batch", [1, 5])
def test_the_host_gives_what_the_model_gives(kind: type[nn.Module], batch: int) -> None:
    model, x, network = models.build(kind), models.inputs(kind, batch), _traced_with_one(kind)
    with torch.no_grad():
        expected = model(x.clone())
    before = x.clone()
    result = host.run(network, x)
    assert torch.equal(x, before)
    torch.testing.assert_close(result, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert not result.requires_grad


@pytest.mark.parametrize("kind", models.SHAPES, ids=lambda k: k.__name__)
def test_unrolled_products_equal_the_float_products(kind: type[nn.Module]) -> None:
    network, x = models.traced(kind), models.inputs(kind, 3)
    counted: dict[str, int] = {}
    elements: dict[str, int] = {}

    def compute(index: int, layer: MatrixLayer, a: Tensor) -> Tensor:
        rows = host.vectors(a, layer.conv, layer.groups)
        assert rows.shape[1:] == (layer.groups, layer.n_rows)
        counted[layer.name], elements[layer.name] = rows.shape[0], a.numel()
        weight = torch.from_numpy(layer.weight).reshape(layer.groups, layer.n_cols, layer.n_rows)
        y = torch.einsum("vgr,gcr->vgc", rows, weight)
        if layer.bias is not None:
            y = y + torch.from_numpy(layer.bias).reshape(layer.groups, layer.n_cols)
        return host.fold_back(y, a.shape, layer.conv)

    expected = host.run(network, x)
    torch.testing.assert_close(host.run(network, x, compute), expected, rtol=1e-4, atol=1e-4)
    assert counted == {layer.name: 3 * layer.vectors_per_input for layer in network.layers}
    assert elements == {layer.name: 3 * layer.input_elements for layer in network.layers}


def test_vectors_of_a_hand_sized_image() -> None:
    x = torch.arange(9.0).reshape(1, 1, 3, 3)
    rows = host.vectors(x, ConvShape((2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1)), 1)
    assert rows[:, 0].tolist() == [[0, 1, 3, 4], [1, 2, 4, 5], [3, 4, 6, 7], [4, 5, 7, 8]]


def test_vectors_of_groups_hold_each_groups_own_channels() -> None:
    x = torch.arange(4.0).reshape(1, 4, 1)
    rows = host.vectors(x, ConvShape((1,), (1,), ((1, 0),), (1,)), 2)
    assert rows.tolist() == [[[0, 0], [0, 0]], [[0, 1], [2, 3]]]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_vectors_and_fold_back_are_a_convolution(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 3))
    small = st.integers(1, 3)
    kernel, stride, dilation = (tuple(data.draw(small) for _ in range(n)) for _ in range(3))
    padding = tuple((data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))) for _ in range(n))
    groups, channels, cols, batch = (data.draw(small) for _ in range(4))
    space = tuple(d * (k - 1) + 1 + data.draw(st.integers(0, 3)) for d, k in zip(dilation, kernel, strict=True))
    conv = ConvShape(kernel, stride, padding, dilation)
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    x = torch.randint(-4, 5, (batch, groups * channels, *space), generator=generator).double()
    weight = torch.randint(-4, 5, (groups * cols, channels, *kernel), generator=generator).double()
    if data.draw(st.booleans()):
        x = x.transpose(0, 1).contiguous().transpose(0, 1)
    rows = host.vectors(x, conv, groups)
    y = torch.einsum("vgr,gcr->vgc", rows, weight.reshape(groups, cols, -1))
    padded = functional.pad(x, [side for pair in reversed(padding) for side in pair])
    function = (functional.conv1d, functional.conv2d, functional.conv3d)[n - 1]
    expected = function(padded, weight, None, stride, 0, dilation, groups)
    assert torch.equal(host.fold_back(y, x.shape, conv), expected)
    assert torch.equal(host.convolve(x, weight, None, conv, groups), expected)
    assert torch.equal(host.vectors(x.to(torch.int8), conv, groups), rows.to(torch.int8))


class FixedBatch(nn.Module):
    """Mixes its batch of 4: no other batch gives the same."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.reshape(4, 3)).reshape(2, 6).reshape(4, 3)


def test_a_graph_that_insists_on_its_batch_gets_it() -> None:
    model = FixedBatch()
    network = from_torch(model, torch.randn(4, 3))
    assert network.fixed_batch == 4
    seen = []

    def compute(index: int, layer: MatrixLayer, x: Tensor) -> Tensor:
        seen.append(tuple(x.shape))
        return host.float_product(index, layer, x)

    x = torch.randn(10, 3)
    with torch.no_grad():
        torch.testing.assert_close(host.run(network, x, compute), model.fc(x))
    assert seen == [(4, 3)] * 3


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(5, 4)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.a(x) + self.b(y), x


def test_several_arguments_and_the_first_result() -> None:
    model = TwoInputs()
    network = from_torch(model, (torch.randn(2, 3), torch.randn(2, 5)))
    x, y = torch.randn(7, 3), torch.randn(7, 5)
    with torch.no_grad():
        torch.testing.assert_close(host.run(network, (x, y)), model(x, y)[0])
    assert network.input_shape == (3,)
    with pytest.raises(DataError, match="takes 2 input tensors, got 1"):
        host.run(network, x)
    with pytest.raises(DataError, match=r"different batch sizes, \[6, 7\]"):
        host.run(network, (x, y[:6]))


def test_half_precision_networks_compute_in_float32_on_crossbars() -> None:
    model = models.build(models.MLP).to(torch.bfloat16)
    network = from_torch(model, models.inputs(models.MLP, 2).bfloat16())
    types = []

    def compute(index: int, layer: MatrixLayer, x: Tensor) -> Tensor:
        types.append(x.dtype)
        return host.float_product(index, layer, x)

    out = host.run(network, models.inputs(models.MLP, 2).bfloat16(), compute)
    assert out.dtype == torch.bfloat16
    assert set(types) == {torch.float32}


MLP_INPUT = r"input 'input': expected"


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(2, 1, 8, 9), rf"{MLP_INPUT} shape \[batch, 1, 8, 8\] of torch.float32, got \[2, 1, 8, 9\]"),
        (torch.zeros(1, 8, 8), r"expected shape \[batch, 1, 8, 8\] of torch.float32, got \[1, 8, 8\]"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.float64), "expected torch.float32, got torch.float64; convert"),
        (torch.zeros(2, 1, 8, 8, dtype=torch.uint8), "expected torch.float32, got torch.uint8; convert"),
        (torch.zeros(0, 1, 8, 8), "got an empty batch"),
        (torch.full((1, 1, 8, 8), float("nan")), "holds NaN or infinity"),
        (torch.full((1, 1, 8, 8), float("inf")), "holds NaN or infinity"),
        ([[1.0]], "expected a tensor .*, got list"),
        ((torch.zeros(1, 1, 8, 8),) * 2, "takes 1 input tensors, got 2"),
    ],
)
def test_wrong_inputs_are_told_what_was_expected(x: Tensor, message: str) -> None:
    network = models.traced(models.MLP)
    with pytest.raises(DataError, match=message):
        host.run(network, x)


def test_output_space_counts_positions_of_the_kernel() -> None:
    for size, k, s, p, d in product((5, 8), (1, 3), (1, 2), (0, 1), (1, 2)):
        conv = ConvShape((k,), (s,), ((p, p),), (d,))
        positions = range(-p, size + p - d * (k - 1), s)
        assert host.output_space((size,), conv) == (len(positions),)
