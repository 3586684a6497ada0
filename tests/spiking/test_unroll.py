"""Matrices of convolutions and poolings, against torch's own convolutions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from xbar.spiking.unroll import conv_matrix, conv_shape, pool_matrix


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[np.ndarray, tuple[int, ...], dict]:
    axes = draw(st.sampled_from([1, 2]))
    groups = draw(st.integers(1, 2))
    small = st.integers(1, 3)
    kernel = [draw(small) for _ in range(axes)]
    dilation = [draw(st.integers(1, 2)) for _ in range(axes)]
    space = [draw(st.integers(d * (k - 1) + 1, 7)) for k, d in zip(kernel, dilation, strict=True)]
    sizes = (groups * draw(small), draw(small), *kernel)
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    weight = rng.integers(-5, 6, sizes).astype(np.int16)
    options = {
        "stride": [draw(small) for _ in range(axes)],
        "padding": [(draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(axes)],
        "dilation": dilation,
        "groups": groups,
    }
    return weight, (sizes[1] * groups, *space), options


@settings(deadline=None, max_examples=60)
@given(convolutions())
def test_a_convolution_is_its_matrix(case: tuple[np.ndarray, tuple[int, ...], dict]) -> None:
    weight, in_shape, options = case
    matrix = conv_matrix(weight, in_shape, **options)
    assert matrix.format == "csc"
    assert matrix.dtype == weight.dtype
    assert matrix.has_sorted_indices
    assert (matrix.data != 0).all()
    x = np.random.default_rng(1).integers(-9, 10, in_shape)
    pads = [p for pair in reversed(options["padding"]) for p in pair]
    conv = torch.nn.functional.conv1d if len(in_shape) == 2 else torch.nn.functional.conv2d
    padded = torch.nn.functional.pad(torch.tensor(x, dtype=torch.float64)[None], pads)
    rest = {k: options[k] for k in ("stride", "dilation", "groups")}
    expected = conv(padded, torch.tensor(weight, dtype=torch.float64), **rest)[0].numpy()
    space = conv_shape(in_shape[1:], weight.shape[2:], options["stride"], options["padding"], options["dilation"])
    assert expected.shape[1:] == space
    np.testing.assert_array_equal(x.ravel() @ matrix, expected.ravel())


def test_a_pooling_sums_windows_of_each_channel() -> None:
    x = np.arange(3 * 5 * 6).reshape(3, 5, 6)
    matrix = pool_matrix(x.shape, (2, 3), (2, 2), ((0, 1), (1, 1)))
    pooled = torch.nn.functional.pad(torch.tensor(x, dtype=torch.float64), (1, 1, 0, 1))
    expected = torch.nn.functional.avg_pool2d(pooled, (2, 3), (2, 2)) * 6
    np.testing.assert_array_equal(x.ravel() @ matrix, expected.numpy().ravel())
    assert set(matrix.data) == {1}


def test_a_hand_sized_case() -> None:
    matrix = conv_matrix(np.array([[[1, 2]]]), (1, 3), (1,), ((0, 0),))
    np.testing.assert_array_equal(matrix.toarray(), [[1, 0], [2, 1], [0, 2]])


@pytest.mark.parametrize(
    ("shape", "in_shape", "groups", "said"),
    [
        ((2, 3, 3), (2, 8), 1, "do not fit 2 channels"),
        ((3, 1, 3), (2, 8), 2, "do not fit 2 channels"),
        ((2, 2, 3), (2, 8, 8), 1, "1 axes meets an input of 2"),
        ((2, 2, 9), (2, 8), 1, "larger than its padded input of 8"),
    ],
)
def test_shapes_that_do_not_fit(shape: tuple, in_shape: tuple, groups: int, said: str) -> None:
    axes = len(shape) - 2
    with pytest.raises(ValueError, match=said):
        conv_matrix(np.ones(shape), in_shape, (1,) * axes, ((0, 0),) * axes, groups=groups)
