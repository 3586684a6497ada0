"""Convolutions and poolings as sparse matrices [line, neuron]: what a crossbar must hold of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Padding = Sequence[tuple[int, int]]  # (before, after) per axis of space


def conv_shape(
    in_space: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Padding,
    dilation: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """Size of a convolution's output per axis of space: floor((in + pads - dilation (kernel - 1) - 1) / stride) + 1.

    ValueError where a kernel is larger than its padded input, or a stride, kernel or dilation is not positive.
    """
    dilation = [1] * len(in_space) if dilation is None else dilation
    sizes = []
    for n, k, s, (before, after), d in zip(in_space, kernel, stride, padding, dilation, strict=True):
        if min(k, s, d) < 1 or min(before, after) < 0:
            raise ValueError(f"kernel {k}, stride {s} and dilation {d} must be positive, padding not negative")
        room = n + before + after - d * (k - 1) - 1
        if room < 0:
            raise ValueError(f"a kernel of {k} (dilation {d}) is larger than its padded input of {n + before + after}")
        sizes.append(room // s + 1)
    return tuple(sizes)


def conv_matrix(
    weight: NDArray[Any],
    in_shape: Sequence[int],
    stride: Sequence[int],
    padding: Padding,
    dilation: Sequence[int] | None = None,
    groups: int = 1,
) -> sparse.csc_array:
    """The matrix M of a convolution over one or two axes of space: out = in @ M, both flat in C order.

    weight: [out channel, in channel of the group, *kernel]; in_shape: (channel, row, col) or (channel, col); padding
    with zeros, (before, after) per axis. The result has the weight's dtype, no stored zeros, and lines and neurons in
    the order (channel, row, col); the neurons' space is `conv_shape`. ValueError for shapes that do not fit.
    """
    channels, *in_space = in_shape
    n_out, per_group, *kernel = weight.shape
    if len(kernel) != len(in_space):
        raise ValueError(f"a kernel of {len(kernel)} axes meets an input of {len(in_space)}")
    if groups < 1 or per_group * groups != channels or n_out % groups:
        raise ValueError(f"weights {weight.shape} in {groups} groups do not fit {channels} channels")
    dilation = [1] * len(kernel) if dilation is None else dilation
    out_space = conv_shape(in_space, kernel, stride, padding, dilation)

    n_axes = len(kernel)  # below, every array is [out channel, in channel, *kernel, *out space] or broadcasts to it
    shape = (n_out, per_group, *kernel, *out_space)
    out_channel, in_channel = np.ogrid[:n_out, :per_group]
    line = _aligned(out_channel // (n_out // groups) * per_group + in_channel, (0, 1), shape)
    neuron = _aligned(np.arange(n_out), (0,), shape)
    within = np.ones((1,) * len(shape), np.bool_)
    for axis in range(n_axes):
        n, out, step, spread = in_space[axis], out_space[axis], stride[axis], dilation[axis]
        at = np.arange(kernel[axis])[:, None] * spread + np.arange(out) * step - padding[axis][0]
        place = _aligned(at, (2 + axis, 2 + n_axes + axis), shape)
        within = within & (place >= 0) & (place < n)
        line = line * n + place
        neuron = neuron * out + _aligned(np.arange(out), (2 + n_axes + axis,), shape)
    value = weight.reshape(*weight.shape, *[1] * n_axes)
    kept = np.broadcast_to(within & (value != 0), shape)
    of_kept = [np.broadcast_to(array, shape)[kept] for array in (value, line, neuron)]
    size = (int(np.prod(in_shape)), n_out * int(np.prod(out_space)))
    matrix = sparse.csc_array((of_kept[0], (of_kept[1], of_kept[2])), shape=size)
    matrix.sort_indices()
    return matrix


def pool_matrix(
    in_shape: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Padding
) -> sparse.csc_array:
    """Ones where a line (channel, row, col) falls into a neuron's window of the same channel, int64 [line, neuron]."""
    channels = in_shape[0]
    return conv_matrix(np.ones((channels, 1, *kernel), np.int64), in_shape, stride, padding, groups=channels)


def _aligned(array: NDArray[Any], axes: tuple[int, ...], shape: tuple[int, ...]) -> NDArray[Any]:
    """The array's axes put at `axes` among as many as `shape` has."""
    sizes = [1] * len(shape)
    for axis, size in zip(axes, array.shape, strict=True):
        sizes[axis] = size
    return array.reshape(sizes)
