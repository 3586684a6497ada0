"""Unrolling a convolution's input into the input vectors of its matrix (im2col)."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from xbar.kernels.parallel import parallel_for, team


class Unrolling(NamedTuple):
    """Sizes of one unrolling; x is [image, channel, height, width] with its padding, (row, col) of each pair."""

    x_shape: tuple[int, int, int, int]
    out_space: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]


@intrinsic
def _copy_word(typingctx: Any, target: Any, to: Any, source: Any, start: Any) -> Any:
    """Copy eight bytes between byte arrays, at any alignment."""
    signature = types.void(target, to, source, start)

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        word = ir.IntType(64).as_pointer()

        def place(array_type: Any, array: Any, offset: Any) -> Any:
            data = context.make_array(array_type)(context, builder, array).data
            return builder.bitcast(builder.gep(data, [offset]), word)

        value = builder.load(place(signature.args[2], args[2], args[3]), align=1)
        builder.store(value, place(signature.args[0], args[0], args[1]), align=1)
        return context.get_dummy_value()

    return signature, codegen


@njit(cache=True)
def _unroll_row(task, x, out, sizes, run, step):  # type: ignore[no-untyped-def]
    """All vectors of one output row of one image, in bytes.

    A run is the part of a vector that lies side by side in x: one kernel row of one channel. It is copied in words of
    eight bytes that may spill into the run after it, which is written later; the last runs go byte by byte.
    """
    channels, height, width = sizes.x_shape[1:]
    kernel_rows = sizes.kernel[0]
    image, row = divmod(task, sizes.out_space[0])
    pitch = width * step
    words = (run + 7) // 8
    spill = 8 * words - run
    n_whole = channels * kernel_rows - (spill + run - 1) // run
    to = task * sizes.out_space[1] * channels * kernel_rows * run
    for col in range(sizes.out_space[1]):
        corner = (image * channels * height + row * sizes.stride[0]) * pitch + col * sizes.stride[1] * step
        n = 0
        for c in range(channels):
            for i in range(kernel_rows):
                start = corner + (c * height + i * sizes.dilation[0]) * pitch
                if n < n_whole and start + 8 * words <= x.size:
                    for k in range(0, 8 * words, 8):
                        _copy_word(out, to + k, x, start + k)
                else:
                    for k in range(run):
                        out[to + k] = x[start + k]
                to += run
                n += 1


@njit(cache=True)
def _unroll_rows(team, x, out, sizes, run, step):  # type: ignore[no-untyped-def]
    parallel_for(team, _unroll_row, sizes.x_shape[0] * sizes.out_space[0], (x, out, sizes, run, step))


def unroll(x: NDArray[Any], sizes: Unrolling) -> NDArray[Any]:
    """From padded x [image, channel, height, width] to [image, out row, out col, (channel, kernel row, kernel col)].

    Of any type: values are only copied.
    """
    if sizes.dilation[1] != 1:  # kernel columns do not lie side by side
        return unroll_plain(x, sizes)
    x = np.ascontiguousarray(x)
    out = np.empty((x.shape[0], *sizes.out_space, x.shape[1] * prod(sizes.kernel)), x.dtype)
    step = x.dtype.itemsize
    _unroll_rows(team(), x.reshape(-1).view(np.uint8), out.reshape(-1).view(np.uint8), sizes, sizes.kernel[1] * step, step)
    return out


def unroll_plain(x: NDArray[Any], sizes: Unrolling) -> NDArray[Any]:
    """As `unroll`, in numpy."""
    spans = tuple(d * (k - 1) + 1 for k, d in zip(sizes.kernel, sizes.dilation, strict=True))
    windows = sliding_window_view(x, spans, axis=(2, 3))
    windows = windows[:, :, :: sizes.stride[0], :: sizes.stride[1], :: sizes.dilation[0], :: sizes.dilation[1]]
    windows = windows[:, :, : sizes.out_space[0], : sizes.out_space[1]]
    return windows.transpose(0, 2, 3, 1, 4, 5).reshape(x.shape[0], *sizes.out_space, -1)
