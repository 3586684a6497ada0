"""What NIR nodes without a state do to a signal: products, convolutions, poolings, scales, delays, as sparse matrices.

Nodes are told by their class's name, so that the package `nir` is not needed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from xbar.spiking.unroll import conv_matrix, conv_shape, pool_matrix

Floats = NDArray[np.float64]
Shape = tuple[int, ...]
SNAP = 1e-6  # relative: numbers this close to a whole one are whole


@dataclass(frozen=True, eq=False)
class Signal:
    """A point of the graph as an affine map of spikes: sum over parts of spikes[t - delay] @ matrix, plus bias.

    shape: of the signal; elements in C order. parts: by (source, delay in ticks), float [line of the source, element].
    bias: [element].
    """

    shape: Shape
    parts: dict[tuple[str, int], sparse.csc_array]
    bias: Floats

    @staticmethod
    def of_spikes(source: str, shape: Shape) -> Signal:
        """The spikes of a source themselves."""
        n = int(np.prod(shape))
        return Signal(shape, {(source, 0): sparse.csc_array(sparse.eye_array(n))}, np.zeros(n))

    def through(self, matrix: sparse.csc_array, shape: Shape, bias: Floats | float = 0.0) -> Signal:
        """signal @ matrix + bias."""
        parts = {key: sparse.csc_array(part @ matrix) for key, part in self.parts.items()}
        return Signal(shape, parts, self.bias @ matrix + bias)

    def source(self) -> str | None:
        """The source whose spikes this is, unchanged and not delayed; None where it is anything else."""
        if len(self.parts) != 1 or self.bias.any():
            return None
        (((name, delay), part),) = self.parts.items()
        same = part.shape[0] == part.shape[1] and not (part != sparse.eye_array(part.shape[0])).nnz
        return name if same and delay == 0 else None


def added(signals: Iterable[Signal]) -> Signal:
    """The sum of signals of one shape."""
    first, *rest = signals
    parts = dict(first.parts)
    for signal in rest:
        if signal.shape != first.shape:
            raise ValueError(f"its inputs must have one shape, got {first.shape} and {signal.shape}")
        for key, part in signal.parts.items():
            parts[key] = sparse.csc_array(parts[key] + part) if key in parts else part
    return Signal(first.shape, parts, np.sum([s.bias for s in [first, *rest]], axis=0))


def numbers(node: Any, name: str) -> Floats:
    """A parameter as finite float64; ValueError where it is none."""
    try:
        value = np.asarray(getattr(node, name), np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must be numbers, got {type(getattr(node, name)).__name__}") from None
    if not np.isfinite(value).all():
        raise ValueError(f"{name} must be finite, got {value[~np.isfinite(value)].flat[0]}")
    return value


def spread(node: Any, name: str, shape: Shape) -> Floats:
    """A parameter of each element, [element]: of the signal's shape, or one number for all."""
    value = numbers(node, name)
    if value.shape != shape and value.size != 1:
        raise ValueError(f"{name} must have the shape of its input, {shape}, got {value.shape}")
    return np.broadcast_to(value.reshape(-1), (int(np.prod(shape)),)).copy()


def per_axis(node: Any, name: str, n: int) -> list[int]:
    """Whole numbers, one for each of n axes; one number stands for all."""
    value = numbers(node, name).reshape(-1)
    if value.size not in (1, n) or (value != np.rint(value)).any():
        raise ValueError(f"{name} must be {n} whole numbers, got {np.asarray(getattr(node, name)).tolist()}")
    return [int(v) for v in np.broadcast_to(value, (n,))]


def _linear(node: Any, signal: Signal, dt_s: float) -> Signal:
    weight = numbers(node, "weight")
    if weight.ndim != 2:
        raise ValueError(f"weight must be [out, in], got {list(weight.shape)}")
    if signal.shape != (weight.shape[1],):
        raise ValueError(f"its weight is for an input of shape ({weight.shape[1]},), got {signal.shape}")
    bias = spread(node, "bias", (weight.shape[0],)) if hasattr(node, "bias") else 0.0
    return signal.through(sparse.csc_array(weight.T), (weight.shape[0],), bias)


def _conv(node: Any, signal: Signal, dt_s: float) -> Signal:
    weight, n = numbers(node, "weight"), len(signal.shape) - 1
    wanted = int(type(node).__name__[4])  # Conv1d, Conv2d
    if n != wanted or weight.ndim != wanted + 2:
        raise ValueError(f"its input must be (channel, *{wanted} axes of space), got {signal.shape}")
    told = node.input_shape
    if told is not None and tuple(np.ravel(told).tolist()) != signal.shape[1:]:
        raise ValueError(f"its input_shape is {np.ravel(told).tolist()}, but its input has {list(signal.shape[1:])}")
    stride, dilation = per_axis(node, "stride", n), per_axis(node, "dilation", n)
    kernel = weight.shape[2:]
    groups = per_axis(node, "groups", 1)[0]
    padding = _padding(node, kernel, stride, dilation)
    matrix = conv_matrix(weight, signal.shape, stride, padding, dilation, groups)
    space = conv_shape(signal.shape[1:], kernel, stride, padding, dilation)
    bias = spread(node, "bias", (weight.shape[0],)) if node.bias is not None else np.zeros(weight.shape[0])
    return signal.through(matrix, (weight.shape[0], *space), np.repeat(bias, int(np.prod(space))))


def _padding(node: Any, kernel: Shape, stride: list[int], dilation: list[int]) -> list[tuple[int, int]]:
    if not isinstance(node.padding, str):
        return [(p, p) for p in per_axis(node, "padding", len(kernel))]
    if node.padding == "valid":
        return [(0, 0)] * len(kernel)
    if node.padding != "same" or max(stride) > 1:
        raise ValueError(f"padding must be numbers, 'valid', or 'same' with stride 1, got {node.padding!r}")
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return [(t // 2, t - t // 2) for t in total]


def _pool(node: Any, signal: Signal, dt_s: float) -> Signal:
    if len(signal.shape) != 3:
        raise ValueError(f"its input must be (channel, row, col), got {signal.shape}")
    kernel, stride, pads = (per_axis(node, name, 2) for name in ("kernel_size", "stride", "padding"))
    padding = [(p, p) for p in pads]
    matrix: sparse.csc_array = pool_matrix(signal.shape, kernel, stride, padding).astype(np.float64)
    if type(node).__name__ == "AvgPool2d":
        matrix = matrix / float(np.prod(kernel))
    return signal.through(
        sparse.csc_array(matrix), (signal.shape[0], *conv_shape(signal.shape[1:], kernel, stride, padding))
    )


def _scale(node: Any, signal: Signal, dt_s: float) -> Signal:
    scale = spread(node, "scale", signal.shape)
    return signal.through(sparse.csc_array(sparse.diags_array(scale)), signal.shape)


def _flatten(node: Any, signal: Signal, dt_s: float) -> Signal:
    n = len(signal.shape)
    start, end = (per_axis(node, name, 1)[0] for name in ("start_dim", "end_dim"))
    first, last = (d + n if d < 0 else d for d in (start, end))
    if not 0 <= first <= last < n:
        raise ValueError(f"start_dim {start} and end_dim {end} do not fit an input of shape {signal.shape}")
    shape = (*signal.shape[:first], int(np.prod(signal.shape[first : last + 1])), *signal.shape[last + 1 :])
    return Signal(shape, signal.parts, signal.bias)


def _delay(node: Any, signal: Signal, dt_s: float) -> Signal:
    ticks = spread(node, "delay", signal.shape) / dt_s
    whole = np.rint(ticks)
    off = np.abs(ticks - whole) > SNAP * np.maximum(1, ticks)
    if off.any() or (whole < 0).any():
        wrong = ticks[off | (whole < 0)][0] * dt_s
        raise ValueError(f"delay must be 0, 1, 2, ... times dt_s ({dt_s:g} s), got {wrong:g} s")
    parts: dict[tuple[str, int], sparse.csc_array] = {}
    for wait in np.unique(whole).astype(int):  # elements of other delays get nothing
        own = sparse.csc_array(sparse.diags_array((whole == wait).astype(np.float64)))
        for (source, delay), part in signal.parts.items():
            parts[source, delay + int(wait)] = parts.get((source, delay + int(wait)), 0) + part @ own
    return Signal(signal.shape, {k: sparse.csc_array(v) for k, v in parts.items()}, signal.bias)


MAPS: dict[str, Callable[[Any, Signal, float], Signal]] = {
    "Linear": _linear,
    "Affine": _linear,
    "Conv1d": _conv,
    "Conv2d": _conv,
    "SumPool2d": _pool,
    "AvgPool2d": _pool,
    "Scale": _scale,
    "Flatten": _flatten,
    "Delay": _delay,
}
