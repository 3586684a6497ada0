"""Unrolling a convolution's input into the input vectors of its matrix (im2col)."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from xbar.kernels.parallel import parallel_for, team


class Unrolling(NamedTuple):
    """Geometry of an unrolling: (row, col) of each pair."""

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
def _unroll_row(task, x, out, starts, row_words, run, image_bytes, row_step, col_step):  # type: ignore[no-untyped-def]
    """All vectors of one output row of one image, in bytes.

    A run is the part of a vector that lies side by side in x: one kernel row of one channel, at `starts` from the
    vector's corner. It is copied in words of eight bytes that may spill into the run after it, which is written later;
    the last runs go byte by byte.
    """
    n_rows, n_cols, words = row_words
    n_runs = starts.size
    image, row = divmod(task, n_rows)
    corner = image * image_bytes + row * row_step
    to = task * n_cols * n_runs * run
    n_safe = n_runs - (8 * words - 1) // run
    for _ in range(n_cols):
        n_whole = n_safe if corner + starts[n_runs - 1] + 8 * words <= x.size else 0
        if words == 1:
            for n in range(n_whole):
                _copy_word(out, to, x, corner + starts[n])  # type: ignore[call-arg]
                to += run
        else:
            for n in range(n_whole):
                for k in range(words):
                    _copy_word(out, to + 8 * k, x, corner + starts[n] + 8 * k)  # type: ignore[call-arg]
                to += run
        for n in range(max(n_whole, 0), n_runs):
            for k in range(run):
                out[to + k] = x[corner + starts[n] + k]
            to += run
        corner += col_step


@njit(cache=True)
def _unroll_rows(team, n_images, x, out, starts, row_words, run, image_bytes, row_step, col_step):  # type: ignore[no-untyped-def]
    arguments = (x, out, starts, row_words, run, image_bytes, row_step, col_step)
    parallel_for(team, _unroll_row, n_images * row_words[0], arguments)  # type: ignore[call-arg]


def unroll(x: NDArray[Any], sizes: Unrolling) -> NDArray[Any]:
    """From padded x [image, channel, height, width] to [image, out row, out col, (channel, kernel row, kernel col)].

    Of any type: values are only copied.
    """
    if sizes.dilation[1] != 1:  # kernel columns do not lie side by side
        return unroll_plain(x, sizes)
    x = np.ascontiguousarray(x)
    images, channels, height, width = x.shape
    step = x.dtype.itemsize
    pitch, run = width * step, sizes.kernel[1] * step
    rows = np.arange(channels)[:, None] * height + np.arange(sizes.kernel[0]) * sizes.dilation[0]
    starts = (rows * pitch).ravel().astype(np.int64)
    out = np.empty((images, *sizes.out_space, starts.size * sizes.kernel[1]), x.dtype)
    _unroll_rows(
        team(), images, x.reshape(-1).view(np.uint8), out.reshape(-1).view(np.uint8), starts,
        (*sizes.out_space, -(-run // 8)), run, channels * height * pitch, sizes.stride[0] * pitch,
        sizes.stride[1] * step,
    )  # fmt: skip
    return out


def unroll_plain(x: NDArray[Any], sizes: Unrolling) -> NDArray[Any]:
    """As `unroll`, in numpy."""
    spans = tuple(d * (k - 1) + 1 for k, d in zip(sizes.kernel, sizes.dilation, strict=True))
    windows = sliding_window_view(x, spans, axis=(2, 3))
    windows = windows[:, :, :: sizes.stride[0], :: sizes.stride[1], :: sizes.dilation[0], :: sizes.dilation[1]]
    windows = windows[:, :, : sizes.out_space[0], : sizes.out_space[1]]
    return windows.transpose(0, 2, 3, 1, 4, 5).copy().reshape(x.shape[0], *sizes.out_space, -1)
